"""Tests of automatic mask generation."""

import unittest

import numpy as np
from support import ROOT, demo

import sam2_engine as s

SETTINGS = {"points_per_side": 8, "stability_score_thresh": 0.8, "pred_iou_thresh": 0.6}


class Everything(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = demo()
        cls.image = s.read_picture(ROOT / "demo/samples/images/image1.png")[..., :3]

    def find(self, **settings):
        return s.SAM2AutomaticMaskGenerator(self.model, **SETTINGS, **settings).generate(self.image)

    def test_forms(self):
        masks, runs, text = (self.find(output_mode=mode) for mode in ("binary_mask", "uncompressed_rle", "coco_rle"))
        self.assertGreater(len(masks), 2)
        self.assertEqual([len(runs), len(text)], [len(masks)] * 2)
        for mask, run, coco in zip(masks, runs, text):
            segmentation = mask["segmentation"]
            self.assertEqual((segmentation.shape, segmentation.dtype), ((360, 480), np.bool_))
            self.assertEqual(segmentation.sum(), mask["area"])
            y, x = np.nonzero(segmentation)
            self.assertEqual(mask["bbox"], [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()])
            column = segmentation.T.reshape(-1)
            ends = np.flatnonzero(np.diff(column)) + 1
            counts = np.diff([0, *ends, column.size]).tolist()
            self.assertEqual(run["segmentation"]["counts"], counts if not column[0] else [0, *counts])
            self.assertEqual(coco["segmentation"]["size"], [360, 480])
            self.assertIsInstance(coco["segmentation"]["counts"], str)
            self.assertEqual({k: v for k, v in run.items() if k != "segmentation"}, {k: v for k, v in mask.items() if k != "segmentation"})

    def test_label_maps_and_outlines(self):
        modes = ("binary_mask", "uncompressed_rle", "coco_rle")
        masks, *others = ([r["segmentation"] for r in self.find(output_mode=mode)] for mode in modes)
        want = np.zeros((360, 480), np.uint16)
        for i in sorted(range(len(masks)), key=lambda i: masks[i].sum())[::-1]:
            want[masks[i]] = i + 1
        for form in (masks, *others):
            np.testing.assert_array_equal(s.label_map(form, 360, 480), want)
            for mask, same in zip(masks, form):
                filled = np.zeros((360, 481), np.uint8)
                for ring in s.polygons(same, 360, 480):
                    for (x, y), (_, to) in zip(ring, np.roll(ring, -1, axis=0)):
                        filled[min(y, to) : max(y, to), x] ^= 1
                np.testing.assert_array_equal(np.bitwise_xor.accumulate(filled, axis=1)[:, :480], mask)
        self.assertEqual(s.label_map([], 2, 3).tolist(), [[0] * 3] * 2)
        self.assertEqual(s.polygons(np.zeros((4, 4)), 4, 4), [])
        for text in ("x", "01"):
            with self.assertRaises(s.InvalidArgument):
                s.polygons({"counts": text}, 4, 4)
        # Another size is an error even with the same number of pixels.
        for form in (masks, *others):
            with self.assertRaises(ValueError):
                s.label_map(form, 480, 360)
        for mask in (np.zeros(4), np.zeros((2, 8)), {"size": [2, 8], "counts": [16]}):
            with self.assertRaises(ValueError):
                s.polygons(mask, 4, 4)

    def test_points_of_ones_own(self):
        y, x = np.mgrid[0:8, 0:8].reshape(2, -1)
        grid = np.stack([x + 0.5, y + 0.5], axis=1) / 8
        settings = {**SETTINGS, "points_per_side": None, "output_mode": "coco_rle"}
        make = lambda **more: s.SAM2AutomaticMaskGenerator(self.model, **{**settings, **more})
        for grids in ([grid], grid[None]):
            self.assertEqual(make(point_grids=grids).generate(self.image), self.find(output_mode="coco_rle"))
        for more in (
            {},
            {"points_per_side": 8, "point_grids": [grid]},
            {"point_grids": [grid, grid]},
            {"point_grids": [np.zeros((0, 2))]},
            {"point_grids": [grid * np.nan]},
            {"point_grids": [grid * 2]},
        ):
            with self.assertRaises(s.InvalidArgument):
                make(**more)
        for grids in ([grid[:, :1]], []):
            with self.assertRaises(ValueError):
                make(points_per_side=8, point_grids=grids)

    def test_on_the_way(self):
        generator, seen = s.SAM2AutomaticMaskGenerator(self.model, points_per_batch=16, **SETTINGS), []

        def half(points, of, masks):
            seen.append((points, of))
            return points < 32

        some = generator.generate(self.image, half)
        self.assertEqual(seen, [(16, 64), (32, 64)])
        self.assertLess(len(some), len(generator.generate(self.image)))
        self.assertTrue(all(record["point_coords"][0][1] < 180 for record in some))
        generator.generate(self.image, seconds=0)
        with self.assertRaises(ZeroDivisionError):
            generator.generate(self.image, lambda *_: 1 / 0)

    def test_errors(self):
        with self.assertRaises(s.InvalidArgument):
            s.SAM2AutomaticMaskGenerator(self.model, points_per_side=0)
        with self.assertRaises(ValueError):
            s.SAM2AutomaticMaskGenerator(self.model, output_mode="png")
        self.assertEqual(s.SAM2AutomaticMaskGenerator(self.model, 2, pred_iou_thresh=2).generate(self.image), [])


if __name__ == "__main__":
    unittest.main()
