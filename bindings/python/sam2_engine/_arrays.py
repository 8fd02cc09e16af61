"""Conversion of images, prompts and masks to structs of the library.

Each struct comes with the objects that own its memory.
"""

from __future__ import annotations

import ctypes as c
from typing import Any, Optional, Sequence

from . import _abi as abi
from ._dlpack import Borrowed, is_tensor, on_host
from ._numpy import np, npt
from ._picture import of_pillow


def pointer(array: npt.NDArray[Any]) -> c.c_void_p:
    """Gets the address of the values of an array."""
    return c.c_void_p(array.ctypes.data)


def place(names: Sequence[str], name: str, what: str) -> int:
    """Gets the index of a name. Raises ValueError if there is no such name."""
    if name not in names:
        raise ValueError(f"no {what} {name!r}; there are {', '.join(names)}")
    return names.index(name)


def picture(
    image: Any,
    format: Optional[str] = None,
    flip: bool = False,
    matrix: str = "bt709",
    full_range: bool = False,
    stream: int = 0,
) -> tuple[abi.Image, Any]:
    """Converts an image to the struct of the library. Methods that take an image accept these arguments.

    Args:
        image: An array, a Pillow image, or a tensor with __dlpack__. Arrays and tensors have the shape (height, width) for gray,
            (height, width, 3 or 4) or (3, height, width) for RGB or RGBA of uint8, or (height, width, 3) or (3, height, width)
            of float32, float16 or bfloat16 from 0 to 1. A leading dimension of 1 before three others is dropped. If two orders
            of dimensions fit, the last dimension is the channels. A Pillow image is used as it is stored and converted to RGB.
            Of mode I;16 the upper 8 bits are used, and modes I and F are rejected. A tensor may be in the memory of the
            model's GPU.
        format: Meaning of the bytes if it differs: "bgr" or "bgra", "yuyv" or "uyvy" of shape (height, width, 2), or "nv12" of
            shape (height * 3 / 2, width) with an even height.
        flip: The bottom row comes first.
        matrix: Color matrix of "yuyv", "uyvy" and "nv12": "bt709" or "bt601".
        full_range: Value range of these formats: 0 to 255 instead of 16 to 235.
        stream: CUDA stream on which the tensor is used. 0 is the default stream.

    Returns:
        The struct, and an object that owns the pixels.

    Raises:
        ValueError: The value is not an image.
    """
    out = abi.Image(flip=bool(flip), matrix=place(abi.MATRICES, matrix, "matrix"), range=bool(full_range))
    keep: Any
    if is_tensor(image):
        keep = Borrowed(image, stream)
        abi.call("image_from_dlpack", keep.managed, c.byref(out))
        out.has_stream, out.stream = keep.on_gpu, keep.stream
        natural = abi.FORMATS[out.format]
    else:
        keep, natural = _describe(of_pillow(image) if hasattr(image, "convert") else np.asarray(image), out)
    name = format or natural
    if natural == "rgb8_planar" and name in ("rgb", "bgr"):
        out.planes[:] = out.planes[:: 1 if name == "rgb" else -1]
        name = natural
    if name not in _ALIKE.get(natural, (natural,)):
        raise ValueError(f"not an image: {natural} as {name!r}")
    out.format = abi.FORMATS.index(name)
    if name == "nv12":
        if out.height % 3:
            raise ValueError(f"nv12 of {out.height} rows; height * 3 / 2, of an even height, is right")
        out.height = out.height // 3 * 2
        out.planes[1], out.strides[1] = out.planes[0] + out.height * out.strides[0], out.strides[0]
    return out, keep


# Formats that share a layout. Pairs are neighbors in a row.
_ALIKE = {"rgb": ("rgb", "bgr"), "rgba": ("rgba", "bgra"), "gray": ("gray", "nv12"), "pairs": ("yuyv", "uyvy")}


# Formats by the type of the values and the number of channels, and the format of three planes.
_NATURAL: dict[str, tuple[dict[int, str], str]] = {
    "uint8": ({1: "gray", 2: "pairs", 3: "rgb", 4: "rgba"}, "rgb8_planar"),
    "float32": ({3: "rgb_f32"}, "rgb_f32_planar"),
    "float16": ({3: "rgb_f16"}, "rgb_f16_planar"),
    "bfloat16": ({3: "rgb_bf16"}, "rgb_bf16_planar"),
}


