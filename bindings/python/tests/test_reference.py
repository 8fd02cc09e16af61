"""Tests with PyTorch and the reference package, if they are installed."""

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
        # The order of dimensions of torchvision, batches of one, half floats, and tensors that require gradients.
        predictor.set_image(tensor.permute(2, 0, 1).contiguous()[None])
        self.same(predictor.predict(**click), want)
        for dtype in (torch.float16, torch.bfloat16):
            halves = floats.to(dtype)
            predictor.set_image(halves.float())
            rounded = predictor.predict(**click)
            for same in (halves, halves.permute(2, 0, 1), halves.permute(2, 0, 1).contiguous()[None], halves.requires_grad_()):
                predictor.set_image(same)
                self.same(predictor.predict(**click), rounded)
        low = torch.from_numpy(want[2][:1])
        predictor.set_image(tensor)
        again = predictor.predict(**click, mask_input=want[2][:1])
        self.same(predictor.predict(**click, mask_input=low.requires_grad_()), again)
        self.same(predictor.predict(box=torch.tensor([[20, 160], [365, 511]])), predictor.predict(box=[20, 160, 365, 511]))
        halves = low.detach().bfloat16()
        self.same(predictor.predict(**click, mask_input=halves), predictor.predict(**click, mask_input=halves.float().numpy()))
        made = model.empty((3, 512, 512))
        predictor.predict(**click, out=made)
        taken = torch.from_dlpack(made)
        del made
        self.same(taken.bool().numpy(), want[0])


    def test_masks_that_are_tensors(self):
        """Mask tensors are used as in add_new_mask of the reference: resized, and on the object from 0.5. A tensor of the side of the
        model's input is not thresholded."""
        import torch
        from torch.nn.functional import interpolate

        model = demo(precision="f32")
        video, side, low = s.SAM2VideoPredictor(model), model.image_size, model.mask_side

        def seen(mask):
            return video.add_new_mask(video.init_state(FRAMES), 0, 1, mask)[2]

        soft = torch.zeros(45, 60)
        soft[15:35, 15:45] = 0.4
        soft[20:30, 20:40] = torch.linspace(0.2, 1.0, 20)
        for mask in (soft, soft.double(), soft.half(), soft.bfloat16(), (soft > 0.5), (soft > 0.5).to(torch.uint8) * 255, soft * 9):
            resized = interpolate(mask.float()[None, None], (side, side), mode="bilinear", antialias=True)[0, 0] >= 0.5
            self.same(seen(mask), seen(resized.numpy()))
        self.assertTrue((seen(soft) != seen(soft.numpy())).any(), "an array counts where it is not 0")
        self.same(seen(torch.full((45, 60), 0.49)), seen(np.zeros((45, 60))))
        whole = interpolate(soft[None, None], (side, side), mode="bilinear")
        for mask in (whole, whole * 255, whole - 0.3):
            # The logits of the mask, reduced and enlarged.
            logits = interpolate(mask * 20 - 10, (low, low), mode="bilinear", antialias=True)
            shown = interpolate(logits, (360, 480), mode="bilinear")[0].numpy()
            np.testing.assert_allclose(seen(mask[0, 0])[0], shown, atol=1e-2)


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
