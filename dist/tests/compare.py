#!/usr/bin/env python3
"""Compares float32 results with those of the reference.

usage: dist/tests/compare.py exact|close REFERENCE FOLDER

exact: masks and logits are the same bits.
close: the processor rounds otherwise; at most one pixel in a thousand is on another side of its mask.
"""

import struct
import sys
from pathlib import Path


def floats(path):
    data = path.read_bytes()
    return struct.unpack(f"<{len(data) // 4}f", data)


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("exact", "close"):
        sys.exit(__doc__)
    how, reference, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    pairs = [(reference / "f32-static", file) for file in sorted(folder.glob("f32-*"))]
    assert pairs, f"{folder} has no results"
    if how == "exact":
        pairs += [(reference / name, folder / name) for name in ("mask.png", "mask.safetensors", "track.safetensors")]
        for want, got in pairs:
            assert want.read_bytes() == got.read_bytes(), f"{got} differs from {want}"
        print(f"{len(pairs)} files of masks and logits are the same bits")
        return
    for want, got in pairs:
        wanted, found = floats(want), floats(got)
        assert len(wanted) == len(found) > 512 * 512, got
        assert sum(value > 0 for value in wanted) > 1000, want
        different = sum((a > 0) != (b > 0) for a, b in zip(wanted, found))
        farthest = max(abs(a - b) for a, b in zip(wanted, found))
        print(f"{got.name}: {different} of {len(found)} pixels differ, logits by at most {farthest:.2g}")
        assert different <= len(found) / 1000


main()
