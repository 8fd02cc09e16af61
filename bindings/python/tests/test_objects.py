"""Tests of objects: descriptions, messages for the log, and models from memory."""

import logging
import mmap
import threading
import unittest

import numpy as np
from support import CHECKPOINT, CLICK, FRAMES, Case, astronaut, demo

import sam2_engine as s


class Objects(Case):
    def test_descriptions(self):
        model = demo(precision="f32")
        images, video = s.SAM2ImagePredictor(model), s.SAM2VideoPredictor(model)
        about_model = f"<Model: 256 pixels, f32 on cpu ({model.device_name})>"
        self.assertEqual((repr(model), repr(video)), (about_model, f"<SAM2VideoPredictor of {about_model}>"))
        self.assertEqual(repr(images), "<SAM2ImagePredictor: no image, on cpu>")
        images.set_image_batch([astronaut(), astronaut()[:30, :40]])
        self.assertEqual(repr(images), "<SAM2ImagePredictor: 512x512, 40x30, on cpu>")
        features = images.take_features()
        self.assertEqual(repr(features), f"<Features: {features.nbytes} bytes>")
        self.assertEqual(repr(s.SAM2AutomaticMaskGenerator(model)), "<SAM2AutomaticMaskGenerator: output_mode 'binary_mask'>")
        tensor = model.empty((3, 4))
        self.assertEqual(repr(tensor), "<Tensor: (3, 4)>")
        state = video.init_state(FRAMES)
        video.add_new_points_or_box(state, 0, 5, **CLICK)
        self.assertEqual(repr(state), "<State: 24 frames of 480x360, objects [5]>")
        self.assertEqual(repr(next(video.propagate(state))), "<FrameMasks: frame 0, objects [5]>")
        state.close()
        self.assertEqual(repr(state), "<State: closed>")

    def test_descriptions_while_in_use(self):
        video = s.SAM2VideoPredictor(demo())
        state, seen = video.init_state(FRAMES), set()
        video.add_new_points_or_box(state, 0, 5, **CLICK)
        thread = threading.Thread(target=lambda: list(video.propagate(state)))
        thread.start()
        while thread.is_alive():
            seen.add(repr(state))
        self.assertIn("<State: in use>", seen)

    def test_messages(self):
        with self.assertLogs("sam2_engine", "DEBUG") as logged:
            s.SAM2ImagePredictor(demo()).set_image(astronaut())
        told = [(record.levelno, record.getMessage()) for record in logged.records]
        self.assertTrue(any(level == logging.INFO and "256 pixels, on CPU" in text for level, text in told), told)
        self.assertTrue(any(level == logging.DEBUG and "bytes" in text for level, text in told), told)

    def test_models_from_memory(self):
        click = {"point_coords": [[77, 400]], "point_labels": [1]}
        images = s.SAM2ImagePredictor(demo())
        images.set_image(astronaut())
        want = images.predict(**click)
        with open(CHECKPOINT, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            data = mapped[:]
            for form in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
                model = s.Model.from_bytes(form, config="sam2.1_hiera_demo", device="cpu", threads=1)
                images = s.SAM2ImagePredictor(model)
                images.set_image(astronaut())
                self.same(images.predict(**click), want)
            self.assertEqual(s.Model.from_bytes(mapped, device="cpu").image_size, 256)
        for wrong, kind in ((b"", s.InvalidArgument), (b"not a checkpoint", s.ModelError), (data[:-1], s.ModelError)):
            with self.assertRaises(kind):
                s.Model.from_bytes(wrong)
        with self.assertRaises(TypeError):
            s.Model.from_bytes("sam2.pt")


if __name__ == "__main__":
    unittest.main()
