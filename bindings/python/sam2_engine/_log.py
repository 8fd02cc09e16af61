"""Forwards the messages of the library to the logger "sam2_engine"."""

from __future__ import annotations

import atexit
import ctypes as c
import logging

from . import _abi as abi

LOGGER = logging.getLogger("sam2_engine")
_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}
_DEBUG = 4


def _forward(_user: object, level: int, message: bytes) -> None:
    LOGGER.log(_LEVELS.get(level, logging.DEBUG), "%s", message.decode(errors="replace"))


_callback = c.CFUNCTYPE(None, c.c_void_p, c.c_int32, c.c_char_p)(_forward)
abi.call("set_log_callback", _DEBUG, c.cast(_callback, c.c_void_p), None)
# Threads of the library may log after the interpreter has shut down.
atexit.register(abi.call, "set_log_callback", _DEBUG, None, None)
