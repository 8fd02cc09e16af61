"""Helpers for tests."""

import unittest
from pathlib import Path

import numpy as np

import sam2_engine

ROOT = Path(__file__).resolve().parents[3]
FRAMES = ROOT / "demo/samples/video1/frames"
CLICK = {"points": [[208, 249]], "labels": [1]}


CONFIG = "configs/sam2.1/sam2.1_hiera_demo.yaml"
CHECKPOINT = ROOT / "demo/sam2.1_hiera_demo.safetensors"


def demo(**options):
    return sam2_engine.build_sam2(None, ROOT / "demo", device="cpu", **options)


def astronaut():
    return sam2_engine.read_picture(ROOT / "demo/pictures/astronaut.png")[..., :3]


def frame(i):
    return sam2_engine.read_picture(FRAMES / f"{i:05}.jpg")


def show(name, *arrays):
    """Prints a hash that a Rust test compares."""
    h = 0xCBF29CE484222325
    for array in arrays:
        for byte in np.ascontiguousarray(array).tobytes():
            h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    print(f"BITS {name} {h:016x}")


def numpy_has_dlpack_1():
    return tuple(int(n) for n in np.__version__.split(".")[:2]) >= (2, 1)


class Foreign:
    """A tensor of another library, with DLPack only."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)


class Case(unittest.TestCase):
    def same(self, left, right):
        for a, b in zip(left, right, strict=True) if isinstance(left, (tuple, list)) else [(left, right)]:
            np.testing.assert_array_equal(a, b, strict=True)
