"""How calls fail: an exception per status of sam2.h, and of files, per exception of Python's."""

from errno import EACCES, EISDIR, ENOENT, ENOTDIR, EPERM


class Sam2Error(Exception):
    """A call failed. `status` is the SAM2_ERROR_... of sam2.h."""

    status = None


class InvalidArgument(Sam2Error, ValueError):
    """An argument is out of its range."""

    status = 1


class InvalidHandle(Sam2Error, ValueError):
    """It was closed."""

    status = 2


class Busy(Sam2Error):
    """Another thread is using it."""

    status = 3


class FileError(Sam2Error, OSError):
    """A file cannot be opened, read or written, or is damaged. `errno` is the system's number, where it refused."""

    status = 4

    def __str__(self):
        return self.strerror or super().__str__()


class FileMissing(FileError, FileNotFoundError):
    """There is no such file or folder."""


class FileForbidden(FileError, PermissionError):
    """A file or folder may not be read or written."""


class FileIsFolder(FileError, IsADirectoryError):
    """A folder is where a file is expected."""


class FileIsNoFolder(FileError, NotADirectoryError):
    """A file is where a folder is expected."""


class ModelError(Sam2Error):
    """A checkpoint is damaged or does not fit its configuration."""

    status = 5


class DeviceError(Sam2Error):
    """The device is absent, too old or failed."""

    status = 6


class OutOfMemory(Sam2Error, MemoryError):
    """There was not enough memory; what existed before still works."""

    status = 7


class Cancelled(Sam2Error):
    """A callback said to stop."""

    status = 8


class InternalError(Sam2Error):
    """A defect of the library; please report it."""

    status = 99


_BY_STATUS = {kind.status: kind for kind in Sam2Error.__subclasses__()}


_FILES = {ENOENT: FileMissing, EACCES: FileForbidden, EPERM: FileForbidden, EISDIR: FileIsFolder, ENOTDIR: FileIsNoFolder}


def raised(status, message, errno=0):
    """The exception for a status, and the system's number where it refused a file."""
    if status == FileError.status and errno:
        return _FILES.get(errno, FileError)(errno, message)
    return _BY_STATUS.get(status, InternalError)(message)
