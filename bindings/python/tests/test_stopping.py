"""Tests of calls that are ended: by another thread, by a time limit, and while a model is loaded."""

import threading
import unittest

from support import CHECKPOINT, CLICK, FRAMES, Case, astronaut, demo

import sam2_engine as s


class Stopping(Case):
    def ended_by(self, end, call):
        """Calls `end` on another thread until `call`, which is repeated, raises an exception. Returns the exception."""
        stop = threading.Event()

        def work():
            while not stop.wait(0.002):
                end()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            while True:
                call()
        except s.Sam2Error as error:
            return error
        finally:
            stop.set()
            thread.join()

    def test_another_thread_cancels(self):
        model = demo(image_size=512)
        images, video = s.SAM2ImagePredictor(model), s.SAM2VideoPredictor(model)
        generator = s.SAM2AutomaticMaskGenerator(model, points_per_side=4)
        state = video.init_state(FRAMES)
        video.add_new_points_or_box(state, 0, 5, **CLICK)
        for owner, call in [
            (images, lambda: images.set_image(astronaut())),
            (generator, lambda: generator.generate(astronaut())),
            (state, lambda: list(video.propagate(state))),
        ]:
            self.assertIsInstance(self.ended_by(owner.cancel, call), s.Cancelled)
        # Nothing is left of it.
        images.set_image(astronaut())
        self.assertEqual(next(video.propagate(state)).obj_ids, [5])

    def test_closing_ends_a_call(self):
        images = s.SAM2ImagePredictor(demo(image_size=512))
        error = self.ended_by(images.close, lambda: images.set_image(astronaut()))
        self.assertIsInstance(error, (s.Cancelled, s.InvalidHandle))

    def test_time_limits(self):
        video = s.SAM2VideoPredictor(demo())
        images, state = s.SAM2ImagePredictor(video.model), video.init_state(FRAMES)
        generator = s.SAM2AutomaticMaskGenerator(video.model, points_per_side=4)
        video.add_new_points_or_box(state, 0, 5, **CLICK)
        with s.time_limit(0):
            for call in [
                lambda: images.set_image(astronaut()),
                lambda: list(video.propagate(state)),
                lambda: generator.generate(astronaut()),
                lambda: s.Model(CHECKPOINT, device="cpu"),
            ]:
                with self.assertRaises(TimeoutError) as raised:
                    call()
                self.assertIsInstance(raised.exception, s.TimedOut)
            with s.time_limit(None):
                images.set_image(astronaut())
            with self.assertRaises(s.TimedOut):
                images.set_image(astronaut())
            # The limit is that of the thread.
            thread = threading.Thread(target=images.set_image, args=(astronaut(),))
            thread.start()
            thread.join()
        images.set_image(astronaut())
        self.assertEqual(next(video.propagate(state)).obj_ids, [5])

    def test_loading(self):
        parts = []
        s.Model(CHECKPOINT, device="cpu", progress=lambda part: parts.append(part) or True)
        self.assertTrue(len(parts) > 100 and parts == sorted(parts) and parts[-1] == 1, parts[-3:])
        with self.assertRaises(s.Cancelled):
            s.Model(CHECKPOINT, device="cpu", progress=lambda part: part < 0.5)
        with self.assertRaises(ZeroDivisionError):
            s.Model(CHECKPOINT, device="cpu", progress=lambda part: 1 / 0)

    def test_pictures_in_memory(self):
        path = f"{FRAMES}/00000.jpg"
        with open(path, "rb") as file:
            data = file.read()
        for form in (data, bytearray(data), memoryview(data)):
            self.assertEqual(s.decode_picture(form).tobytes(), s.read_picture(path).tobytes())
        with self.assertRaises(s.FileError):
            s.decode_picture(data[:100])
        with self.assertRaises(ValueError):
            s.decode_picture(b"")


if __name__ == "__main__":
    unittest.main()
