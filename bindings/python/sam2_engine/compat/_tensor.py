"""Results that are tensors in the reference."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    _Array = np.ndarray[Any, Any]
else:  # the types have no parameters in early versions
    _Array = np.ndarray


class TensorArray(_Array):
    """A NumPy array with the methods of a tensor that programs call on results. They copy nothing."""

    device = "cpu"

    def cpu(self) -> TensorArray:
        """Returns the array."""
        return self

    def detach(self) -> TensorArray:
        """Returns the array."""
        return self

    def to(self, *_: Any, **__: Any) -> TensorArray:
        """Returns the array, whatever the device."""
        return self

    def float(self) -> Any:
        """Returns the values as float32."""
        return self.astype(np.float32, copy=False)

    def numpy(self) -> npt.NDArray[Any]:
        """Returns a plain array."""
        return self.view(np.ndarray)

    def squeeze(self, axis: Any = None) -> Any:
        """Drops a dimension of length 1, or all of them. Another dimension is kept."""
        return self if isinstance(axis, int) and self.shape[axis] != 1 else super().squeeze(axis)

    def unsqueeze(self, dim: int) -> Any:
        """Inserts a dimension of length 1."""
        return np.expand_dims(self, dim)


def tensor(values: npt.NDArray[Any], device: Any) -> Any:
    """Returns values as a tensor on a device if the program has imported torch, otherwise as a `TensorArray`."""
    torch = sys.modules.get("torch")
    return values.view(TensorArray) if torch is None else torch.from_numpy(values).to(device)
