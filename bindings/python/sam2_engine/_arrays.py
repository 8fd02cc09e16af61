"""Pictures, prompts and masks as the library's structs. Each comes with what must stay alive while it is used."""

import ctypes as c

import numpy as np

from . import _abi as abi
from ._dlpack import Borrowed, is_tensor, on_host
from ._picture import of_pillow


def pointer(array):
    return c.c_void_p(array.ctypes.data)


def place(names, name, what):
    """The number of a name."""
    if name not in names:
        raise ValueError(f"no {what} {name!r}; there are {', '.join(names)}")
    return names.index(name)


def picture(image, format=None, flip=False, matrix="bt709", full_range=False, stream=0):
    """The struct for a picture.

    image: an array, (height, width) gray, (height, width, 3 or 4) or (3, height, width), red, green, blue, as uint8; (height,
    width, 3) or (3, height, width) as float32, float16 or bfloat16 in 0..1; a picture of Pillow's, as it is stored, converted to
    RGB, of I;16 the upper 8 bits (I and F are refused); or a tensor that has __dlpack__, also in the memory of the model's
    GPU, where stream (0: the default one) is the CUDA stream it is used on. A first dimension of 1 before three others is left out; where two orders of dimensions fit, the last dimension is the
    channels.
    format: where the bytes mean something else, "bgr" or "bgra"; "yuyv" or "uyvy", (height, width, 2); "nv12", (height * 3 / 2,
    width), with an even height; these three with their matrix ("bt709" or "bt601") and range.
    flip: the lowest row comes first.
    """
    out = abi.Image(flip=bool(flip), matrix=place(abi.MATRICES, matrix, "matrix"), range=bool(full_range))
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
        raise ValueError(f"no picture: {natural} as {name!r}")
    out.format = abi.FORMATS.index(name)
    if name == "nv12":
        if out.height % 3:
            raise ValueError(f"nv12 of {out.height} rows; height * 3 / 2, of an even height, is right")
        out.height = out.height // 3 * 2
        out.planes[1], out.strides[1] = out.planes[0] + out.height * out.strides[0], out.strides[0]
    return out, keep


# What else bytes may mean; pairs are of neighbours of a row.
_ALIKE = {"rgb": ("rgb", "bgr"), "rgba": ("rgba", "bgra"), "gray": ("gray", "nv12"), "pairs": ("yuyv", "uyvy")}


# What a picture is, by the type of its values and its channels; and how its planes are called, of three channels.
_NATURAL = {
    "uint8": ({1: "gray", 2: "pairs", 3: "rgb", 4: "rgba"}, "rgb8_planar"),
    "float32": ({3: "rgb_f32"}, "rgb_f32_planar"),
    "float16": ({3: "rgb_f16"}, "rgb_f16_planar"),
    "bfloat16": ({3: "rgb_bf16"}, "rgb_bf16_planar"),
}


def _describe(image, out):
    """Writes where an array lies; the array, or its copy, and what it is by its type and shape."""
    if image.dtype == np.uint16:
        raise ValueError("a picture of uint16: scale it to uint8, as (image >> 8).astype(numpy.uint8), of 12-bit values >> 4")
    names, planar = _NATURAL.get(image.dtype.name, ({}, None))
    view = image[0] if image.ndim == 4 and len(image) == 1 else image
    view = view[..., None] if view.ndim == 2 else view
    if view.ndim == 3 and view.shape[2] not in names and len(view) in (1, 3):
        view = np.moveaxis(view, 0, 2)
    name = names.get(view.shape[2]) if view.ndim == 3 else None
    if name is None:
        right = "(height, width, 3) or (3, height, width) of uint8, or of float32 or float16 in 0..1, is one"
        raise ValueError(f"no picture: {image.dtype} {image.shape}; {right}")
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


def _rows(view):
    """The picture (height, width, channels), or a copy of it where there are gaps within its rows."""
    _, width, channels = view.shape
    row, column, channel = view.strides
    tight = channel == view.itemsize and column == channels * channel and row >= width * column
    return view if tight else np.ascontiguousarray(view)


