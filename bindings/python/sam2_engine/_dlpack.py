"""Tensors of other libraries, borrowed and handed over by DLPack 1."""

import ctypes as c

import numpy as np

from . import _abi as abi

_NAME = b"dltensor_versioned"
# The host may use these as its own: its memory, and such that GPUs see too.
_ON_HOST = (1, 3)

_api = c.pythonapi
_api.PyCapsule_IsValid.argtypes, _api.PyCapsule_IsValid.restype = [c.c_void_p, c.c_char_p], c.c_int
_api.PyCapsule_GetPointer.argtypes, _api.PyCapsule_GetPointer.restype = [c.c_void_p, c.c_char_p], c.c_void_p
_api.PyCapsule_New.argtypes, _api.PyCapsule_New.restype = [c.c_void_p, c.c_char_p, c.c_void_p], c.py_object
_api.Py_IncRef.argtypes, _api.Py_IncRef.restype = [c.py_object], None


def is_tensor(value):
    """Whether it is a tensor of another library than numpy."""
    return hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray)


def on_host(tensor):
    """The values of a tensor as an array of numpy's, which has no bfloat16: they become float32."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    return np.from_dlpack(tensor)


class Borrowed:
    """A tensor of somebody else's, there as long as this is.

    Its capsule keeps its name: that says that nobody took the tensor over, so the capsule gives it back when it goes.
    """

    def __init__(self, owner, stream):
        if isinstance(owner, Tensor):
            # The library's own, which is asked for without giving it away.
            self._kept, self.managed, self.on_gpu, self.stream = owner, owner.managed, owner.memory == abi.CUDA, stream
            return
        # PyTorch lends none that requires a gradient.
        owner = owner.detach() if hasattr(owner, "detach") else owner
        self.on_gpu = int(owner.__dlpack_device__()[0]) not in _ON_HOST
        self.stream = stream
        # 1 is the default stream: what its owner does with the tensor comes before what is enqueued there.
        order = {"stream": stream or 1} if self.on_gpu else {}
        try:
            self._kept = owner.__dlpack__(max_version=(1, 0), **order)
        except TypeError as error:
            raise TypeError(f"{type(owner).__name__} has no DLPack 1: its library is too old ({error})") from None
        address = id(self._kept)
        if not _api.PyCapsule_IsValid(address, _NAME):
            raise TypeError(f"{type(owner).__name__} gives a tensor of a DLPack before 1: its library is too old")
        self.managed = _api.PyCapsule_GetPointer(address, _NAME)


def _delete(managed):
    # The deleter comes after the version and the owner's pointer.
    deleter = c.cast(managed + 16, c.POINTER(c.CFUNCTYPE(None, c.c_void_p)))[0]
    deleter(managed)


# An address, since at this point nobody must hold a reference to the capsule.
@c.CFUNCTYPE(None, c.c_void_p)
def _forgotten(capsule, api=_api, name=_NAME, delete=_delete):
    """What becomes of a capsule that goes: its tensor, unless somebody took it over."""
    if api.PyCapsule_IsValid(capsule, name):
        delete(api.PyCapsule_GetPointer(capsule, name))


# Capsules may outlive this module at the interpreter's end.
_api.Py_IncRef(_forgotten)


class Tensor(abi.Owner):
    """A tensor of the library's for masks; made by `Model.empty`, and taken over once by `from_dlpack` of another library."""

    _instead = "hand it over by from_dlpack, and copy there"

    def __init__(self, model, shape, kind, on_gpu):
        self.shape, self.memory = tuple(int(n) for n in shape), abi.CUDA if on_gpu else abi.HOST
        self._managed, sizes = c.c_void_p(), (c.c_int64 * len(self.shape))(*self.shape)
        abi.call(
            *("tensor_create", model._h, abi.MASKS.index(kind), self.memory, sizes, len(sizes), c.byref(self._managed))
        )

    @property
    def managed(self):
        """The address of its DLManagedTensorVersioned."""
        if not self._managed:
            raise ValueError("the tensor was handed over")
        return self._managed.value

    def __dlpack_device__(self):
        # After its version, owner, deleter, flags and data.
        return tuple((c.c_int32 * 2).from_address(self.managed + 40))

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if max_version is None or max_version[0] < 1:
            raise BufferError("a tensor of DLPack 1 or later alone")
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("the tensor stays where it is")
        capsule = _api.PyCapsule_New(self.managed, _NAME, c.cast(_forgotten, c.c_void_p))
        self._managed = c.c_void_p()
        return capsule

    def __del__(self):
        try:
            if self._managed:
                _delete(self._managed.value)
        except Exception:  # it was never made, or the interpreter is ending
            pass
