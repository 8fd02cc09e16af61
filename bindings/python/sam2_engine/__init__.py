"""Segment Anything Model 2 by the library libsam2, under the reference's names, for use beside it in one process.

    model = sam2_engine.build_sam2(None, "sam2.1_hiera_tiny.pt")
    predictor = sam2_engine.SAM2ImagePredictor(model)
    predictor.set_image(image)                      # (height, width, 3) uint8, or a tensor with __dlpack__
    masks, scores, low_res = predictor.predict(point_coords=[[77, 400]], point_labels=[1])

Nothing is compiled: ctypes calls the library that SAM2_LIBRARY names, that lies in this folder, or that the system finds.
"""

from ._abi import lib as _lib
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
)
from ._image import SAM2ImagePredictor
from ._masks import label_map, polygons
from ._model import Model, build_sam2, build_sam2_video_predictor, gpus
from ._picture import read_picture
from ._video import Found, SAM2VideoPredictor, State

__version__ = _lib.sam2_version().decode()
build_info = _lib.sam2_build_info().decode()
