"""The model, with the methods of a module of PyTorch that programs call."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from .. import _model
from .._log import LOGGER

M = TypeVar("M", bound="Model")


def device_name(device: Any) -> str:
    """Converts a device of PyTorch, its name or its index to the name for the engine."""
    name = f"cuda:{device}" if isinstance(device, int) else str(device)
    if name.partition(":")[0] != "mps":
        return name
    LOGGER.warning("the engine has no backend for the device mps: the CPU is used")
    return "cpu"


class Model(_model.Model):
    """The weights of a model on a device, in place of the model of the reference."""

    @property
    def device(self) -> Any:
        """The device: a `torch.device` if the program has imported torch, otherwise "cpu" or "cuda"."""
        torch = sys.modules.get("torch")
        return self._device if torch is None else torch.device(self._device)

    def eval(self: M) -> M:
        """Returns the model, which is always for inference."""
        return self

    def to(self: M, device: Any) -> M:
        """Returns the model if it is on this type of device. A model does not move to another one."""
        if device_name(device).partition(":")[0] != self._device:
            raise ValueError(f"the model is on {self._device} and stays there: load it with device={str(device)!r}")
        return self
