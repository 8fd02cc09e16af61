// A component that tracks objects in a RenderTexture.
using System;
using System.IO;
using System.Threading.Tasks;
using Unity.Collections;
using Unity.Collections.LowLevel.Unsafe;
using UnityEngine;
using UnityEngine.Rendering;

namespace Sam2
{
    public sealed class Sam2Tracker : MonoBehaviour
    {
        [Tooltip("Checkpoint or folder. A relative path starts at StreamingAssets.")]
        public string Model;
        [Tooltip("The images. Their size must not change.")]
        public RenderTexture Source;
        [Tooltip("Number of CPU threads. 0 uses all.")]
        public int Threads;
        [Tooltip("The first row of the source that the GPU returns is the bottom row.")]
        public bool BottomUp = true;

        /// The id of the object at each pixel, divided by 255, in the one channel of this texture. 0 on the background.
        public Texture2D Map { get; private set; }
        /// The objects of the latest frame.
        public ArraySegment<TrackedObject> Objects => tracker == null ? default(ArraySegment<TrackedObject>) : tracker.Objects;
        /// Called on the main thread with the Time.frameCount of the image that Map and Objects now describe.
        public event Action<long> Tracked;
        /// Whether the model is loaded. Prompts are accepted from then on.
        public bool Ready => tracker != null;

        Task<Tracker> opening;
        Tracker tracker;
        bool prompted, reading;

        void Start()
        {
            int width = Source.width, height = Source.height, threads = Threads;
            string path = Path.Combine(Application.streamingAssetsPath, Model);
            var layout = BottomUp ? Tracker.Layout.BottomUp : Tracker.Layout.TopDownRgba;
            Map = new Texture2D(width, height, TextureFormat.R8, false, true);
            // Labels must not be interpolated.
            Map.filterMode = FilterMode.Point;
            opening = Task.Run(() => new Tracker(path, width, height, layout, threads));
        }

        /// Adds a point in pixels from the top left corner of the source.
        public void AddPoint(int id, float x, float y, bool on = true)
        {
            tracker.AddPoint(id, x, y, on);
            prompted = true;
        }

        public void AddBox(int id, float left, float top, float right, float bottom)
        {
            tracker.AddBox(id, left, top, right, bottom);
            prompted = true;
        }

        public void Remove(int id) => tracker.Remove(id);

        void Update()
        {
            if (tracker == null && !Opened()) return;
            if (tracker.Busy) Poll();
            // A readback of an image that would be dropped is not started.
            if (!prompted || reading || tracker.Busy) return;
            reading = true;
            long frame = Time.frameCount;
            AsyncGPUReadback.Request(Source, 0, TextureFormat.RGBA32, request => Read(request, frame));
        }

        bool Opened()
        {
            if (!opening.IsCompleted) return false;
            if (opening.Status == TaskStatus.RanToCompletion) tracker = opening.Result;
            else Fail(opening.Exception.GetBaseException());
            return tracker != null;
        }

        unsafe void Poll()
        {
            try
            {
                NativeArray<byte> map = Map.GetRawTextureData<byte>();
                if (!tracker.Poll((IntPtr)map.GetUnsafePtr())) return;
            }
            catch (InvalidOperationException e)
            {
                // The image is lost, and tracking continues.
                Debug.LogException(e);
                return;
            }
            Map.Apply(false);
            Tracked?.Invoke(tracker.Frame);
        }

        // The pixels are valid during this call.
        unsafe void Read(AsyncGPUReadbackRequest request, long frame)
        {
            reading = false;
            if (request.hasError || tracker == null) return;
            NativeArray<byte> pixels = request.GetData<byte>();
            try
            {
                if (pixels.Length != 4 * tracker.Width * tracker.Height)
                    throw new InvalidOperationException("the size of the source has changed");
                tracker.Push((IntPtr)pixels.GetUnsafeReadOnlyPtr(), frame);
            }
            catch (InvalidOperationException e)
            {
                Fail(e);
            }
        }

        void OnDestroy()
        {
            tracker = null;
            // Closing waits for the current image, and for the model if it is being loaded.
            opening?.ContinueWith(opened =>
            {
                if (opened.Status == TaskStatus.RanToCompletion) opened.Result.Dispose();
            });
            Destroy(Map);
        }

        void Fail(Exception e)
        {
            Debug.LogException(e);
            enabled = false;
        }
    }
}
