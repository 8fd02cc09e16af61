"""Beside PyTorch and the reference's package, where they are installed."""

import importlib.util
import inspect
import unittest

import numpy as np
from support import FRAMES, Case, astronaut, demo

import sam2_engine as s


@unittest.skipUnless(importlib.util.find_spec("torch"), "torch is not installed")
class Torch(Case):
    def test_tensors_in_and_out(self):
        import torch

        model, image = demo(), astronaut()
        predictor, click = s.SAM2ImagePredictor(model), {"point_coords": [[77, 400]], "point_labels": [1]}
        predictor.set_image(image)
        want = predictor.predict(**click)
        tensor = torch.from_numpy(image.copy())
        predictor.set_image(tensor)
        self.same(predictor.predict(**click), want)
        self.same(predictor.predict(torch.tensor([[77.0, 400.0]]), torch.tensor([1])), want)
        with self.assertRaises(ValueError):
            predictor.set_image(tensor.permute(1, 0, 2))
        floats = tensor.float() / 255
        predictor.set_image(floats)
        rows = predictor.predict(**click)
        predictor.set_image(floats.permute(2, 0, 1).contiguous())
        self.same(predictor.predict(**click), rows)
        predictor.set_image(tensor)
        for dtype in (torch.uint8, torch.bool, torch.float32):
            out = torch.zeros((3, 512, 512), dtype=dtype)
            self.assertIs(predictor.predict(**click, out=out)[0], out)
            self.same((out > 0).numpy(), want[0])
        made = model.empty((3, 512, 512))
        predictor.predict(**click, out=made)
        taken = torch.from_dlpack(made)
        del made
        self.same(taken.bool().numpy(), want[0])


@unittest.skipUnless(importlib.util.find_spec("sam2"), "the reference's package is not installed")
class Reference(unittest.TestCase):
    def test_methods_take_what_the_references_take(self):
        from sam2 import build_sam
        from sam2.sam2_image_predictor import SAM2ImagePredictor
        from sam2.sam2_video_predictor import SAM2VideoPredictor

        images = "__init__ set_image set_image_batch predict predict_batch get_image_embedding reset_predictor"
        videos = (
            "init_state add_new_points_or_box add_new_mask propagate_in_video clear_all_prompts_in_frame remove_object reset_state"
        )
        pairs = [
            *[(getattr(SAM2ImagePredictor, name), getattr(s.SAM2ImagePredictor, name)) for name in images.split()],
            *[(getattr(SAM2VideoPredictor, name), getattr(s.SAM2VideoPredictor, name)) for name in videos.split()],
            (build_sam.build_sam2, s.build_sam2),
        ]
        for theirs, ours in pairs:
            theirs = [name for name in inspect.signature(theirs).parameters if name != "kwargs"]
            self.assertEqual(list(inspect.signature(ours).parameters)[: len(theirs)], theirs, ours)
        for name in [*images.split()[1:], "device"]:
            self.assertIsNotNone(inspect.getdoc(getattr(s.SAM2ImagePredictor, name)), name)


if __name__ == "__main__":
    unittest.main()
