"""Pictures from files and of Pillow."""

import ctypes as c
import os

import numpy as np

from . import _abi as abi
from ._log import LOGGER


class _Picture(abi.Handle):
    _kind = "picture"

    def __init__(self, path, options):
        self._create("picture_read_with", os.fsencode(path), c.byref(options))


def read_picture(path, upright=False, bit_depth=None):
    """A PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file as an array, (height, width, 3) or (height, width) gray, uint8. The pixels
    are those of Pillow's convert("RGB"); of 16 bits the upper 8 are kept.

    upright: the picture is turned as its EXIF orientation says, as viewers show it; otherwise pixels are as stored, and a
    warning of the logger "sam2_engine" names an orientation that is not 1. bit_depth: the bits of the values in a 16-bit file,
    8 to 16; of 12, the value 4095 becomes 255, and a larger one is an error.
    """
    options = abi.PictureOptions(upright=bool(upright), bit_depth=0 if bit_depth is None else bit_depth)
    with _Picture(path, options) as opened:
        image = abi.Image()
        abi.call("picture_get_image", opened._h, c.byref(image))
        channels = {"gray": 1, "rgb": 3, "rgba": 4}[abi.FORMATS[image.format]]
        row = image.strides[0] or image.width * channels
        size = image.height * row
        pixels = np.frombuffer(bytearray(c.string_at(image.planes[0], size)), np.uint8)
        pixels = pixels.reshape(image.height, row)[:, : image.width * channels]
        return pixels if channels == 1 else pixels.reshape(image.height, image.width, channels)


_ORIENTATION = 0x112
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_DARK = 1 << 14


def of_pillow(image):
    """The pixels of a Pillow picture as `read_picture` gives them for its file: uint8, gray or RGB, as they are stored."""
    orientation = image.getexif().get(_ORIENTATION, 1) if hasattr(image, "getexif") else 1
    if orientation in range(2, 9):
        LOGGER.warning(
            "a Pillow picture of EXIF orientation %s: viewers show it turned or mirrored; it is used as stored, and so are "
            "coordinates and masks; PIL.ImageOps.exif_transpose(image) turns it",
            orientation,
        )
    if image.mode in _SIXTEEN_BITS:
        values = np.asarray(image)
        if 0 < values.max() < _DARK:
            LOGGER.warning(
                "a 16-bit Pillow picture whose largest value is %s of 65535, so it looks dark; scale it to 8 bits, or read its "
                "file by sam2_engine.read_picture with bit_depth",
                values.max(),
            )
        return (values >> 8).astype(np.uint8)
    if image.mode in ("I", "F"):
        raise ValueError(
            f"a Pillow picture of mode {image.mode}, whose values have no fixed range: scale them to 0..255 and give an array of "
            "uint8, or read a 16-bit file by sam2_engine.read_picture"
        )
    try:
        return np.asarray(image.convert("RGB"))
    except ValueError as error:
        raise ValueError(f"a Pillow picture of mode {image.mode}, which does not convert to RGB: {error}") from None
