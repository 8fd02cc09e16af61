"""Pictures, prompts and masks as the library's structs. Each comes with what must stay alive while it is used."""

import ctypes as c

import numpy as np

from . import _abi as abi
from ._dlpack import Borrowed
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

    image: an array, (height, width) gray, (height, width, 3 or 4) red, green, blue as uint8, (height, width, 3) or
    (3, height, width) as float32 in 0..1; a picture of Pillow's, as it is stored, converted to RGB, of I;16 the upper 8 bits (I
    and F are refused); or a tensor that has __dlpack__, also in the memory of the
    model's GPU, where stream (0: the default one) is the CUDA stream it is used on.
    format: where the bytes mean something else, "bgr" or "bgra"; "yuyv" or "uyvy", (height, width, 2); "nv12", (height * 3 / 2,
    width), with an even height; these three with their matrix ("bt709" or "bt601") and range.
    flip: the lowest row comes first.
    """
    out = abi.Image(flip=bool(flip), matrix=place(abi.MATRICES, matrix, "matrix"), range=bool(full_range))
    if hasattr(image, "__dlpack__") and not isinstance(image, np.ndarray):
        keep = Borrowed(image, stream)
        abi.call("image_from_dlpack", keep.managed, c.byref(out))
        out.has_stream, out.stream = keep.on_gpu, keep.stream
        natural = abi.FORMATS[out.format]
    else:
        keep, natural = _describe(of_pillow(image) if hasattr(image, "convert") else np.asarray(image), out)
    name = format or natural
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


def _describe(image, out):
    """Writes where an array lies; the array, or its copy, and what it is by its shape."""
    if image.dtype == np.uint16:
        raise ValueError("a picture of uint16: scale it to uint8, as (image >> 8).astype(numpy.uint8), of 12-bit values >> 4")
    floats, channels = image.dtype == np.float32, image.shape[2] if image.ndim == 3 else 1
    planar = floats and channels != 3 and image.ndim == 3 and len(image) == 3
    names = {3: "rgb_f32"} if floats else {1: "gray", 2: "pairs", 3: "rgb", 4: "rgba"}
    name = "rgb_f32_planar" if planar else names.get(channels)
    if image.dtype not in (np.uint8, np.float32) or image.ndim not in (2, 3) or name is None:
        raise ValueError(f"no picture: {image.dtype} {image.shape}; uint8 (height, width, 3) is one")
    image = _rows(image, 1 if planar else 0)
    out.height, out.width = image.shape[1:] if planar else image.shape[:2]
    for plane in range(3 if planar else 1):
        out.planes[plane] = image.ctypes.data + plane * image.strides[0]
        out.strides[plane] = image.strides[1 if planar else 0]
    return image, name


def _rows(array, first):
    """The array, or a copy of it where there are gaps within its rows; `first` is the dimension of rows."""
    tight = [array.itemsize * int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim)]
    within = all(array.strides[i] == tight[i] for i in range(first + 1, array.ndim))
    apart = min(array.strides) > 0 and array.strides[first] >= tight[first]
    return array if within and apart else np.ascontiguousarray(array)


def prompt(points, labels, box, mask_input, image=0, side=0):
    """The struct for a prompt; side: of a mask as input."""
    out, keep = abi.Prompt(image=image), []

    def kept(values, kind, *shape):
        keep.append(np.ascontiguousarray(values, dtype=kind).reshape(shape))
        return keep[-1]

    if (points is None) != (labels is None):
        raise ValueError("points and labels go together")
    if points is not None:
        points, labels = kept(points, np.float32, -1, 2), kept(labels, np.int32, -1)
        if len(points) != len(labels):
            raise ValueError(f"{len(points)} points with {len(labels)} labels")
        out.num_points, out.points, out.labels = len(points), points.ctypes.data, labels.ctypes.data
    if box is not None:
        out.box_ = kept(box, np.float32, 4).ctypes.data
    if mask_input is not None:
        out.mask_input = kept(mask_input, np.float32, side, side).ctypes.data
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
