"""Segment Anything Model 2 with the names of the reference, based on the library libsam2.

    model = sam2_engine.build_sam2(None, "sam2.1_hiera_tiny.pt")
    predictor = sam2_engine.SAM2ImagePredictor(model)
    predictor.set_image(image)                      # (height, width, 3) uint8, or a tensor with __dlpack__
    masks, scores, low_res = predictor.predict(point_coords=[[77, 400]], point_labels=[1])

The package can be used beside the reference in one process. It compiles nothing: ctypes loads the library that SAM2_LIBRARY
names, the library in the folder of this package, or the one that the system finds.
"""

from ._abi import lib as _lib
from ._abi import time_limit
from ._amg import SAM2AutomaticMaskGenerator
from ._arrays import picture
from ._dlpack import Tensor
from ._errors import (
    Busy,
    Cancelled,
    DeviceError,
    FileError,
    FileForbidden,
    FileIsFolder,
    FileIsNoFolder,
    FileMissing,
    InternalError,
    InvalidArgument,
    InvalidHandle,
    ModelError,
    OutOfMemory,
    Sam2Error,
    TimedOut,
)
from ._frames import FrameMasks
from ._image import Features, SAM2ImagePredictor
from ._masks import label_map, polygons
from ._model import Model, build_sam2, build_sam2_video_predictor, gpus
from ._picture import decode_picture, read_picture
from ._video import SAM2VideoPredictor, State

__all__ = [
    "Busy",
    "Cancelled",
    "DeviceError",
    "FileError",
    "FileForbidden",
    "FileIsFolder",
    "FileIsNoFolder",
    "FileMissing",
    "FrameMasks",
    "InternalError",
    "InvalidArgument",
    "InvalidHandle",
    "Model",
    "ModelError",
    "OutOfMemory",
    "SAM2AutomaticMaskGenerator",
    "Features",
    "SAM2ImagePredictor",
    "SAM2VideoPredictor",
    "Sam2Error",
    "State",
    "Tensor",
    "TimedOut",
    "build_info",
    "build_sam2",
    "build_sam2_video_predictor",
    "decode_picture",
    "gpus",
    "label_map",
    "picture",
    "polygons",
    "read_picture",
    "time_limit",
]

__version__: str = _lib.sam2_version().decode()
build_info: str = _lib.sam2_build_info().decode()
"""Version, platform and GPU architectures that the library was built for."""
