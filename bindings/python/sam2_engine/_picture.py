"""Images from files and from Pillow."""

from __future__ import annotations

import ctypes as c
import os
from typing import Any, Optional, Union

from . import _abi as abi
from ._log import LOGGER
from ._numpy import np, npt


class _Picture(abi.Handle):
    _kind = "picture"

    def __init__(self, function: str, *arguments: Any) -> None:
        self._create(function, *arguments)

    def pixels(self) -> npt.NDArray[np.uint8]:
        image = abi.Image()
        abi.call("picture_get_image", self._h, c.byref(image))
        channels = {"gray": 1, "rgb": 3, "rgba": 4}[abi.FORMATS[image.format]]
        row = image.strides[0] or image.width * channels
        size = image.height * row
        pixels = np.frombuffer(bytearray(c.string_at(image.planes[0], size)), np.uint8)
        pixels = pixels.reshape(image.height, row)[:, : image.width * channels]
        return pixels if channels == 1 else pixels.reshape(image.height, image.width, channels)


def _options(upright: bool, bit_depth: Optional[int]) -> Any:
    return c.byref(abi.PictureOptions(upright=bool(upright), bit_depth=0 if bit_depth is None else bit_depth))


def read_picture(
    path: Union[str, bytes, os.PathLike[Any]], upright: bool = False, bit_depth: Optional[int] = None
) -> npt.NDArray[np.uint8]:
    """Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file.

    The pixels equal those of Pillow's convert("RGB"). 16-bit values are reduced to their upper 8 bits.

    Args:
        path: Path of the file.
        upright: Apply the EXIF orientation, as viewers do. Otherwise the pixels are as stored, and the logger "sam2_engine"
            receives a warning if the orientation is not 1.
        bit_depth: Significant bits of the values in a 16-bit file, 8 to 16. With 12, the value 4095 becomes 255, and a larger
            value is an error.

    Returns:
        An array (height, width, 3) of RGB, or (height, width) for a gray file.

    Raises:
        FileError: The file cannot be read or decoded.
    """
    with _Picture("picture_read_with", os.fsencode(path), _options(upright, bit_depth)) as opened:
        return opened.pixels()


def decode_picture(data: Any, upright: bool = False, bit_depth: Optional[int] = None) -> npt.NDArray[np.uint8]:
    """Decodes an image file that is in memory.

    Args:
        data: The bytes of the file: bytes, or another object with a buffer, such as a memoryview.
        upright: As in `read_picture`.
        bit_depth: As in `read_picture`.

    Returns:
        As `read_picture`.

    Raises:
        FileError: The file cannot be decoded.
    """
    data = bytes(memoryview(data))
    with _Picture("picture_decode", data, len(data), _options(upright, bit_depth)) as opened:
        return opened.pixels()


_ORIENTATION = 0x112
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_DARK = 1 << 14


def of_pillow(image: Any) -> npt.NDArray[np.uint8]:
    """Gets the pixels of a Pillow image as `read_picture` returns them for its file, without applying its orientation."""
    orientation = image.getexif().get(_ORIENTATION, 1) if hasattr(image, "getexif") else 1
    if orientation in range(2, 9):
        LOGGER.warning(
            "a Pillow image of EXIF orientation %s: viewers show it turned or mirrored; it is used as stored, and so are "
            "coordinates and masks; PIL.ImageOps.exif_transpose(image) turns it",
            orientation,
        )
    if image.mode in _SIXTEEN_BITS:
        values = np.asarray(image)
        if 0 < values.max() < _DARK:
            LOGGER.warning(
                "a 16-bit Pillow image whose largest value is %s of 65535, so it looks dark; scale it to 8 bits, or read its "
                "file by sam2_engine.read_picture with bit_depth",
                values.max(),
            )
        upper: npt.NDArray[np.uint8] = (values >> 8).astype(np.uint8)
        return upper
    if image.mode in ("I", "F"):
        raise ValueError(
            f"a Pillow image of mode {image.mode}, whose values have no fixed range: scale them to 0..255 and give an array of "
            "uint8, or read a 16-bit file by sam2_engine.read_picture"
        )
    try:
        return np.asarray(image.convert("RGB"))
    except ValueError as error:
        raise ValueError(f"a Pillow image of mode {image.mode}, which does not convert to RGB: {error}") from None
