"""Exceptions: one per status of sam2.h, and for files one per exception of Python."""

from __future__ import annotations

from errno import EACCES, EISDIR, ENOENT, ENOTDIR, EPERM
from typing import Optional


class Sam2Error(Exception):
    """A call failed. `status` is the SAM2_ERROR_ constant of sam2.h."""

    status: Optional[int] = None


class InvalidArgument(Sam2Error, ValueError):
    """An argument is out of its range."""

    status = 1


class InvalidHandle(Sam2Error, ValueError):
    """The object is closed."""

    status = 2


class Busy(Sam2Error):
    """Another thread uses the object."""

    status = 3


class FileError(Sam2Error, OSError):
    """A file cannot be opened, read or written, or is damaged. `errno` is the number of the system error, if there is one."""

    status = 4

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class FileMissing(FileError, FileNotFoundError):
    """A file or folder does not exist."""


class FileForbidden(FileError, PermissionError):
    """A file or folder may not be read or written."""


class FileIsFolder(FileError, IsADirectoryError):
    """A path is a folder instead of a file."""


class FileIsNoFolder(FileError, NotADirectoryError):
    """A path is a file instead of a folder."""


class ModelError(Sam2Error):
    """A checkpoint is damaged or does not fit its configuration."""

    status = 5


class DeviceError(Sam2Error):
    """The device is missing, too old, or failed."""

    status = 6


class OutOfMemory(Sam2Error, MemoryError):
    """There is not enough memory. Existing objects remain usable."""

    status = 7


class Cancelled(Sam2Error):
    """A callback, or the method `cancel` or `close` of the object, ended the call."""

    status = 8


class TimedOut(Sam2Error, TimeoutError):
    """The call took longer than `time_limit` allows."""

    status = 9


class InternalError(Sam2Error):
    """The library has a defect. Please report it."""

    status = 99


_BY_STATUS: dict[Optional[int], type[Sam2Error]] = {kind.status: kind for kind in Sam2Error.__subclasses__()}


_FILES: dict[int, type[FileError]] = {
    ENOENT: FileMissing,
    EACCES: FileForbidden,
    EPERM: FileForbidden,
    EISDIR: FileIsFolder,
    ENOTDIR: FileIsNoFolder,
}


def raised(status: int, message: str, errno: int = 0) -> Sam2Error:
    """Creates the exception for a status and a system error number."""
    if status == FileError.status and errno:
        return _FILES.get(errno, FileError)(errno, message)
    return _BY_STATUS.get(status, InternalError)(message)
