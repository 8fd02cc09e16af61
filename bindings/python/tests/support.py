"""Helpers for tests."""

import importlib.util
import sys
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


class Compat(Case):
    """Tests of `sam2_engine.compat`, which is imported before and forgotten afterwards. A subclass repeats them with torch."""

    with_torch = False

    @classmethod
    def setUpClass(cls):
        importlib.import_module("sam2_engine.compat")
        cls.addClassCleanup(forget)

    def setUp(self):
        # Other tests may have imported torch.
        imported = sys.modules.pop("torch", None)
        if self.with_torch:
            importlib.import_module("torch") if imported is None else sys.modules.update(torch=imported)
        elif imported is not None:
            self.addCleanup(sys.modules.update, torch=imported)

    def kind(self):
        """The type of results that are tensors in the reference."""
        return sys.modules["torch"].Tensor if self.with_torch else importlib.import_module("sam2_engine.compat._tensor").TensorArray

    def equal_tensor(self, found, want):
        self.assertIsInstance(found, self.kind())
        self.same(found.cpu().numpy(), want)


def forget():
    """Removes the modules of `sam2_engine.compat`, so that the reference can be imported."""
    for name in list(sys.modules):
        if name.split(".")[0] == "sam2" or name.startswith("sam2_engine.compat"):
            del sys.modules[name]


needs_torch = unittest.skipUnless(importlib.util.find_spec("torch"), "torch is not installed")
