"""Between numpy, tensors of other libraries, and the library's structs."""

import ctypes as c

import numpy as np

from . import _abi as abi


def pointer(array):
    return c.c_void_p(array.ctypes.data)


def picture(image, format=None, flip=False):
    """The struct for a picture, and what must stay alive while it is used.

    A numpy array, (height, width), or (height, width, 3 or 4) uint8, or (height, width, 3) or (3, height, width) float32 in
    0..1; or whatever has __dlpack__, also in the memory of the model's GPU.
    """
    out = abi.Image()
    if hasattr(image, "__array__") and not _on_gpu(image):
        image = np.asarray(image)
    if isinstance(image, np.ndarray):
        image, name = _rows(image)
        name = format or name
        planar = name.endswith("planar")
        height, width = image.shape[1:] if planar else image.shape[:2]
        rows = image.strides[1 if planar else 0]
        first = image.ctypes.data
        planes = [first + i * image.strides[0] for i in range(3)] if planar else [first, None, None]
        out.format, out.width, out.height = abi.FORMATS[name], width, height
        out.planes, out.strides = (c.c_void_p * 3)(*planes), (c.c_uint64 * 3)(*[rows if p else 0 for p in planes])
        keep = image
    else:
        keep = Tensor(image)
        abi.call("image_from_dlpack", keep.managed, c.byref(out))
        if format is not None:
            out.format = abi.FORMATS[format]
        out.has_stream, out.stream = keep.on_gpu, keep.stream
    out.flip = flip
    return out, keep


def _on_gpu(x):
    return hasattr(x, "__dlpack_device__") and int(x.__dlpack_device__()[0]) not in (1, 3)


def _rows(image):
    """The array with rows that have no gaps within, and the name of its format."""
    if image.dtype == np.uint8 and (image.ndim == 2 or image.ndim == 3 and image.shape[2] in (1, 3, 4)):
        name = {1: "gray", 3: "rgb", 4: "rgba"}[1 if image.ndim == 2 else image.shape[2]]
    elif image.dtype == np.float32 and image.ndim == 3 and image.shape[2] == 3:
        name = "rgb_f32"
    elif image.dtype == np.float32 and image.ndim == 3 and image.shape[0] == 3:
        name = "rgb_f32_planar"
    else:
        raise ValueError(f"no picture: {image.dtype} {image.shape}; (height, width, 3) of uint8 is one")
    dense = np.ascontiguousarray(image)
    within = slice(2, None) if name.endswith("planar") else slice(1, None)
    row = 1 if name.endswith("planar") else 0
    tight = image.strides[within] == dense.strides[within] and image.strides[row] >= dense.strides[row]
    return (image if tight else dense), name


class Tensor:
    """A tensor taken from its owner by DLPack, and given back with the last reference."""

    def __init__(self, x):
        device = x.__dlpack_device__()
        self.on_gpu = int(device[0]) not in (1, 3)
        # The default stream: the owner makes what it has enqueued come before, and the library's work follows it.
        self.stream = None
        arguments = {"max_version": (1, 0)}
        if self.on_gpu:
            arguments["stream"] = 1
        self._capsule = x.__dlpack__(**arguments)
        name = b"dltensor_versioned"
        if not _is_valid(self._capsule, name):
            raise TypeError("a tensor of DLPack 1 is needed: its library is too old")
        self.managed = c.c_void_p(_get_pointer(self._capsule, name))


_is_valid = c.pythonapi.PyCapsule_IsValid
_is_valid.argtypes, _is_valid.restype = [c.py_object, c.c_char_p], c.c_int
_get_pointer = c.pythonapi.PyCapsule_GetPointer
_get_pointer.argtypes, _get_pointer.restype = [c.py_object, c.c_char_p], c.c_void_p


def prompt(points, labels, box, mask_input, image=0):
    """The struct for a prompt, and what must stay alive while it is used."""
    out, keep = abi.Prompt(image=image), []
    if (points is None) != (labels is None):
        raise ValueError("point_coords and point_labels go together")
    if points is not None:
        points = np.ascontiguousarray(points, dtype=np.float32).reshape(-1, 2)
        labels = np.ascontiguousarray(labels, dtype=np.int32).reshape(-1)
        if len(points) != len(labels):
            raise ValueError(f"{len(points)} points with {len(labels)} labels")
        out.num_points, out.points, out.labels = len(points), points.ctypes.data, labels.ctypes.data
        keep += [points, labels]
    if box is not None:
        box = np.ascontiguousarray(box, dtype=np.float32).reshape(4)
        out.box = box.ctypes.data
        keep.append(box)
    if mask_input is not None:
        mask_input = np.ascontiguousarray(mask_input, dtype=np.float32)
        out.mask_input = mask_input.ctypes.data
        keep.append(mask_input)
    return out, keep


def buffer(array=None, dlpack=None):
    """The struct for masks that go to a numpy array, or to a tensor by DLPack."""
    out = abi.MaskBuffer()
    if dlpack is not None:
        tensor = Tensor(dlpack)
        abi.call("mask_buffer_from_dlpack", tensor.managed, c.byref(out))
        out.has_stream, out.stream = tensor.on_gpu, tensor.stream
        return out, tensor
    kinds = {np.dtype(np.uint8): abi.MASK_U8, np.dtype(np.float32): abi.MASK_LOGITS, np.dtype(np.uint16): abi.MASK_LABELS}
    out.kind, out.data, out.size = kinds[array.dtype], array.ctypes.data, array.nbytes
    return out, array
