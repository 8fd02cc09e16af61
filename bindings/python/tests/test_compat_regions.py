"""Tests of `sam2_engine.compat`: small regions and holes of masks, compared with plain loops."""

import unittest

import numpy as np
from support import Compat, needs_torch


def flood(on):
    """The regions of a mask as sets of pixels. Pixels that touch at corners are connected."""
    left, regions = set(zip(*np.nonzero(on))), []
    while left:
        region, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        regions.append(region)
    return regions


class Regions(Compat):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        from sam2.utils import amg

        cls.amg = amg

    def test_small_regions(self):
        random = np.random.default_rng(5)
        for density, shape in ((0.2, (30, 41)), (0.5, (25, 33)), (0.8, (31, 17)), (0.4, (1, 50)), (0.4, (50, 1))):
            mask = random.random(shape) < density
            for mode, off in (("islands", False), ("holes", True)):
                for area in (1, 3, 9, 10000):
                    want, regions = mask.copy(), flood(mask != off)
                    small = [region for region in regions if len(region) < area]
                    largest = max(map(len, regions))
                    found, changed = self.amg.remove_small_regions(mask, area, mode)
                    self.assertEqual(changed, bool(small))
                    if mode == "islands" and small and len(small) == len(regions):
                        # The largest one stays, or one of them.
                        self.assertEqual((len(flood(found)), found.sum()), (1, largest))
                        continue
                    for region in small:
                        want[tuple(zip(*region))] = off
                    self.same(found, want)
        for mode in ("islands", "holes"):
            for mask in (np.zeros((3, 4), bool), np.ones((3, 4), bool)):
                self.same(self.amg.remove_small_regions(mask, 5, mode)[0], mask)
        with self.assertRaisesRegex(ValueError, "no mode 'lakes'"):
            self.amg.remove_small_regions(mask, 5, "lakes")

    def test_forms_of_masks(self):
        random = np.random.default_rng(6)
        masks = np.concatenate([random.random((4, 9, 7)) < 0.3, np.zeros((1, 9, 7), bool), np.ones((1, 9, 7), bool)])
        for mask, rle, box in zip(masks, self.amg.mask_to_rle_pytorch(masks), self.amg.batched_mask_to_box(masks)):
            self.same(self.amg.rle_to_mask(rle), mask)
            self.assertEqual((rle["size"], sum(rle["counts"][1::2])), ([9, 7], mask.sum()))
            y, x = np.nonzero(mask)
            self.assertEqual(box.tolist(), [x.min(), y.min(), x.max(), y.max()] if len(x) else [0] * 4)

    def boxes(self, masks):
        return self.amg.batched_mask_to_box(masks)

    def test_postprocess_small_regions(self):
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

        masks = np.zeros((3, 40, 50), bool)
        masks[:, 5:25, 5:25] = True
        masks[0, 10:12, 10:12] = False  # a hole
        masks[1, 35, 45] = True  # a speck
        masks[2, 5:25, 5:25] = False
        masks[2, 5:20, 30:45] = True  # another object
        lists = {"rles": self.amg.mask_to_rle_pytorch(masks), "boxes": self.boxes(masks), "names": ["hole", "speck", "other"]}
        data = self.amg.MaskData(**lists)
        found = SAM2AutomaticMaskGenerator.postprocess_small_regions(data, 10, 0.7)
        self.assertIs(found, data)
        # The mask that was not changed is the first. Of the two that are equal now, one stays.
        self.assertEqual(found["names"], ["other", "hole"])
        self.assertEqual(np.asarray(found["boxes"]).tolist(), [[30, 5, 44, 19], [5, 5, 24, 24]])
        whole = np.zeros((40, 50), bool)
        whole[5:25, 5:25] = True
        self.same(self.amg.rle_to_mask(found["rles"][1]), whole)
        self.assertEqual(dict(found.items()).keys(), lists.keys())
        empty = self.amg.MaskData(rles=[])
        self.assertIs(SAM2AutomaticMaskGenerator.postprocess_small_regions(empty, 10, 0.7), empty)

    def test_lists_of_masks(self):
        data = self.amg.MaskData(a=[1, 2, 3], b=np.array([4, 5, 6]))
        data["c"] = self.boxes(np.ones((3, 2, 2), bool))
        data.filter(np.array([True, False, True]))
        self.assertEqual((data["a"], data["b"].tolist(), len(data["c"])), ([1, 3], [4, 6], 2))
        del data["c"]
        data.filter([1, 0])
        self.assertEqual((data["a"], data["b"].tolist(), list(dict(data.items()))), ([3, 1], [6, 4], ["a", "b"]))


@needs_torch
class RegionsWithTorch(Regions):
    with_torch = True

    def boxes(self, masks):
        import torch

        return torch.from_numpy(super().boxes(masks))


if __name__ == "__main__":
    unittest.main()