def array_of(values, dtype=None):
    """Numbers that are given as a list, an array or a tensor."""
    return np.asarray(on_host(values) if is_tensor(values) else values, dtype)


def boxes_of(box):
    """Boxes (n, 4), given as (4), (2, 2), (n, 4) or (n, 2, 2): left, top, right, bottom."""
    box = array_of(box, np.float32)
    if box.size % 4 or not box.size:
        raise ValueError(f"a box of shape {box.shape}; (4) or (2, 2) is one: left, top, right, bottom; (n, 4) are several")
    return box.reshape(-1, 4)


def logits_of(mask_input, side):
    """Logits of an earlier mask as they are given, (side, side), (1, side, side) or (objects, 1, side, side), by objects."""
    logits = array_of(mask_input)
    expected = f"the low-resolution logits of an earlier predict, float32 (1, {side}, {side})"
    instead = "a mask of the picture is given as `mask`"
    if logits.dtype.kind != "f" and logits.dtype.name != "bfloat16":
        raise ValueError(f"mask_input of {logits.dtype}; {expected}, are expected; {instead}")
    ndim = logits.ndim
    if logits.shape[-2:] != (side, side) or ndim not in (2, 3, 4) or (ndim > 2 and logits.shape[-3] != 1):
        raise ValueError(f"mask_input of shape {logits.shape}; {expected}, or (objects, 1, {side}, {side}), are expected; {instead}")
    return logits.astype(np.float32).reshape(-1, side, side)


def masks_given(mask):
    """Masks of a picture as they are given, (height, width), (objects, height, width) or (objects, 1, height, width), by
    objects."""
    mask = array_of(mask)
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    if mask.ndim not in (2, 3) or not mask.size:
        raise ValueError(f"a mask of shape {mask.shape}; (height, width) is right, or (objects, height, width)")
    if mask.dtype.kind == "f" and len(np.unique(mask)) > 2:
        raise ValueError("a mask of floats that are not only 0 and 1; logits are given as mask_input, others as mask > 0.5")
    on = mask != 0
    return on[None] if on.ndim == 2 else on


def prompt(points, labels, box, mask_input, image=0, mask=None):
    """The struct for a prompt of one object."""
    out, keep = abi.Prompt(image=image), []

    def kept(values, kind, *shape):
        keep.append(np.ascontiguousarray(array_of(values), dtype=kind).reshape(shape))
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
        out.box_ = kept(boxes, np.float32, 4).ctypes.data
    if mask_input is not None:
        out.mask_input = kept(mask_input, np.float32, -1).ctypes.data
    if mask is not None:
        out.mask_height, out.mask_width = mask.shape
        out.mask = kept(mask, np.uint8, -1).ctypes.data
    return out, keep


def masks_of(kind, count, height, width):
    """An array for so many masks of a kind of `abi.MASKS`."""
    place(abi.MASKS, kind, "kind of masks")
    if kind == "bits":
        return np.zeros((count, height, (width + 7) // 8), np.uint8)
    if kind == "labels":
        return np.zeros((height, width), np.uint16)
    return np.zeros((count, 1, height, width), np.float32 if kind == "logits" else np.uint8)


def mask_buffer(to, kind=None, stream=0):
    """The struct for masks that go to an array, or to a tensor that has __dlpack__; kind: where uint8 is bits."""
    out = abi.MaskBuffer()
    if not isinstance(to, np.ndarray):
        keep = Borrowed(to, stream)
        abi.call("mask_buffer_from_dlpack", keep.managed, c.byref(out))
        out.has_stream, out.stream = keep.on_gpu, keep.stream
        return out, keep
    kinds = {"uint8": "binary", "bool": "binary", "float32": "logits", "uint16": "labels"}
    if to.dtype.name not in kinds or not (to.flags.c_contiguous and to.flags.writeable):
        raise ValueError(f"no array for masks: {to.dtype} {to.shape}; uint8, bool, float32 or uint16 without gaps is one")
    out.kind, out.data, out.size = abi.MASKS.index(kind or kinds[to.dtype.name]), to.ctypes.data, to.nbytes
    return out, to
