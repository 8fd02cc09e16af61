#!/usr/bin/env python3
"""Compares float32 results with those of the reference.

usage: dist/tests/compare.py exact|masks|close REFERENCE FOLDER

exact: masks and logits are the same bits.
masks: masks are the same bits, and logits within 1e-4: other C libraries round sines and powers otherwise.
close: at most one pixel in a thousand is on another side of its mask: other processors round otherwise everywhere.
"""

import struct
import sys
from pathlib import Path


def floats(path):
    data = path.read_bytes()
    return struct.unpack(f"<{len(data) // 4}f", data)


def check(want, got, pixels, distance):
    """Compares logits. Returns how many are on another side of 0, and by how much they differ at most."""
    wanted, found = floats(want), floats(got)
    assert len(wanted) == len(found) > 512 * 512, got
    assert sum(value > 0 for value in wanted) > 1000, want
    different = sum((a > 0) != (b > 0) for a, b in zip(wanted, found))
    farthest = max(abs(a - b) for a, b in zip(wanted, found))
    print(f"{got.name}: {different} of {len(found)} pixels differ, logits by at most {farthest:.2g}")
    assert different <= pixels * len(found) and farthest <= distance


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("exact", "masks", "close"):
        sys.exit(__doc__)
    how, reference, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    logits = sorted(folder.glob("f32-*"))
    assert logits, f"{folder} has no results"
    same = {"exact": ["mask.png", "mask.safetensors", "track.safetensors"], "masks": ["mask.png"], "close": []}[how]
    pixels, distance = {"exact": (0, 0), "masks": (0, 1e-4), "close": (1e-3, 0.5)}[how]
    for name in same:
        assert (reference / name).read_bytes() == (folder / name).read_bytes(), f"{folder / name} differs"
        print(f"{name}: the same bits")
    for got in logits:
        check(reference / "f32-static", got, pixels, distance)


main()
