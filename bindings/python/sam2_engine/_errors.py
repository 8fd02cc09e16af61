"""How calls fail: an exception per status of sam2.h."""


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
    """A file cannot be opened, read or written, or is damaged."""

    status = 4


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


def raised(status, message):
    """The exception for a status."""
    return _BY_STATUS.get(status, InternalError)(message)