def _describe(image: npt.NDArray[Any], out: abi.Image) -> tuple[npt.NDArray[Any], str]:
    """Writes the memory layout of an array. Returns the array or a copy, and its format by type and shape."""
    if image.dtype == np.uint16:
        raise ValueError("an image of uint16: scale it to uint8, as (image >> 8).astype(numpy.uint8), of 12-bit values >> 4")
    names, planar = _NATURAL.get(image.dtype.name, ({}, ""))
    view = image[0] if image.ndim == 4 and len(image) == 1 else image
    view = view[..., None] if view.ndim == 2 else view
    if view.ndim == 3 and view.shape[2] not in names and len(view) in (1, 3):
        view = np.moveaxis(view, 0, 2)
    name = names.get(view.shape[2]) if view.ndim == 3 else None
    if name is None:
        right = "(height, width, 3) or (3, height, width) of uint8, or of float32 or float16 in 0..1, is one"
        raise ValueError(f"not an image: {image.dtype} {image.shape}; {right}")
    height, width, channels = view.shape
    row, column, channel = view.strides
    apart = channels == 3 and column == view.itemsize and row >= width * column and channel > 0
    if not apart:
        view = _rows(view)
        row = view.strides[0]
    out.height, out.width = height, width
    for plane in range(3 if apart else 1):
        out.planes[plane] = view.ctypes.data + plane * channel
        out.strides[plane] = row
    return view, planar if apart else name


