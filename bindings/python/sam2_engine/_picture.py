"""Pictures from files."""

import ctypes as c
import os

import numpy as np

from . import _abi as abi


class _Picture(abi.Handle):
    _kind = "picture"

    def __init__(self, path):
        self._create("picture_read", os.fsencode(path))


def read_picture(path):
    """A PNG or JPEG file as an array: (height, width, 3 or 4), or (height, width) gray, uint8; JPEG pixels are Pillow's."""
    with _Picture(path) as opened:
        image = abi.Image()
        abi.call("picture_get_image", opened._h, c.byref(image))
        channels = {"gray": 1, "rgb": 3, "rgba": 4}[abi.FORMATS[image.format]]
        row = image.strides[0] or image.width * channels
        size = image.height * row
        pixels = np.frombuffer(bytearray(c.string_at(image.planes[0], size)), np.uint8)
        pixels = pixels.reshape(image.height, row)[:, : image.width * channels]
        return pixels if channels == 1 else pixels.reshape(image.height, image.width, channels)
