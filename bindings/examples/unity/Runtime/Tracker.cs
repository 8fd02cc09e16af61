// The functions of tracker.h as a class. This file uses nothing of Unity.
using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Sam2
{
    /// An object in a frame, as tracker_object of tracker.h. Coordinates are pixels from the top left corner.
    [StructLayout(LayoutKind.Sequential)]
    public struct TrackedObject
    {
        public int Id;
        int visible;
        public int Left, Top, Right, Bottom;
        public float Score;

        public bool Visible => visible != 0;
    }

    /// Tracks several objects. One thread makes all calls, but the constructor and Dispose may run on any thread.
    public sealed class Tracker : IDisposable
    {
        public const int MaxId = 255;

        [Flags]
        public enum Layout
        {
            TopDownRgba = 0,
            BottomUp = 1,
            Bgra = 2,
        }

        const string Library = "sam2_tracker";

        // Paths are UTF-8 on every system.
        [DllImport(Library)]
        static extern IntPtr tracker_open([MarshalAs(UnmanagedType.LPUTF8Str)] string model, int width, int height,
            int threads, int flags, [Out] byte[] error, int errorSize);
        [DllImport(Library)]
        static extern void tracker_close(IntPtr tracker);
        [DllImport(Library)]
        static extern int tracker_add_point(IntPtr tracker, int id, float x, float y, int on);
        [DllImport(Library)]
        static extern int tracker_add_box(IntPtr tracker, int id, float left, float top, float right, float bottom);
        [DllImport(Library)]
        static extern int tracker_remove(IntPtr tracker, int id);
        [DllImport(Library)]
        static extern int tracker_push(IntPtr tracker, IntPtr pixels, int stride, long frame);
        [DllImport(Library)]
        static extern int tracker_poll(IntPtr tracker, out long frame, [Out] TrackedObject[] objects, ref int numObjects,
            IntPtr map);
        [DllImport(Library)]
        static extern IntPtr tracker_error(IntPtr tracker);

        IntPtr handle;
        readonly TrackedObject[] objects = new TrackedObject[MaxId];

        public int Width { get; }
        public int Height { get; }
        /// Whether an image is in progress.
        public bool Busy { get; private set; }
        /// Number of the latest frame that Poll returned.
        public long Frame { get; private set; }
        /// Objects of that frame.
        public ArraySegment<TrackedObject> Objects { get; private set; }

        /// Loads a model. This takes long and throws if it fails.
        public Tracker(string model, int width, int height, Layout layout = Layout.TopDownRgba, int threads = 0)
        {
            var error = new byte[512];
            handle = tracker_open(model, width, height, threads, (int)layout, error, error.Length);
            if (handle == IntPtr.Zero)
                throw new InvalidOperationException(Encoding.UTF8.GetString(error, 0, Array.IndexOf(error, (byte)0)));
            Width = width;
            Height = height;
            Objects = new ArraySegment<TrackedObject>(objects, 0, 0);
        }

        /// Waits for the current image. Therefore do not call it on the thread that draws.
        public void Dispose()
        {
            if (handle != IntPtr.Zero) tracker_close(handle);
            handle = IntPtr.Zero;
        }

        public void AddPoint(int id, float x, float y, bool on = true)
        {
            if (tracker_add_point(handle, id, x, y, on ? 1 : 0) == 0)
                throw new ArgumentException("the id is out of range or the object has too many points");
        }

        public void AddBox(int id, float left, float top, float right, float bottom)
        {
            if (tracker_add_box(handle, id, left, top, right, bottom) == 0)
                throw new ArgumentException("the id is out of range");
        }

        public void Remove(int id)
        {
            if (tracker_remove(handle, id) == 0) throw new ArgumentException("the id is out of range");
        }

        /// Copies an image of 4 * Width * Height bytes and starts to track it. Returns false if the previous image is
        /// still in progress or there is no object.
        public bool Push(IntPtr pixels, long frame)
        {
            int pushed = tracker_push(handle, pixels, 0, frame);
            if (pushed < 0) throw Failure();
            if (pushed > 0) Busy = true;
            return pushed > 0;
        }

        /// Returns true if an image has ended. Then Frame and Objects describe it, and `map` of Width * Height bytes
        /// contains the id of the object at each pixel, or 0.
        public bool Poll(IntPtr map)
        {
            int count = objects.Length;
            int polled = tracker_poll(handle, out long frame, objects, ref count, map);
            if (polled != 0) Busy = false;
            if (polled < 0) throw Failure();
            if (polled == 0) return false;
            Frame = frame;
            Objects = new ArraySegment<TrackedObject>(objects, 0, count);
            return true;
        }

        InvalidOperationException Failure()
        {
            IntPtr text = tracker_error(handle);
            int size = 0;
            while (Marshal.ReadByte(text, size) != 0) size++;
            var bytes = new byte[size];
            Marshal.Copy(text, bytes, 0, size);
            return new InvalidOperationException(Encoding.UTF8.GetString(bytes));
        }
    }
}
