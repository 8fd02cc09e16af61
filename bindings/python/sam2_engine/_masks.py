"""What is made of masks, as SAM2AutomaticMaskGenerator gives them in any output_mode."""

import ctypes as c

import numpy as np

from . import _abi as abi
from ._arrays import pointer


def label_map(masks, height, width):
    """One map (height, width) uint16 of masks: 0 where there is none, else 1 + a mask's place; the largest below, of equals the
    first on top."""
    texts = [_text(mask, height, width) for mask in masks]
    labels = np.empty((height, width), np.uint16)
    abi.call("mask_label_map", (c.c_char_p * len(texts))(*texts), len(texts), width, height, pointer(labels))
    return labels


def polygons(mask, height, width):
    """The outlines of a mask along the edges of its pixels: a list of (corners, 2) uint32, x and y, clockwise around what is on
    the object, the other way around holes. Filled by the even-odd rule they are the mask."""
    corners, rings = c.c_size_t(), c.c_size_t()
    what, sizes = (_text(mask, height, width), width, height), (c.byref(corners), c.byref(rings))
    abi.call("mask_polygons", *what, None, sizes[0], None, sizes[1])
    points, ends = np.empty((corners.value, 2), np.uint32), np.empty(rings.value, np.uint32)
    abi.call("mask_polygons", *what, pointer(points), sizes[0], pointer(ends), sizes[1])
    return np.split(points, np.cumsum(ends)[:-1]) if rings.value else []


def _text(mask, height, width):
    """COCO's text of an array (height, width), or of a dict of size and counts."""
    coded = isinstance(mask, dict)
    if not coded:
        mask = np.ascontiguousarray(np.asarray(mask) != 0)
    size = tuple(mask.get("size", (height, width)) if coded else mask.shape)
    if size != (height, width):
        raise ValueError(f"a mask of shape {size}; it is {(height, width)}")
    if coded:
        counts = mask["counts"]
        text = counts if isinstance(counts, (str, bytes)) else text_of(counts)
        return text if isinstance(text, bytes) else text.encode()
    room = c.c_size_t()
    what = ("mask_encode_rle", pointer(mask), width, height)
    abi.call(*what, None, c.byref(room))
    text = c.create_string_buffer(room.value)
    abi.call(*what, text, c.byref(room))
    return text.value


def counts_of(text):
    """COCO's text as lengths of runs: differences to the count before the last, in base 32 with a sign."""
    counts, value, shift = [], 0, 0
    for digit in (ord(letter) - 48 for letter in text):
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            value -= (digit & 16) << (shift - 4) if digit & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    return counts


def text_of(counts):
    """The other way."""
    text = []
    for i, count in enumerate(counts):
        value, more = int(count) - (int(counts[i - 2]) if i > 2 else 0), True
        while more:
            digit, value = value & 31, value >> 5
            more = value != (-1 if digit & 16 else 0)
            text.append(chr(48 + digit + 32 * more))
    return "".join(text)
