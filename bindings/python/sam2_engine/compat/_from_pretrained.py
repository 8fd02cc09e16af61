"""The arguments of `from_pretrained`, which are those of a loading function and of a class."""

from __future__ import annotations

import inspect
from typing import Any, Callable


def split(constructor: Callable[..., Any], options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the arguments of a constructor, and the others."""
    names = inspect.signature(constructor).parameters
    own = {name: value for name, value in options.items() if name in names}
    return own, {name: value for name, value in options.items() if name not in names}
