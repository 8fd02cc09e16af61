"""What include/sam2.h declares, for ctypes."""

import ctypes as c
import ctypes.util
import os
from pathlib import Path

OK, INVALID_ARGUMENT, INVALID_HANDLE, BUSY, IO, MODEL, DEVICE, OUT_OF_MEMORY, CANCELLED, INTERNAL = *range(9), 99
FORMATS = {"rgb": 0, "bgr": 1, "rgba": 2, "bgra": 3, "gray": 4, "rgb_f32": 5, "rgb_f32_planar": 6}
DEVICES = {"auto": 0, "cpu": 1, "cuda": 2}
PRECISIONS = {"auto": 0, "f32": 1, "bf16": 2, "f16": 3}
MASK_U8, MASK_LOGITS, MASK_BITS, MASK_LABELS = range(4)
MULTIMASK, PREDICT_NORMALIZED = 1, 2
KEEP_POINTS, PROMPT_NORMALIZED = 1, 2
RETAIN_EVERYTHING = 0xFFFFFFFF


class Sized(c.Structure):
    """A struct that begins with its size."""

    def __init__(self, **values):
        super().__init__(struct_size=c.sizeof(self), **values)


def _fields(text):
    types = {
        "u32": c.c_uint32, "i32": c.c_int32, "u64": c.c_uint64, "i64": c.c_int64, "f32": c.c_float, "p": c.c_void_p,
        "s": c.c_char_p, "p3": c.c_void_p * 3, "u64x3": c.c_uint64 * 3, "c64": c.c_char * 64,
    }  # fmt: skip
    pairs = [("struct_size", "u32")] + [tuple(word.split(":")) for word in text.split()]
    return [(name, types[kind]) for name, kind in pairs]


class ModelOptions(Sized):
    _fields_ = _fields(
        "device:i32 device_index:i32 precision:i32 threads:u32 image_size:u32 no_postprocessing:i32 no_mmap:i32 config_yaml:s"
        " overrides:s device_uuid:s cpus:p num_cpus:u32 reserved:u32"
    )


class ModelInfo(Sized):
    _fields_ = _fields(
        "image_size:u32 mask_side:u32 precision:i32 device:i32 device_name:c64 free_memory:u64 memory:u64"
    )


class Image(Sized):
    _fields_ = _fields(
        "format:i32 width:u32 height:u32 planes:p3 strides:u64x3 memory:i32 has_stream:i32 stream:p matrix:i32 range:i32"
        " flip:i32 reserved:i32 timestamp:i64"
    )


class ImagePredictorOptions(Sized):
    _fields_ = _fields("mask_threshold:f32 max_hole_area:f32 max_sprinkle_area:f32")


class Prompt(Sized):
    _fields_ = _fields("num_points:u32 points:p labels:p box:p mask_input:p image:u32 reserved:u32")


class MaskBuffer(Sized):
    _fields_ = _fields("kind:i32 data:p size:u64 memory:i32 has_stream:i32 stream:p flip:i32 reserved:i32")


class VideoOptions(Sized):
    _fields_ = _fields("window:u32 legacy_corrections:i32 offload_state_to_cpu:i32")


class VideoInfo(Sized):
    _fields_ = _fields(
        "num_objects:u32 num_frames:u64 width:u32 height:u32 device_bytes:u64 host_bytes:u64 object_device_bytes:u64"
        " object_host_bytes:u64"
    )


class Frame(c.Structure):
    _fields_ = _fields(
        "num_objects:u32 frame_idx:u64 timestamp:i64 width:u32 height:u32 object_ids:p scores:p lost:p boxes:p areas:p"
        " masks:p"
    )


FrameCallback = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.POINTER(Frame))
WriteCallback = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p, c.c_size_t)


class Sam2Error(RuntimeError):
    """A call failed: `status` is one of the statuses of sam2.h."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def _load():
    name = os.environ.get("SAM2_LIBRARY") or ctypes.util.find_library("sam2")
    beside = sorted(Path(__file__).parent.glob("libsam2.*"))
    path = name or (str(beside[0]) if beside else "libsam2.so.0")
    return c.CDLL(path)


lib = _load()
lib.sam2_last_error.restype = c.c_char_p
lib.sam2_version.restype = c.c_char_p
lib.sam2_build_info.restype = c.c_char_p


def call(function, *arguments):
    """Makes a call by its name, without `sam2_`; raises Sam2Error where it fails."""
    status = getattr(lib, "sam2_" + function)(*arguments)
    if status != OK:
        raise Sam2Error(status, lib.sam2_last_error().decode(errors="replace"))


class Handle:
    """Something of the library's that is destroyed once: by close, as a context manager, or with its last reference."""

    _kind = ""

    def _create(self, function, *arguments):
        self._h = c.c_void_p()
        call(function, *arguments, c.byref(self._h))

    def close(self):
        handle, self._h = getattr(self, "_h", None), None
        if handle:
            call(self._kind + "_destroy", handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        try:
            self.close()
        except Exception:  # at the interpreter's end
            pass
