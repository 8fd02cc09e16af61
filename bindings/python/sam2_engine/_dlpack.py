"""Exchange of tensors with other libraries by DLPack 1."""

from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING, Any, Optional, Sequence

from . import _abi as abi
from ._numpy import np, npt

if TYPE_CHECKING:
    from ._model import Model

_NAME = b"dltensor_versioned"
# Device types whose memory the host can use.
_ON_HOST = (1, 3)

_api = c.pythonapi
_api.PyCapsule_IsValid.argtypes, _api.PyCapsule_IsValid.restype = [c.c_void_p, c.c_char_p], c.c_int
_api.PyCapsule_GetPointer.argtypes, _api.PyCapsule_GetPointer.restype = [c.c_void_p, c.c_char_p], c.c_void_p
_api.PyCapsule_New.argtypes, _api.PyCapsule_New.restype = [c.c_void_p, c.c_char_p, c.c_void_p], c.py_object
_api.Py_IncRef.argtypes, _api.Py_IncRef.restype = [c.py_object], None


def is_tensor(value: Any) -> bool:
    """Returns whether a value is a tensor of a library other than numpy."""
    return hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray)


def on_host(tensor: Any) -> npt.NDArray[Any]:
    """Copies a tensor to a numpy array if necessary. bfloat16, which numpy lacks, becomes float32."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    return np.from_dlpack(tensor)


class Borrowed:
    """A tensor of another library, borrowed while this object exists.

    The capsule keeps its name, which states that the tensor has not been taken over. So the capsule releases the tensor.
    """

    managed: int

    def __init__(self, owner: Any, stream: int) -> None:
        if isinstance(owner, Tensor):
            # A tensor of this library is used without transferring it.
            self._kept: Any = owner
            self.managed, self.on_gpu, self.stream = owner.managed, owner.memory == abi.CUDA, stream
            return
        # PyTorch does not export tensors that require a gradient.
        owner = owner.detach() if hasattr(owner, "detach") else owner
        self.on_gpu = int(owner.__dlpack_device__()[0]) not in _ON_HOST
        self.stream = stream
        # 1 is the default stream. The owner orders its own work before what is enqueued there.
        order = {"stream": stream or 1} if self.on_gpu else {}
        try:
            self._kept = owner.__dlpack__(max_version=(1, 0), **order)
        except TypeError as error:
            raise TypeError(f"{type(owner).__name__} has no DLPack 1: its library is too old ({error})") from None
        address = id(self._kept)
        if not _api.PyCapsule_IsValid(address, _NAME):
            raise TypeError(f"{type(owner).__name__} gives a tensor of a DLPack before 1: its library is too old")
        self.managed = _api.PyCapsule_GetPointer(address, _NAME)


def _delete(managed: int) -> None:
    # The deleter follows the version and the context pointer.
    deleter = c.cast(managed + 16, c.POINTER(c.CFUNCTYPE(None, c.c_void_p)))[0]
    deleter(managed)


# The argument is an address, because a reference to the capsule would revive it.
def _delete_unclaimed(capsule: int, api: Any = _api, name: bytes = _NAME, delete: Any = _delete) -> None:
    """Destructor of a capsule: deletes the tensor unless another library has taken it over."""
    if api.PyCapsule_IsValid(capsule, name):
        delete(api.PyCapsule_GetPointer(capsule, name))


_forgotten = c.CFUNCTYPE(None, c.c_void_p)(_delete_unclaimed)


# Capsules may outlive this module when the interpreter shuts down.
_api.Py_IncRef(_forgotten)


class Tensor(abi.Owner):
    """A tensor for masks, created by `Model.empty`. `from_dlpack` of another library takes it over, once."""

    _instead = "pass it to from_dlpack of another library, and copy it there"

    def __init__(self, model: Model, shape: Sequence[int], format: str, on_gpu: bool) -> None:
        self.shape, self.memory = tuple(int(n) for n in shape), abi.CUDA if on_gpu else abi.HOST
        self._managed, sizes = c.c_void_p(), (c.c_int64 * len(self.shape))(*self.shape)
        abi.call(
            *("tensor_create", model._h, abi.MASKS.index(format), self.memory, sizes, len(sizes), c.byref(self._managed))
        )

    def __repr__(self) -> str:
        return f"<Tensor: {self.shape}{'' if self._managed else ', handed over'}>"

    @property
    def managed(self) -> int:
        """The address of the DLManagedTensorVersioned."""
        if not self._managed:
            raise ValueError("the tensor was handed over")
        address: int = self._managed.value or 0
        return address

    def __dlpack_device__(self) -> tuple[int, int]:
        # The device follows the version, context, deleter, flags and data.
        kind, index = (c.c_int32 * 2).from_address(self.managed + 40)
        return kind, index

    def __dlpack__(
        self,
        *,
        stream: Optional[int] = None,
        max_version: Optional[tuple[int, int]] = None,
        dl_device: Optional[tuple[int, int]] = None,
        copy: Optional[bool] = None,
    ) -> Any:
        if max_version is None or max_version[0] < 1:
            raise BufferError("a tensor of DLPack 1 or later alone")
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("the tensor stays where it is")
        capsule = _api.PyCapsule_New(self.managed, _NAME, c.cast(_forgotten, c.c_void_p))
        self._managed = c.c_void_p()
        return capsule

    def __del__(self) -> None:
        try:
            if self._managed.value:
                _delete(self._managed.value)
        except Exception:  # the tensor was never created, or the interpreter is shutting down
            pass
