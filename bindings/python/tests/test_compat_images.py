"""Tests of `sam2_engine.compat`: the calls of the reference's notebooks on images."""

import unittest

import numpy as np
from support import CHECKPOINT, CONFIG, ROOT, Compat, astronaut, demo, needs_torch

import sam2_engine as s

POINTS, LABELS = np.array([[77, 400], [200, 100]]), np.array([1, 0])
BOX = np.array([20, 160, 365, 511])
BOXES = np.array([BOX, [100, 20, 300, 200]])


class Images(Compat):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        from sam2.build_sam import build_sam2
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        cls.image = astronaut()
        cls.model = build_sam2(CONFIG, CHECKPOINT, device="cpu")
        cls.predictor = SAM2ImagePredictor(cls.model)
        cls.predictor.set_image(cls.image)
        cls.engine = s.SAM2ImagePredictor(demo())
        cls.engine.set_image(cls.image)

    def alike(self, **prompt):
        """Compares a prediction with the engine's own. Masks are numbers as in the reference."""
        found, (masks, *others) = self.predictor.predict(**prompt), self.engine.predict(**prompt)
        self.same(found, (masks.astype(np.float32), *others))
        return found

    def test_a_point_and_the_best_mask_of_it(self):
        masks, scores, logits = self.alike(point_coords=POINTS[:1], point_labels=LABELS[:1], multimask_output=True)
        best_first = np.argsort(scores)[::-1]
        self.assertEqual((masks[best_first].shape, masks.dtype), ((3, 512, 512), np.float32))
        self.assertEqual(set(np.unique(masks)), {0.0, 1.0})
        again = logits[np.argmax(scores), :, :]
        masks, _, _ = self.alike(point_coords=POINTS, point_labels=LABELS, mask_input=again[None, :, :], multimask_output=False)
        self.assertEqual(masks.shape, (1, 512, 512))
        logits, _, _ = self.alike(point_coords=POINTS, point_labels=LABELS, return_logits=True)
        self.assertEqual(logits.dtype, np.float32)
        out = np.zeros((3, 512, 512), np.bool_)
        self.assertIs(self.predictor.predict(POINTS, LABELS, out=out)[0], out)

    def test_boxes(self):
        self.alike(point_coords=None, point_labels=None, box=BOX[None, :], multimask_output=False)
        self.alike(point_coords=POINTS[1:], point_labels=LABELS[1:], box=BOX, multimask_output=False)
        masks, scores, _ = self.alike(point_coords=None, point_labels=None, box=BOXES, multimask_output=False)
        self.assertEqual((masks.shape, scores.shape), ((2, 1, 512, 512), (2, 1)))
        self.assertEqual([mask.squeeze(0).shape for mask in masks], [(512, 512)] * 2)

    def test_batches(self):
        images, points = [self.image, self.image[:300, :400]], [POINTS[:1, None], POINTS[1:, None]]
        labels = [np.ones((1, 1)), np.ones((1, 1))]
        found = []
        for kind, model in ((type(self.predictor), self.model), (s.SAM2ImagePredictor, demo())):
            predictor = kind(model)
            predictor.set_image_batch(images)
            boxes = predictor.predict_batch(None, None, box_batch=[BOXES, BOXES[1:]], multimask_output=False)
            clicks = predictor.predict_batch(points, labels, box_batch=None, multimask_output=True)
            found.append((*boxes, *clicks))
        for ours, engines in zip(*found):
            for one, other in zip(ours, engines):
                self.same(one, other.astype(np.float32))
        masks, scores = found[0][3:5]
        self.assertEqual(masks[1][np.argmax(scores[1], axis=-1)].dtype, np.float32)

    def test_features(self):
        embedding = self.engine.get_image_embedding()
        self.equal_tensor(self.predictor.get_image_embedding(), embedding)
        self.equal_tensor(self.predictor._features["image_embed"], embedding)
        self.equal_tensor(self.predictor._features["image_embed"][-1], embedding[-1])
        finer = self.predictor._features["high_res_feats"]
        self.assertEqual([tuple(f.shape) for f in finer], [(1, 16, 64, 64), (1, 32, 32, 32)])
        self.assertGreater(float(abs(finer[0]).max()), 0)
        self.assertEqual(self.predictor._orig_hw, [(512, 512)])
        fresh = type(self.predictor)(self.model)
        self.assertIsNone(fresh._features)
        self.assertIsNone(fresh._orig_hw)
        with self.assertRaises(RuntimeError):
            fresh.get_image_embedding()
        fresh.set_image(self.image)
        fresh.reset_predictor()
        self.assertIsNone(fresh._features)

    def test_the_model_is_like_a_module(self):
        self.assertIs(self.model.eval(), self.model)
        self.assertIs(self.model.to("cpu"), self.model)
        self.assertIs(self.model.to(self.predictor.device), self.model)
        with self.assertRaisesRegex(ValueError, "the model is on cpu .* device='cuda:1'"):
            self.model.to("cuda:1")
        self.assertEqual(str(self.predictor.device), "cpu")
        if self.with_torch:
            self.assertEqual(self.predictor.device.type, "cpu")
        with self.assertLogs("sam2_engine", "WARNING") as logged:
            self.assertIs(self.model.to(device="mps"), self.model)
        self.assertIn("the CPU is used", logged.output[0])

    def test_automatic_masks(self):
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
        from sam2.build_sam import build_sam2

        model = build_sam2(CONFIG, CHECKPOINT, "cpu", apply_postprocessing=False)
        image = s.read_picture(ROOT / "demo/samples/images/image1.png")[..., :3]
        few = {"points_per_side": 6, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.7}
        notebook = {
            "points_per_batch": 128,
            "stability_score_offset": 0.7,
            "crop_n_layers": 1,
            "box_nms_thresh": 0.7,
            "crop_n_points_downscale_factor": 2,
            "min_mask_region_area": 25.0,
            "use_m2m": True,
        }
        for settings in (few, {**few, **notebook}):
            found = SAM2AutomaticMaskGenerator(model=model, **settings).generate(image)
            want = s.SAM2AutomaticMaskGenerator(demo(apply_postprocessing=False), **settings).generate(image)
            self.assertEqual(len(found), len(want))
            self.assertGreater(len(found), 0)
            for mask, other in zip(found, want):
                self.same(mask.pop("segmentation"), other.pop("segmentation"))
                self.assertEqual(mask, other)


@needs_torch
class ImagesWithTorch(Images):
    with_torch = True

    def test_tensors_as_images_and_prompts(self):
        import torch

        want = self.predictor.predict(POINTS, LABELS)
        predictor = type(self.predictor)(self.model)
        tensor = torch.from_numpy(self.image.copy())
        for image in (tensor, tensor.permute(2, 0, 1), tensor.permute(2, 0, 1)[None]):
            predictor.set_image(image)
            self.same(predictor.predict(torch.from_numpy(POINTS), torch.from_numpy(LABELS)), want)


if __name__ == "__main__":
    unittest.main()
