"""Declarations of include/sam2.h for ctypes: constants, structs and functions."""

from __future__ import annotations

import ctypes as c
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, TypeVar

from ._errors import Busy, raised

T = TypeVar("T")
H = TypeVar("H", bound="Handle")

VERSION = 1
FORMATS = (
    *("rgb", "bgr", "rgba", "bgra", "gray", "rgb_f32", "rgb_f32_planar", "nv12", "yuyv", "uyvy", "rgb8_planar"),
    *("rgb_f16", "rgb_f16_planar", "rgb_bf16", "rgb_bf16_planar"),
)
MATRICES = ("bt709", "bt601")
MASKS = ("binary", "logits", "bits", "labels", "ids8", "ids16")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "f32", "bf16", "f16")
HOST, CUDA = 0, 1
MULTIMASK, PREDICT_NORMALIZED = 1, 2
KEEP_POINTS, PROMPT_NORMALIZED = 1, 2
IMAGE_EMBEDDING, HIGH_RES_1, HIGH_RES_0 = 0, 1, 2
RETAIN_EVERYTHING = 0xFFFFFFFF
WAIT_FOREVER = 0xFFFFFFFFFFFFFFFF

_TYPES: dict[str, Any] = {
    "u32": c.c_uint32, "i32": c.c_int32, "u64": c.c_uint64, "i64": c.c_int64, "f32": c.c_float, "size": c.c_size_t,
    "p": c.c_void_p, "s": c.c_char_p, "p3": c.c_void_p * 3, "u64x3": c.c_uint64 * 3, "c48": c.c_char * 48,
    "c64": c.c_char * 64, "f64": c.c_double, "f32x2": c.c_float * 2, "f32x4": c.c_float * 4,
}  # fmt: skip


_RANGES = {"u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1), "u64": (0, 2**64 - 1), "i64": (-(2**63), 2**63 - 1)}
_RANGES["size"] = _RANGES["u64"]
_KINDS = {_TYPES[kind]: kind for kind in _RANGES}


def whole(value: Any, name: str, kind: str = "i64") -> int:
    """Converts a whole number of any type, such as a float or a numpy scalar, to an int in the range of a C type."""
    low, high = _RANGES[kind]
    number = int(value)
    if number != value or not low <= number <= high:
        raise ValueError(f"{name} is {value!r}; a whole number from {low} to {high} is expected")
    return number


class Struct(c.Structure):
    """A struct of the header."""

    if TYPE_CHECKING:
        # Fields are declared as text below.
        def __getattr__(self, name: str) -> Any: ...


class Sized(Struct):
    """A struct that begins with its size. Fields that are not given are 0."""

    def __init__(self, **values: Any) -> None:
        kinds = {field[0]: _KINDS.get(field[1]) for field in self._fields_}
        fitting = {name: whole(v, name, kind) if (kind := kinds[name]) else v for name, v in values.items()}
        super().__init__(struct_size=c.sizeof(self), **fitting)


def _fields(text: str) -> list[tuple[str, Any]]:
    return [(name, _TYPES[kind]) for name, kind in (word.split(":") for word in ("struct_size:u32 " + text).split())]


class AutomaticMaskGeneratorOptions(Sized):
    _fields_ = _fields(
        "points_per_side:u32 points_per_batch:u32 crop_n_layers:u32 crop_n_points_downscale_factor:u32"
        " min_mask_region_area:u32 use_m2m:i32 multimask_output:i32 pred_iou_thresh:f32 stability_score_thresh:f32"
        " stability_score_offset:f32 mask_threshold:f32 box_nms_thresh:f32 crop_nms_thresh:f32 crop_overlap_ratio:f64"
        " point_grids:p points_per_grid:p num_point_grids:u32 reserved:u32"
    )


class AutomaticMask(Struct):
    _fields_ = _fields(
        "width:u32 height:u32 predicted_iou:f32 stability_score:f32 bbox:f32x4 point_coords:f32x2 crop_box:f32x4"
        " reserved:u32 area:u64 rle:p"
    )


class GpuInfo(Sized):
    _fields_ = _fields("capability:u32 memory:u64 usable:i32 reserved:i32 uuid:c48 name:c64")


class Image(Sized):
    _fields_ = _fields(
        "format:i32 width:u32 height:u32 planes:p3 strides:u64x3 memory:i32 has_stream:i32 stream:p matrix:i32 range:i32"
        " flip:i32 reserved:i32 timestamp:i64"
    )


class PictureOptions(Sized):
    _fields_ = _fields("upright:i32 bit_depth:u32 reserved:u32")


class MaskBuffer(Sized):
    _fields_ = _fields(
        "format:i32 data:p size:u64 memory:i32 has_stream:i32 stream:p flip:i32 reserved:i32 row_stride:u64"
        " plane_stride:u64"
    )


class ImagePredictorOptions(Sized):
    _fields_ = _fields(
        "mask_threshold:f32 max_hole_area:f32 max_sprinkle_area:f32 workspace:p workspace_size:u64"
    )


class ImagePredictorInfo(Sized):
    _fields_ = _fields("num_images:u32 width:u32 height:u32 device_bytes:u64")


class Prompt(Sized):
    _fields_ = _fields(
        "num_points:u32 points:p labels:p bounds:p mask_input:p image:u32 pad_points:i32 mask:p mask_width:u32 mask_height:u32"
    )


class ModelOptions(Sized):
    _fields_ = _fields(
        "device:i32 device_index:i32 precision:i32 threads:u32 image_size:u32 no_postprocessing:i32 no_mmap:i32 config_yaml:s"
        " overrides:s device_uuid:s cpus:p num_cpus:u32 reserved:u32 on_progress:p user:p"
    )


class ModelInfo(Sized):
    _fields_ = _fields(
        "image_size:u32 mask_side:u32 precision:i32 device:i32 device_name:c64 free_memory:u64 memory:u64"
    )


class Frame(Struct):
    _fields_ = _fields(
        "num_objects:u32 frame_idx:u64 timestamp:i64 width:u32 height:u32 obj_ids:p object_score_logits:p lost:p boxes:p areas:p"
        " masks:p masks_written:u32 reserved:u32"
    )


class VideoPush(Sized):
    _fields_ = _fields("status:i32 video:p image:p masks:p on_frame:p user:p")


class VideoPredictorOptions(Sized):
    _fields_ = _fields(
        "window:u32 legacy_corrections:i32 offload_state_to_cpu:i32 workspace:p workspace_size:u64 keep_damaged:i32"
        " upright:i32 bit_depth:u32 decoder_timeout:u32"
    )


class VideoPredictorInfo(Sized):
    _fields_ = _fields(
        "num_objects:u32 num_frames:u64 width:u32 height:u32 device_bytes:u64 host_bytes:u64 object_device_bytes:u64"
        " object_host_bytes:u64"
    )


FrameCallback = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.POINTER(Frame))
AutomaticMaskCallback = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.POINTER(AutomaticMask))
ProgressCallback = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_uint64, c.c_uint64, c.c_uint64)
LoadCallback = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_float)
WriteCallback = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p, c.c_size_t)

