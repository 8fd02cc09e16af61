"""Functions for masks, in every output_mode of SAM2AutomaticMaskGenerator."""

from __future__ import annotations

import ctypes as c
from typing import Any, Iterable, Sequence, Union

from . import _abi as abi
from ._arrays import pointer
from ._numpy import np, npt


def label_map(masks: Iterable[Any], height: int, width: int) -> npt.NDArray[np.uint16]:
    """Draws masks into one map of labels.

    The largest masks are drawn first. Of masks with equal areas, the first lies on top.

    Args:
        masks: Arrays (height, width), nonzero on the object, or dicts with `size` and `counts`.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        An array (height, width): 0 on the background, otherwise 1 + the index of the mask.
    """
    texts = [_text(mask, height, width) for mask in masks]
    labels = np.empty((height, width), np.uint16)
    abi.call("mask_get_label_map", (c.c_char_p * len(texts))(*texts), len(texts), width, height, pointer(labels))
    return labels


def polygons(mask: Any, height: int, width: int) -> list[npt.NDArray[np.uint32]]:
    """Gets the outlines of a mask along the edges of its pixels.

    An outline around the object is clockwise, one around a hole is counterclockwise. Filled by the even-odd rule, the outlines
    reproduce the mask.

    Args:
        mask: Array (height, width), nonzero on the object, or dict with `size` and `counts`.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        Arrays (corners, 2) of x and y.
    """
    corners, rings = c.c_size_t(), c.c_size_t()
    what, sizes = (_text(mask, height, width), width, height), (c.byref(corners), c.byref(rings))
    abi.call("mask_get_polygons", *what, None, sizes[0], None, sizes[1])
    points, ends = np.empty((corners.value, 2), np.uint32), np.empty(rings.value, np.uint32)
    abi.call("mask_get_polygons", *what, pointer(points), sizes[0], pointer(ends), sizes[1])
    return np.split(points, np.cumsum(ends)[:-1]) if rings.value else []


def _text(mask: Any, height: int, width: int) -> bytes:
    """Gets the COCO run-length string of an array (height, width), or of a dict with size and counts."""
    coded = isinstance(mask, dict)
    if not coded:
        mask = np.ascontiguousarray(np.asarray(mask) != 0)
    size = tuple(mask.get("size", (height, width)) if coded else mask.shape)
    if size != (height, width):
        raise ValueError(f"a mask of shape {size}; it is {(height, width)}")
    if coded:
        counts = mask["counts"]
        text: Union[str, bytes] = counts if isinstance(counts, (str, bytes)) else text_of(counts)
        return text if isinstance(text, bytes) else text.encode()
    room = c.c_size_t()
    what = ("mask_encode_rle", pointer(mask), width, height)
    abi.call(*what, None, c.byref(room))
    buffer = c.create_string_buffer(room.value)
    abi.call(*what, buffer, c.byref(room))
    return buffer.value


def counts_of(text: str) -> list[int]:
    """Decodes a COCO run-length string to lengths of runs.

    The string holds differences to the count before the last, in base 32 with a sign.
    """
    counts: list[int] = []
    value, shift = 0, 0
    for digit in (ord(letter) - 48 for letter in text):
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            value -= (digit & 16) << (shift - 4) if digit & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    return counts


def text_of(counts: Sequence[int]) -> str:
    """Encodes lengths of runs as a COCO run-length string."""
    text = []
    for i, count in enumerate(counts):
        value, more = int(count) - (int(counts[i - 2]) if i > 2 else 0), True
        while more:
            digit, value = value & 31, value >> 5
            more = value != (-1 if digit & 16 else 0)
            text.append(chr(48 + digit + 32 * more))
    return "".join(text)
