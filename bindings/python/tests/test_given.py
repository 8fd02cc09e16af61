"""Tests of arguments: images of every type and order of dimensions, numbers, boxes, masks and files; and of copies."""

import copy
import pickle
import stat
import tempfile
import unittest
from pathlib import Path

import numpy as np
from support import CLICK, FRAMES, Case, Foreign, astronaut, demo, frame, numpy_has_dlpack_1

import sam2_engine as s

POINT = {"point_coords": [[77, 400]], "point_labels": [1]}


class Given(Case):
    @classmethod
    def setUpClass(cls):
        cls.model, cls.image = demo(), astronaut()
        cls.side = cls.model.mask_side
        cls.predictor = s.SAM2ImagePredictor(cls.model)
        cls.predictor.set_image(cls.image)
        cls.want = cls.predictor.predict(**POINT)
        cls.video = s.SAM2VideoPredictor(cls.model)

    def predict(self, image, **how):
        predictor = s.SAM2ImagePredictor(self.model)
        predictor.set_image(image, **how)
        return predictor.predict(**POINT)

    def opened(self):
        state = self.video.init_state(FRAMES)
        self.video.add_new_points_or_box(state, 0, 1, **CLICK)
        return state

    def refused(self, kind, says, function, *arguments, **how):
        with self.assertRaises(kind) as raised:
            function(*arguments, **how)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, str(raised.exception))

    def forms(self, wrap):
        """Tests an image in all orders of dimensions. `wrap` converts an array to an image."""
        image, planes = self.image, np.ascontiguousarray(np.moveaxis(self.image, 2, 0))
        wide = np.zeros((3, 520, 600), np.uint8)
        wide[:, 4:516, 50:562] = planes
        for same in (
            planes,  # torchvision's
            np.transpose(image, (2, 0, 1)),  # a view of interleaved memory
            np.moveaxis(planes, 0, 2),  # a view of planes
            wide[:, 4:516, 50:562],  # rows and planes with gaps
            planes[None],
            image[None],
        ):
            self.same(self.predict(wrap(same)), self.want)
        self.same(self.predict(wrap(planes[::-1].copy()), format="bgr"), self.want)
        gray = self.predict(image[..., 1])
        for same in (image[..., 1][None], image[..., 1][..., None], image[..., 1][None, None]):
            self.same(self.predict(wrap(np.ascontiguousarray(same))), gray)
        # Half floats give the same results as equal floats.
        for dtype in (np.float32, np.float16):
            floats = (image / 255).astype(dtype)
            want = self.predict(floats.astype(np.float32))
            planes = np.ascontiguousarray(np.moveaxis(floats, 2, 0))
            for same in (floats, planes, np.transpose(floats, (2, 0, 1)), np.moveaxis(planes, 0, 2), planes[None], floats[None]):
                self.same(self.predict(wrap(same)), want)
        self.refused(ValueError, ("pixel", "divide by 255"), self.predict, wrap(image.astype(np.float32)))
        for wrong in (np.zeros((5, 6, 7), np.uint8), np.zeros((2, 3, 8, 9), np.uint8), np.zeros((8, 9, 3)), np.zeros((8, 9, 3), bool)):
            self.refused(ValueError, ("not an image", "(3, height, width)"), self.predict, wrap(wrong))

    def test_arrays(self):
        self.forms(lambda array: array)

    @unittest.skipUnless(numpy_has_dlpack_1(), "numpy before 2.1 has no DLPack 1")
    def test_tensors(self):
        self.forms(lambda array: Foreign(array))

    def test_frames_of_a_stream(self):
        def push(change):
            stream = self.video.init_stream()
            found = [self.video.push_frame(stream, change(frame(0)))]
            self.video.add_new_points_or_box(stream, 0, 1, **CLICK)
            return self.video.push_frame(stream, change(frame(1))).masks

        want = push(lambda image: image)
        self.same(push(lambda image: np.transpose(image, (2, 0, 1))[None]), want)
        self.same(
            push(lambda image: (np.moveaxis(image, 2, 0) / 255).astype(np.float16)),
            push(lambda image: (image / 255).astype(np.float16).astype(np.float32)),
        )

    def test_numbers(self):
        """Numbers of the notebooks, and other whole numbers. Area limits are numbers of pixels."""
        notebook = {
            "points_per_side": 4,
            "points_per_batch": 128,
            "pred_iou_thresh": 0.5,
            "stability_score_thresh": 0.5,
            "stability_score_offset": 0.7,
            "crop_n_layers": 1,
            "box_nms_thresh": 0.7,
            "crop_n_points_downscale_factor": 2,
            "min_mask_region_area": 25.0,
            "use_m2m": True,
        }
        whole = s.SAM2AutomaticMaskGenerator(self.model, **{**notebook, "min_mask_region_area": 25}).generate(self.image)
        self.assertGreater(len(whole), 0)
        others = {"points_per_side": np.int64(4), "crop_n_layers": 1.0, "use_m2m": np.bool_(True), "pred_iou_thresh": np.float32(0.5)}
        for change in ({}, {"min_mask_region_area": 25.9}, {"min_mask_region_area": np.float32(25)}, others):
            found = s.SAM2AutomaticMaskGenerator(self.model, **{**notebook, **change}).generate(self.image)
            self.assertEqual([m["area"] for m in found], [m["area"] for m in whole], change)
        for wrong in ({"points_per_side": 4.5}, {"points_per_batch": -1}, {"points_per_side": 2**32 + 4}, {"crop_n_layers": float("nan")}):
            with self.assertRaises(ValueError, msg=wrong):
                s.SAM2AutomaticMaskGenerator(self.model, **wrong)
        state = self.opened()
        self.video.add_new_points_or_box(state, np.float64(0), np.int32(2), **CLICK)
        self.assertEqual(state.obj_ids, [1, 2])
        self.assertEqual(len(list(self.video.propagate(state, 2.0, np.int64(1)))), 2)
        for wrong in ((0.5, 1), (0, 1.5), (float("inf"), 1)):
            with self.assertRaises((ValueError, OverflowError), msg=wrong):
                self.video.add_new_points_or_box(state, *wrong, **CLICK)
        demo(threads=2.0).close()
        self.predictor.reserve(1.0, np.int64(2), np.bool_(True))

    def test_boxes(self):
        box, other = [20, 160, 365, 511], [100, 20, 300, 200]
        want = self.predictor.predict(box=box)
        for same in (tuple(box), np.array(box), [box], [[20, 160], [365, 511]], np.array(box, np.float16).reshape(1, 2, 2)):
            self.same(self.predictor.predict(box=same), want)
        both = self.predictor.predict(box=[box, other])
        self.same(self.predictor.predict(box=np.array([box, other]).reshape(2, 2, 2)), both)
        self.same(tuple(x[0] for x in both), want)
        first = self.video.add_new_points_or_box(self.opened(), 0, 7, box=[346, 175, 428, 266])
        for same in ([[346, 175], [428, 266]], [[346, 175, 428, 266]], (346, 175, 428, 266)):
            self.same(self.video.add_new_points_or_box(self.opened(), 0, 7, box=same)[2], first[2])
        for wrong in ([1, 2, 3], [[1, 2], [3, 4], [5, 6]], []):
            self.refused(ValueError, ("box of shape", "left, top"), self.predictor.predict, box=wrong)
        self.refused(ValueError, "2 boxes for one object", self.video.add_new_points_or_box, self.opened(), 0, 7, box=[box, other])

    def test_empty_points(self):
        """Empty lists of points differ from None: the reference adds its padding point."""
        low = self.want[2][:1]
        none, empty = (np.zeros((0, 2)), np.zeros(0)), {"point_coords": [], "point_labels": []}
        padded = self.predictor.predict(*none, mask_input=low)
        self.same(self.predictor.predict(**empty, mask_input=low), padded)
        self.assertTrue((padded[2] != self.predictor.predict(mask_input=low)[2]).any())
        # With a box, which has the padding point in any case, they have no effect.
        box = {"box": [20, 160, 365, 511]}
        self.same(self.predictor.predict(*none, **box), self.predictor.predict(**box))
        # A padding point as a point repeats the padding point, which changes only rounding.
        said = self.predictor.predict([[0, 0]], [-1], mask_input=low)
        self.assertGreater(np.corrcoef(said[2].ravel(), padded[2].ravel())[0, 1], 0.9)

    def test_logits_as_prompts(self):
        low = self.want[2][:1]
        want = self.predictor.predict(**POINT, mask_input=low)
        for same in (low[0], low[None], low.astype(np.float64), low.tolist()):
            self.same(self.predictor.predict(**POINT, mask_input=same), want)
        expected = ("logits", f"(1, {self.side}, {self.side})", "`mask`")
        for wrong in (
            self.want[0][0],  # a mask of the picture
            np.zeros((1, self.side // 2, self.side // 2), np.float32),
            np.zeros((2, self.side, self.side), np.float32),  # two for one object
            low > 0,
            (low > 0).astype(np.uint8) * 255,
            np.zeros(self.side * self.side, np.float32),
        ):
            self.refused(ValueError, expected, self.predictor.predict, **POINT, mask_input=wrong)
        for on in (1, 255):
            self.refused(ValueError, "binary mask", self.predictor.predict, mask_input=(low > 0).astype(np.float32) * on)

    def test_masks_as_prompts(self):
        def iou(a, b):
            return (a & b).sum() / (a | b).sum()

        mask = self.want[0][0]
        found = self.predictor.predict(mask=mask, multimask_output=False)
        self.assertGreater(iou(found[0][0], mask), 0.5)
        for same in (mask.astype(np.uint8), mask * np.uint8(255), mask.astype(np.float32), mask[None], mask[None, None], mask.tolist()):
            self.same(self.predictor.predict(mask=same, multimask_output=False), found)
        half = self.predictor.predict(mask=mask[::2, ::2], multimask_output=False)
        self.assertGreater(iou(half[0][0], found[0][0]), 0.9)
        both = self.predictor.predict(mask=self.want[0][:2], multimask_output=False)
        self.same(tuple(x[0] for x in both), found)
        batch = s.SAM2ImagePredictor(self.model)
        batch.set_image_batch([self.image, self.image])
        self.same(tuple(x[1] for x in batch.predict_batch(mask_batch=[None, mask], multimask_output=False)), found)
        self.refused(ValueError, "two masks", self.predictor.predict, mask=mask, mask_input=self.want[2][:1])
        self.refused(ValueError, "mask of floats", self.predictor.predict, mask=self.want[2][0])
        self.refused(ValueError, "(height, width)", self.predictor.predict, mask=mask[0])

    def test_masks_of_videos(self):
        mask = np.zeros((45, 60))
        mask[20:30, 20:40] = 0.25
        # An array is on the object where it is nonzero, as in the reference. Two masks are an error.
        want = self.video.add_new_mask(self.opened(), 0, 2, mask)
        for same in (mask > 0, (mask > 0).astype(np.uint8) * 255, mask.tolist()):
            self.same(self.video.add_new_mask(self.opened(), 0, 2, same)[2], want[2])
        self.assertGreater((want[2][1] > 0).sum(), 1000)
        self.refused(ValueError, "one mask", self.video.add_new_mask, self.opened(), 0, 2, np.stack([mask, mask]))

    def test_arrays_with_gaps_and_maps_of_ids(self):
        state = self.video.init_stream(window=4)
        frame = np.zeros((45, 60, 3), np.uint8)
        frame[20:30, 20:40] = 200
        self.video.push_frame(state, frame, timestamp=70)
        for obj_id, x in ((40, 30), (7, 5), (300, 55)):
            found = self.video.add_new_points_or_box(state, 0, obj_id, points=[[x, 25]], labels=[1])
        self.assertEqual(found[1], [40, 7, 300])
        want = self.video.push_frame(state.fork(), frame, masks="binary")
        # A part of a larger array: there is room for two of three objects.
        room = np.full((2, 50, 80), 9, np.uint8)
        got = self.video.push_frame(state.fork(), frame, masks=room[:, 3:48, 10:70])
        self.assertEqual((got.masks_written, len(got.obj_ids), want.masks_written), (2, 3, 3))
        self.same((room[:, 3:48, 10:70],), (want.masks[:2, 0].astype(np.uint8),))
        room[:, 3:48, 10:70] = 9
        self.assertTrue((room == 9).all())
        labels = self.video.push_frame(state.fork(), frame, masks="labels").masks
        ids = self.video.push_frame(state.fork(), frame, masks="ids16").masks
        self.same((ids,), (np.array([0, 40, 7, 300], np.uint16)[labels],))
        self.refused(ValueError, "300", self.video.push_frame, state.fork(), frame, masks="ids8")
        self.refused(ValueError, "contiguous", self.video.push_frame, state.fork(), frame, masks=room[:, 3:48, ::-1])

    def test_nothing_is_copied(self):
        generator, state = s.SAM2AutomaticMaskGenerator(self.model), self.opened()
        for whole, says in [
            (self.model, "predictors and threads share one"),
            (self.predictor, "another one"),
            (generator, "another one"),
            (state, "fork"),
            (self.model.empty((4, 4)), "from_dlpack"),
        ]:
            for way in (copy.copy, copy.deepcopy, pickle.dumps):
                self.refused(TypeError, ("cannot be copied or pickled", says), way, whole)
        self.refused(TypeError, "cannot be copied", copy.deepcopy, self.video)
        self.same(self.predictor.predict(**POINT), self.want)
        self.assertEqual(state.fork().obj_ids, [1])

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            missing = Path(folder) / "none.pt"
            for function in (self.video.init_state, s.read_picture, lambda path: s.build_sam2(None, path)):
                for path in (missing, str(missing)):
                    with self.assertRaises(FileNotFoundError) as raised:
                        function(path)
                    self.assertIsInstance(raised.exception, s.FileError)
                    self.assertEqual((raised.exception.errno, raised.exception.status), (2, 4))
                    self.assertIn("none.pt", str(raised.exception))
            with self.assertRaises(IsADirectoryError):
                s.read_picture(folder)
            locked = Path(folder) / "locked.png"
            locked.write_bytes(b"")
            locked.chmod(0)
            if not locked.stat().st_mode & stat.S_IRUSR and not _may_read(locked):
                with self.assertRaises(PermissionError):
                    s.read_picture(locked)
            broken = Path(folder) / "broken.png"
            broken.write_bytes(b"\x89PNG\r\n\x1a\n")
            with self.assertRaises(s.FileError) as raised:
                s.read_picture(broken)
            self.assertNotIsInstance(raised.exception, FileNotFoundError)

    def test_what_callbacks_raise(self):
        state = self.opened()
        original = s._frames.FrameMasks

        def fails(*_):
            raise MemoryError("no room")

        s._frames.FrameMasks = fails
        try:
            for call in (lambda: list(self.video.propagate(state)), lambda: self.video.add_new_points_or_box(state, 0, 1, **CLICK)):
                self.refused(MemoryError, "no room", call)
        finally:
            s._frames.FrameMasks = original
        self.assertEqual(len(list(self.video.propagate(state, max_frame_num_to_track=1))), 2)
        generator = s.SAM2AutomaticMaskGenerator(self.model, points_per_side=4, pred_iou_thresh=0.5, stability_score_thresh=0.5)
        generator._segmentation = fails
        self.refused(MemoryError, "no room", generator.generate, self.image)


def _may_read(path):
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    unittest.main()
