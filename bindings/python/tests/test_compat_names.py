"""Tests of `sam2_engine.compat`: modules, names of models, and errors."""

import os
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

from support import CHECKPOINT, CONFIG, FRAMES, ROOT, Compat, astronaut, forget

import sam2_engine

PROGRAM = f"""
import sam2_engine.compat
import numpy as np
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2.build_sam import build_sam2, build_sam2_video_predictor
from sam2.sam2_image_predictor import SAM2ImagePredictor
import sam2.sam2_video_predictor

predictor = build_sam2_video_predictor("{CONFIG}", r"{CHECKPOINT}", device="cpu")
assert isinstance(predictor, sam2.sam2_video_predictor.SAM2VideoPredictor)
state = predictor.init_state(video_path=r"{FRAMES}")
points, labels = np.array([[208, 249]], dtype=np.float32), np.array([1], np.int32)
_, ids, logits = predictor.add_new_points_or_box(inference_state=state, frame_idx=0, obj_id=1, points=points, labels=labels)
for number, ids, logits in predictor.propagate_in_video(state, max_frame_num_to_track=1):
    print(number, ids, (logits[0] > 0.0).cpu().numpy().shape)
"""

MODEL = "facebook/sam2.1-hiera-base-plus"
FILE = "sam2.1_hiera_base_plus.pt"


def python(program):
    return subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, env=os.environ)


class Modules(unittest.TestCase):
    def test_a_program_with_one_line_more(self):
        ran = python(PROGRAM)
        self.assertEqual((ran.stderr, ran.stdout), ("", "0 [1] (1, 360, 480)\n1 [1] (1, 360, 480)\n"))

    def test_another_package_of_the_name(self):
        self.addCleanup(forget)
        with mock.patch.dict(sys.modules):
            forget()
            sys.modules["sam2"] = types.ModuleType("sam2")
            with self.assertRaisesRegex(ImportError, "sam2 is already imported from an unknown place: import sam2_engine.compat before"):
                import sam2_engine.compat

    def test_nothing_else_is_imported(self):
        # The package itself does not even import NumPy before it is used.
        for module, before in (("sam2_engine", "sys"), ("sam2_engine.compat", "sys, numpy")):
            slow = "{'numpy', 'torch', 'PIL', 'cv2', 'asyncio', 'ctypes.util', 'huggingface_hub'}"
            ran = python(f"import {before}; before = set(sys.modules); import {module}; print({slow} & (set(sys.modules) - before))")
            self.assertEqual((ran.stderr, ran.stdout), ("", "set()\n"))


class Names(Compat):
    def test_configurations(self):
        from sam2.build_sam import build_sam2

        for name in (CONFIG, "sam2.1_hiera_demo", "sam2.1/sam2.1_hiera_demo.yaml", None):
            self.assertEqual(build_sam2(name, str(CHECKPOINT), device="cpu").image_size, 256)
        with self.assertRaisesRegex(OSError, "sam2_hiera_b"):
            build_sam2("configs/sam2.1/none.yaml", CHECKPOINT)

    def test_arguments(self):
        from sam2.build_sam import build_sam2, build_sam2_video_predictor

        small = {"device": "cpu", "threads": 1, "precision": "f32", "image_size": 128}
        for build in (build_sam2, build_sam2_video_predictor):
            model = build(CONFIG, CHECKPOINT, **small)
            self.assertEqual((model.image_size, model.precision), (128, "f32"))
            changed = build(CONFIG, CHECKPOINT, "cpu", "eval", ["++model.image_size=128"], False)
            self.assertEqual(changed.image_size, 128)
            with self.assertRaisesRegex(TypeError, "'colour'"):
                build(CONFIG, CHECKPOINT, colour=1)
            with self.assertRaisesRegex(sam2_engine.ModelError, "model.colour: not an option"):
                build(CONFIG, CHECKPOINT, hydra_overrides_extra=["++model.colour=1"])
            with self.assertRaisesRegex(ValueError, "ckpt_path is None"):
                build(CONFIG)
            with self.assertRaisesRegex(ValueError, "no mode 'train'"):
                build(CONFIG, CHECKPOINT, mode="train")
            with self.assertRaises(FileNotFoundError):
                build(CONFIG, "none.pt")
            with self.assertRaisesRegex(ValueError, "tpu"):
                build(CONFIG, CHECKPOINT, device="tpu")
            with self.assertRaises(sam2_engine.DeviceError):
                build(CONFIG, CHECKPOINT, device=99)


