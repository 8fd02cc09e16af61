// Unity: copy libtracker and libsam2 to Assets/Plugins, and add this script to an object of the scene.
using System;
using System.Runtime.InteropServices;
using System.Threading.Tasks;
using UnityEngine;

public sealed class Tracker : MonoBehaviour
{
    [StructLayout(LayoutKind.Sequential)]
    struct Result
    {
        public long Frame;
        public int Found, Left, Top, Right, Bottom;
        public float Score;
    }

    [DllImport("tracker")] static extern IntPtr tracker_open(string model, int width, int height, int threads);
    [DllImport("tracker")] static extern void tracker_close(IntPtr tracker);
    [DllImport("tracker")] static extern void tracker_click(IntPtr tracker, float x, float y);
    [DllImport("tracker")] static extern int tracker_push(IntPtr tracker, byte[] rgba, long frame);
    [DllImport("tracker")] static extern int tracker_poll(IntPtr tracker, out Result result, byte[] mask);
    [DllImport("tracker")] static extern IntPtr tracker_error(IntPtr tracker);

    public string Model;
    public Texture2D Source; // RGBA32, readable
    public Texture2D Mask;   // R8, of the same size

    IntPtr tracker;
    byte[] mask;

    async void Start()
    {
        int width = Source.width, height = Source.height;
        mask = new byte[width * height];
        // Loading is slow, so it does not run on the thread that draws.
        IntPtr opened = await Task.Run(() => tracker_open(Model, width, height, 0));
        if (opened == IntPtr.Zero) { Fail(); return; }
        if (this == null) { tracker_close(opened); return; } // destroyed meanwhile
        tracker = opened;
    }

    public void Click(Vector2 fromTheTop)
    {
        if (tracker != IntPtr.Zero) tracker_click(tracker, fromTheTop.x, fromTheTop.y);
    }

    void Update()
    {
        if (tracker == IntPtr.Zero) return;
        if (tracker_push(tracker, Source.GetRawTextureData(), Time.frameCount) < 0) Fail();
        int polled = tracker_poll(tracker, out Result result, mask);
        if (polled < 0) Fail();
        if (polled <= 0) return;
        Mask.LoadRawTextureData(mask);
        Mask.Apply();
    }

    void OnDestroy()
    {
        if (tracker != IntPtr.Zero) tracker_close(tracker);
        tracker = IntPtr.Zero;
    }

    void Fail() => Debug.LogError(Marshal.PtrToStringAnsi(tracker_error(tracker)));
}