# Functions that return a status, with the types of their parameters.
SIGNATURES = """
    automatic_mask_generator_create p p p
    automatic_mask_generator_destroy p
    automatic_mask_generator_cancel p
    automatic_mask_generator_generate p p u64 p p p p
    gpu_get_count p
    gpu_get_info u32 p
    image_from_dlpack p p
    mask_buffer_from_dlpack p p
    mask_encode_rle p u32 u32 p p
    mask_get_label_map p size u32 u32 p
    mask_get_polygons s u32 u32 p p p p
    tensor_create p i32 i32 p u32 p
    model_load s p p
    model_load_memory p size p p
    model_destroy p
    model_get_info p p
    picture_read_with s p p
    picture_decode s size p p
    picture_destroy p
    picture_get_image p p
    image_predictor_create p p p
    image_predictor_destroy p
    image_predictor_cancel p
    image_predictor_reserve p u32 u32 i32
    image_predictor_set_image_batch p p size
    image_predictor_reset p
    image_predictor_get_info p u32 p
    image_predictor_get_features p i32 u32 p size p
    image_predictor_take_features p p
    image_predictor_set_features p p
    video_predictor_take_features p u64 p
    video_predictor_set_features p p
    features_get_bytes p p
    features_destroy p
    image_predictor_predict p p size u32 p p p p
    video_predictor_open p s p p
    video_predictor_create_stream p p p
    video_predictor_fork p p
    video_predictor_destroy p
    video_predictor_cancel p
    video_predictor_get_info p p
    video_predictor_get_obj_ids p p p
    video_predictor_reserve p u32 u32 u32
    video_predictor_save_state p p p
    video_predictor_load_state p s size
    video_predictor_add_new_points_or_box p u64 i64 p u32 p p p
    video_predictor_add_new_mask p u64 i64 p u32 u32 p p p
    video_predictor_add_new_mask_f32 p u64 i64 p u32 u32 p p p
    video_predictor_clear_all_prompts_in_frame p u64 i64 p p p
    video_predictor_remove_object p i64
    video_predictor_reset_state p
    video_predictor_propagate_in_video p i64 i64 i32 p p p
    video_predictor_push_frame p p p p p
    video_predictor_push_frames p size
    set_log_callback i32 p p
    set_time_limit u64 p
"""


def _of_system() -> str:
    # Imported here because it takes long and is rarely needed.
    from ctypes.util import find_library

    return find_library("sam2") or ("sam2.dll" if os.name == "nt" else "libsam2.so.1")