class Published(Compat):
    def setUp(self):
        super().setUp()
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)
        names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
        patch = mock.patch.dict(os.environ, {"HF_HOME": str(self.place)})
        patch.start()
        self.addCleanup(patch.stop)
        for name in names:
            if name != "HF_HOME":
                os.environ.pop(name, None)

    def snapshot(self, revision, *files, cache="hub"):
        folder = self.place / cache / f"models--{MODEL.replace('/', '--')}" / "snapshots" / revision
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).symlink_to(CHECKPOINT)
        return folder

    def find(self, model=MODEL):
        from sam2_engine.compat._published import find

        return find(model)

    def test_revisions(self):
        old, new = self.snapshot("aa", FILE), self.snapshot("bb", FILE)
        os.utime(old, (1, 1))
        config = "configs/sam2.1/sam2.1_hiera_b+.yaml"
        self.assertEqual(self.find(), (config, str(new / FILE)))
        refs = old.parents[1] / "refs"
        refs.mkdir()
        (refs / "main").write_text("aa")
        self.assertEqual(self.find(), (config, str(old / FILE)))
        # A revision may lack the file, or its link may lead nowhere.
        (old / FILE).unlink()
        (old / FILE).symlink_to("gone")
        self.assertEqual(self.find(), (config, str(new / FILE)))

    def test_where_the_cache_is(self):
        folder = self.snapshot("aa", FILE, cache="elsewhere")
        for name, value in (("HF_HUB_CACHE", "elsewhere"), ("HUGGINGFACE_HUB_CACHE", "elsewhere")):
            with mock.patch.dict(os.environ, {name: str(self.place / value)}):
                self.assertEqual(self.find()[1], str(folder / FILE))
        del os.environ["HF_HOME"]
        with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(self.place)}):
            folder = self.snapshot("aa", FILE, cache="huggingface/hub")
            self.assertEqual(self.find()[1], str(folder / FILE))

    def test_models_that_are_not_there(self):
        with self.assertRaisesRegex(FileNotFoundError, f"{self.place}/hub.*hf download {MODEL} {FILE}.*path"):
            self.find()
        with self.assertRaisesRegex(FileNotFoundError, "neither a path nor one of the models facebook/sam2-hiera-tiny, ") as raised:
            self.find("somebody/sam2")
        self.assertEqual((raised.exception.errno, raised.exception.filename), (2, "somebody/sam2"))

    def test_the_engine_knows_every_configuration(self):
        from sam2_engine.compat._published import _MODELS

        self.assertEqual(len(_MODELS), 8)
        for config, _ in _MODELS.values():
            # The demo model has another size.
            with self.assertRaises(sam2_engine.ModelError):
                sam2_engine.Model(CHECKPOINT, config, device="cpu")

    def test_from_pretrained(self):
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
        from sam2.build_sam import build_sam2_hf, build_sam2_video_predictor_hf
        from sam2.sam2_image_predictor import SAM2ImagePredictor
        from sam2.sam2_video_predictor import SAM2VideoPredictor

        # A checkpoint of Transformers is recognized by its tensors.
        self.snapshot("aa", "model.safetensors")
        for name in (MODEL, str(ROOT / "demo"), str(CHECKPOINT)):
            predictor = SAM2ImagePredictor.from_pretrained(name, device="cpu", mask_threshold=100.0)
            predictor.set_image(astronaut())
            self.assertEqual(predictor.predict(box=[20, 160, 365, 511])[0].max(), 0)
            generator = SAM2AutomaticMaskGenerator.from_pretrained(name, device="cpu", points_per_side=2, pred_iou_thresh=2.0)
            self.assertEqual(generator.generate(astronaut()), [])
            video = SAM2VideoPredictor.from_pretrained(name, device="cpu", vos_optimized=True)
            self.assertIsInstance(video, SAM2VideoPredictor)
            self.assertEqual(build_sam2_video_predictor_hf(name, device="cpu").image_size, 256)
            self.assertEqual(build_sam2_hf(name, device="cpu").image_size, 256)
            for kind in (SAM2ImagePredictor, SAM2AutomaticMaskGenerator, SAM2VideoPredictor):
                with self.assertRaisesRegex(TypeError, "'colour'"):
                    kind.from_pretrained(name, colour=1)


if __name__ == "__main__":
    unittest.main()
