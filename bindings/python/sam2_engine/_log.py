"""The library's warnings, as records of the logger "sam2_engine"."""

import atexit
import ctypes as c
import logging

from . import _abi as abi

LOGGER = logging.getLogger("sam2_engine")
_ERROR, _WARN = 1, 2


@c.CFUNCTYPE(None, c.c_void_p, c.c_int32, c.c_char_p)
def _each(_user, level, message):
    LOGGER.log(logging.ERROR if level == _ERROR else logging.WARNING, "%s", message.decode(errors="replace"))


abi.call("set_log_callback", _WARN, c.cast(_each, c.c_void_p), None)
# Threads of the library may still have something to say when there is no interpreter any more.
atexit.register(abi.call, "set_log_callback", _WARN, None, None)