def _load() -> c.CDLL:
    folder = Path(__file__).parent
    beside = sorted(str(path) for pattern in ("libsam2.*", "sam2.dll") for path in folder.glob(pattern))
    name = os.environ.get("SAM2_LIBRARY") or (beside[0] if beside else _of_system())
    try:
        library = c.CDLL(name)
    except OSError as error:
        raise ImportError(f"the library libsam2 is not found; set SAM2_LIBRARY to its path: {error}") from None
    library.sam2_abi_version.restype = c.c_uint32
    if library.sam2_abi_version() != VERSION:
        raise ImportError(f"{name} has version {library.sam2_abi_version()} of the interface, not {VERSION}")
    for text in ("last_error", "version", "build_info"):
        getattr(library, "sam2_" + text).restype = c.c_char_p
    library.sam2_last_errno.restype = c.c_int32
    for name, kinds in _ARGUMENTS.items():
        getattr(library, "sam2_" + name).argtypes = [_TYPES[kind] for kind in kinds]
    return library


_ARGUMENTS = {name: kinds for name, *kinds in (line.split() for line in SIGNATURES.strip().split("\n"))}
lib = _load()


def call(function: str, *arguments: Any) -> None:
    """Calls a function by its name without `sam2_`. Raises a Sam2Error if it fails."""
    kinds = zip(_ARGUMENTS[function], arguments)
    fitting = [whole(value, f"an argument of {function}", kind) if kind in _RANGES else value for kind, value in kinds]
    status = getattr(lib, "sam2_" + function)(*fitting)
    if status:
        raise raised(status, lib.sam2_last_error().decode(errors="replace"), lib.sam2_last_errno())


@contextmanager
def time_limit(seconds: Optional[float]) -> Iterator[None]:
    """Limits the time of every call that this thread makes in the `with` block. A call that takes longer raises `TimedOut`.

    The limit applies to calls that load, compute, or read the frames of a video. After `TimedOut` everything is as after
    another failure of the same call, so the call can be made again.

    Args:
        seconds: The limit. None sets no limit.
    """
    before = c.c_uint64()
    call("set_time_limit", WAIT_FOREVER if seconds is None else max(0, int(seconds * 1000)), c.byref(before))
    try:
        yield
    finally:
        call("set_time_limit", before.value, None)


def milliseconds() -> int:
    """Returns the time limit of this thread."""
    limit = c.c_uint64()
    call("set_time_limit", WAIT_FOREVER, c.byref(limit))
    call("set_time_limit", limit.value, None)
    return limit.value


class Held:
    """Holds an exception of a callback until the call of the library has ended."""

    error: Optional[BaseException] = None

    def run(self, function: Callable[..., int], *arguments: Any) -> int:
        """Runs a callback. Returns its result, or 1 to end the call after an exception."""
        try:
            return function(*arguments)
        except BaseException as error:
            self.error = error
            return 1

    def release(self) -> None:
        """Raises the exception, if there is one."""
        if self.error is not None:
            raise self.error


def aside(function: Callable[[], T]) -> T:
    """Runs a function on another thread and returns its result.

    Ctrl-C does not interrupt callbacks there. It is raised in the calling thread after the function has ended, or before it
    has begun. The time limit is that of the calling thread.
    """
    claim, done, limit = threading.Lock(), threading.Event(), milliseconds()
    outcome: list[Any] = []

    def work() -> None:
        if not claim.acquire(blocking=False):
            return
        try:
            call("set_time_limit", limit, None)
            outcome[:] = [function(), None]
        except BaseException as error:
            outcome[:] = [None, error]
        done.set()

    try:
        threading.Thread(target=work).start()
        done.wait()
    except BaseException:
        if not claim.acquire(blocking=False):
            done.wait()
        raise
    value, error = outcome
    if error is not None:
        raise error
    result: T = value
    return result


class Owner:
    """Owner of a resource of the library, which cannot be copied."""

    _instead = "make another one of the same model"

    def __reduce_ex__(self, _: Any) -> Any:
        what = type(self).__name__
        raise TypeError(f"a {what} owns memory of the library and cannot be copied or pickled: {self._instead}")


class Handle(Owner):
    """Owner of a handle of the library.

    The handle is destroyed by `close`, at the end of a `with` block, or with the last reference.
    """

    _kind = ""
    _h: Optional[c.c_void_p] = None

    def __repr__(self) -> str:
        try:
            facts = self._facts() if self._h else "closed"
        except Busy:
            facts = "in use"
        return f"<{type(self).__name__}: {facts}>"

    def _facts(self) -> str:
        """Describes the object for `repr`."""
        return "open"

    def _create(self, function: str, *arguments: Any) -> None:
        # Owned before the call returns, so that an exception in between does not leak it.
        self._h = c.c_void_p()
        call(function, *arguments, c.byref(self._h))

    def close(self) -> None:
        """Destroys the handle. Later calls on this object fail.

        A call of another thread that uses the object is ended, and raises `Cancelled` there.

        Raises:
            Busy: A callback of the object makes this call. The object remains usable.
        """
        handle, self._h = self._h, None
        if handle:
            try:
                call(self._kind + "_destroy", handle)
            except Busy:
                self._h = handle
                raise

    def __enter__(self: H) -> H:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # the interpreter is shutting down
            pass


class Stoppable(Handle):
    """Owner of a handle whose calls can be ended."""

    def cancel(self) -> None:
        """Ends the call that another thread makes with this object. It raises `Cancelled` there. Does not wait."""
        call(self._kind + "_cancel", self._h)
