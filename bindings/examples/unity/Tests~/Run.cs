// Run.exe MODEL FRAMES COUNT WIDTH HEIGHT X Y [X Y]...: drives the component as Unity does, with files of RGBA pixels, the
// bottom row first, and prints what it tracks.
using System;
using System.Globalization;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Sam2;
using UnityEngine;

static class Run
{
    static void Send(Sam2Tracker to, string message) =>
        typeof(Sam2Tracker).GetMethod(message, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(to, null);

    static float Number(string text) => float.Parse(text, CultureInfo.InvariantCulture);

    static void Main(string[] args)
    {
        Console.OutputEncoding = new UTF8Encoding(false);
        int count = int.Parse(args[2]), objects = (args.Length - 5) / 2, tracked = 0;
        var source = new RenderTexture(int.Parse(args[3]), int.Parse(args[4]));
        var component = new Sam2Tracker { Model = Path.GetFullPath(args[0]), Source = source };
        // The component reads the next image after this event.
        Action load = () =>
        {
            byte[] pixels = File.ReadAllBytes(Path.Combine(args[1], tracked.ToString("D5") + ".rgba"));
            Marshal.Copy(pixels, 0, source.Memory, pixels.Length);
        };
        component.Tracked += frame =>
        {
            foreach (TrackedObject o in component.Objects) Print(tracked, o, component.Map);
            if (++tracked < count) load();
            if (tracked == count / 2 && objects > 1) component.Remove(objects);
        };
        load();
        Send(component, "Start");
        while (!component.Ready && component.enabled) Draw(component);
        if (!component.enabled) return;
        for (int i = 0; i < objects; i++)
            component.AddPoint(i + 1, Number(args[5 + 2 * i]), Number(args[6 + 2 * i]));
        while (tracked < count && component.enabled) Draw(component);
        try { component.AddPoint(256, 0, 0); }
        catch (ArgumentException e) { Console.WriteLine(e.Message); }
        Send(component, "OnDestroy");
    }

    static void Draw(Sam2Tracker component)
    {
        Time.frameCount++;
        Send(component, "Update");
        Thread.Sleep(1);
    }

    static void Print(int frame, TrackedObject o, Texture2D map)
    {
        long pixels = 0, rows = 0;
        var ids = new byte[map.width * map.height];
        Marshal.Copy(map.Memory, ids, 0, ids.Length);
        for (int i = 0; i < ids.Length; i++)
            if (ids[i] == o.Id)
            {
                pixels++;
                rows += map.height - 1 - i / map.width;
            }
        Console.WriteLine("{0} {1} {2} {3} {4} {5} {6} {7} {8}", frame, o.Id, o.Visible ? 1 : 0, o.Left, o.Top, o.Right,
            o.Bottom, pixels, pixels == 0 ? -1 : rows / pixels);
    }
}