def _rows(view: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns an image (height, width, channels), or a copy if there are gaps within its rows."""
    _, width, channels = view.shape
    row, column, channel = view.strides
    tight = channel == view.itemsize and column == channels * channel and row >= width * column
    return view if tight else np.ascontiguousarray(view)


def array_of(values: Any, dtype: Any = None) -> npt.NDArray[Any]:
    """Converts a list, an array or a tensor to an array."""
    return np.asarray(on_host(values) if is_tensor(values) else values, dtype)


def boxes_of(box: Any) -> npt.NDArray[np.float32]:
    """Converts boxes of shape (4), (2, 2), (n, 4) or (n, 2, 2) to (n, 4): left, top, right, bottom."""
    box = array_of(box, np.float32)
    if box.size % 4 or not box.size:
        raise ValueError(f"a box of shape {box.shape}; (4) or (2, 2) is one: left, top, right, bottom; (n, 4) are several")
    boxes: npt.NDArray[np.float32] = box.reshape(-1, 4)
    return boxes


def logits_of(mask_input: Any, side: int) -> npt.NDArray[np.float32]:
    """Converts logits (side, side), (1, side, side) or (objects, 1, side, side) to (objects, side, side)."""
    logits = array_of(mask_input)
    expected = f"the low-resolution logits of an earlier predict, float32 (1, {side}, {side})"
    instead = "a mask of the image is given as `mask`"
    if logits.dtype.kind != "f" and logits.dtype.name != "bfloat16":
        raise ValueError(f"mask_input of {logits.dtype}; {expected}, are expected; {instead}")
    ndim = logits.ndim
    if logits.shape[-2:] != (side, side) or ndim not in (2, 3, 4) or (ndim > 2 and logits.shape[-3] != 1):
        raise ValueError(f"mask_input of shape {logits.shape}; {expected}, or (objects, 1, {side}, {side}), are expected; {instead}")
    by_object: npt.NDArray[np.float32] = logits.astype(np.float32).reshape(-1, side, side)
    return by_object


def masks_given(mask: Any) -> npt.NDArray[np.bool_]:
    """Converts masks (height, width), (objects, height, width) or (objects, 1, height, width) to (objects, height, width)."""
    mask = array_of(mask)
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    if mask.ndim not in (2, 3) or not mask.size:
        raise ValueError(f"a mask of shape {mask.shape}; (height, width) is right, or (objects, height, width)")
    if mask.dtype.kind == "f" and len(np.unique(mask)) > 2:
        raise ValueError("a mask of floats that are not only 0 and 1; logits are given as mask_input, others as mask > 0.5")
    on: npt.NDArray[np.bool_] = mask != 0
    return on[None] if on.ndim == 2 else on


def prompt(
    points: Any, labels: Any, box: Any, mask_input: Any, image: int = 0, mask: Any = None
) -> tuple[abi.Prompt, list[Any]]:
    """Converts a prompt for one object to the struct of the library. Returns the struct and the arrays that it refers to."""
    out = abi.Prompt(image=image)
    keep: list[npt.NDArray[Any]] = []

    def kept(values: Any, dtype: Any, *shape: int) -> npt.NDArray[Any]:
        keep.append(np.ascontiguousarray(array_of(values), dtype=dtype).reshape(shape))
        return keep[-1]

    if (points is None) != (labels is None):
        raise ValueError("points and labels go together")
    if points is not None:
        points, labels = kept(points, np.float32, -1, 2), kept(labels, np.int32, -1)
        if len(points) != len(labels):
            raise ValueError(f"{len(points)} points with {len(labels)} labels")
        out.num_points, out.points, out.labels = len(points), points.ctypes.data, labels.ctypes.data
        out.pad_points = 1
    if box is not None:
        boxes = boxes_of(box)
        if len(boxes) != 1:
            raise ValueError(f"{len(boxes)} boxes for one object")
        out.bounds = kept(boxes, np.float32, 4).ctypes.data
    if mask_input is not None:
        out.mask_input = kept(mask_input, np.float32, -1).ctypes.data
    if mask is not None:
        out.mask_height, out.mask_width = mask.shape
        out.mask = kept(mask, np.uint8, -1).ctypes.data
    return out, keep


def masks_of(format: str, count: int, height: int, width: int) -> npt.NDArray[Any]:
    """Allocates an array for masks of a format of `abi.MASKS`."""
    place(abi.MASKS, format, "mask format")
    if format == "bits":
        return np.zeros((count, height, (width + 7) // 8), np.uint8)
    if format in ("labels", "ids8", "ids16"):
        return np.zeros((height, width), np.uint8 if format == "ids8" else np.uint16)
    return np.zeros((count, 1, height, width), np.float32 if format == "logits" else np.uint8)


def mask_buffer(to: Any, format: Optional[str] = None, stream: int = 0) -> tuple[abi.MaskBuffer, Any]:
    """Converts an array or a tensor that receives masks to the struct of the library.

    `format` is required if uint8 means bits, or if values are ids. A row of an array is contiguous, and there may be gaps
    between rows and between masks. Returns the struct and the owner of the memory.
    """
    out = abi.MaskBuffer()
    if not isinstance(to, np.ndarray):
        keep = Borrowed(to, stream)
        abi.call("mask_buffer_from_dlpack", keep.managed, c.byref(out))
        out.has_stream, out.stream = keep.on_gpu, keep.stream
        return out, keep
    formats = {"uint8": "binary", "bool": "binary", "float32": "logits", "uint16": "labels"}
    if to.dtype.name not in formats or not to.flags.writeable:
        raise ValueError(f"no array for masks: {to.dtype} {to.shape}; uint8, bool, float32 or uint16 is one")
    out.format, out.data, out.size = abi.MASKS.index(format or formats[to.dtype.name]), to.ctypes.data, to.nbytes
    if not to.flags.c_contiguous:
        out.row_stride, out.plane_stride, out.size = gaps(to)
    return out, to


def gaps(to: npt.NDArray[Any]) -> tuple[int, int, int]:
    """Returns the bytes from a row and from a mask to the next, and all bytes, of an array with gaps."""
    masks = to.reshape(-1, *to.shape[-2:]) if to.ndim < 3 else to[:, 0] if to.ndim == 4 and to.shape[1] == 1 else to
    if masks.ndim != 3 or min(masks.strides) < 0 or masks.strides[2] != to.itemsize:
        raise ValueError(f"no array for masks: the rows of {to.shape} are not contiguous")
    count, height, _ = masks.shape
    plane, row, _ = masks.strides
    plane = plane if count > 1 else row * height
    return row, plane, max(0, (count - 1) * plane + (height - 1) * row + masks.shape[2] * to.itemsize)
