// NOT Unity: the few names that Sam2Tracker.cs uses, so that it can be compiled and run without Unity. A RenderTexture is
// an array, and a readback ends at once.
using System;
using System.Runtime.InteropServices;
using Unity.Collections;

namespace Unity.Collections
{
    public struct NativeArray<T> where T : struct
    {
        internal IntPtr Pointer;
        public int Length { get; internal set; }
    }
}

namespace Unity.Collections.LowLevel.Unsafe
{
    public static class NativeArrayUnsafeUtility
    {
        public static unsafe void* GetUnsafePtr<T>(this NativeArray<T> array) where T : struct => (void*)array.Pointer;
        public static unsafe void* GetUnsafeReadOnlyPtr<T>(this NativeArray<T> array) where T : struct =>
            (void*)array.Pointer;
    }
}

namespace UnityEngine
{
    public class TooltipAttribute : Attribute
    {
        public TooltipAttribute(string text) { }
    }

    public enum TextureFormat { RGBA32, R8 }
    public enum FilterMode { Point }

    public class Object
    {
        public static void Destroy(Object o) { }
    }

    public class Texture : Object
    {
        public int width, height;
        public FilterMode filterMode { get; set; }
        internal IntPtr Memory;
    }

    public class RenderTexture : Texture
    {
        public RenderTexture(int width, int height)
        {
            this.width = width;
            this.height = height;
            Memory = Marshal.AllocHGlobal(4 * width * height);
        }
    }

    public class Texture2D : Texture
    {
        public Texture2D(int width, int height, TextureFormat format, bool mipChain, bool linear)
        {
            this.width = width;
            this.height = height;
            Memory = Marshal.AllocHGlobal(width * height);
        }
        public NativeArray<T> GetRawTextureData<T>() where T : struct =>
            new NativeArray<T> { Pointer = Memory, Length = width * height };
        public void Apply(bool updateMipmaps) { }
    }

    public class MonoBehaviour : Object
    {
        public bool enabled { get; set; } = true;
    }

    public static class Application
    {
        public static string streamingAssetsPath => "/nowhere";
    }

    public static class Time
    {
        public static int frameCount { get; internal set; }
    }

    public static class Debug
    {
        public static void LogException(Exception e) => Console.WriteLine("exception: " + e.Message);
    }
}

namespace UnityEngine.Rendering
{
    public struct AsyncGPUReadbackRequest
    {
        internal Texture Source;
        public bool hasError => false;
        public NativeArray<T> GetData<T>(int layer = 0) where T : struct =>
            new NativeArray<T> { Pointer = Source.Memory, Length = 4 * Source.width * Source.height };
    }

    public static class AsyncGPUReadback
    {
        public static AsyncGPUReadbackRequest Request(Texture src, int mipIndex, TextureFormat dstFormat,
            Action<AsyncGPUReadbackRequest> callback = null)
        {
            var request = new AsyncGPUReadbackRequest { Source = src };
            callback(request);
            return request;
        }
    }
}
