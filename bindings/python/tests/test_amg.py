"""Everything in a picture."""

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
