"""Tests of images: equal results to Rust, formats of input and output, errors and threads."""

import gc
import resource
import sys
import threading
import unittest

import numpy as np
from support import ROOT, Case, Foreign, astronaut, demo, numpy_has_dlpack_1, show

import sam2_engine as s

POINT = {"point_coords": [[77, 400]], "point_labels": [1]}
BOX = [20, 160, 365, 511]


class Images(Case):
    @classmethod
    def setUpClass(cls):
        cls.model, cls.image = demo(), astronaut()
        cls.predictor = s.SAM2ImagePredictor(cls.model)
        cls.predictor.set_image(cls.image)
        cls.want = cls.predictor.predict(**POINT)

    def predict(self, image, **how):
        predictor = s.SAM2ImagePredictor(self.model)
        predictor.set_image(image, **how)
        return predictor.predict(**POINT)

    def test_bits(self):
        show("click", *self.want)
        boxed = self.predictor.predict(box=BOX, multimask_output=False)
        show("box", *boxed)
        self.assertEqual([x.shape for x in self.want], [(3, 512, 512), (3,), (3, 64, 64)])
        self.assertEqual([x.dtype for x in boxed], [np.bool_, np.float32, np.float32])
        again = self.predictor.predict(**POINT, mask_input=self.want[2][:1])
        show("again", *again)
        self.same(self.predictor.predict(**POINT, mask_input=self.want[2][0]), again)

    def test_features(self):
        predictor = s.SAM2ImagePredictor(self.model)
        predictor.set_image(self.image)
        features = predictor.take_features()
        self.assertGreater(features.nbytes, 0)
        self.assertRaises(RuntimeError, predictor.predict, **POINT)
        self.assertRaises(s.InvalidArgument, s.SAM2ImagePredictor(demo()).set_features, features)
        other = s.SAM2ImagePredictor(self.model)
        other.set_features(features)
        self.same(other.predict(**POINT), self.want)
        self.assertRaises(s.InvalidHandle, other.set_features, features)

    def test_objects_and_pictures(self):
        boxes, clicks = [BOX, [100, 20, 300, 200]], [[[77, 400]], [[200, 100]]]
        masks, scores, low = self.predictor.predict(box=boxes, multimask_output=False)
        self.assertEqual([masks.shape, scores.shape, low.shape], [(2, 1, 512, 512), (2, 1), (2, 1, 64, 64)])
        for i, box in enumerate(boxes):
            self.same(self.predictor.predict(box=box, multimask_output=False), (masks[i], scores[i], low[i]))
        found = self.predictor.predict(clicks, [[1], [1]])
        self.same(tuple(x[0] for x in found), self.want)
        self.same(self.predictor.predict(clicks[:1], [[1]], box=[BOX]), self.predictor.predict(clicks[0], [1], box=BOX))
        small = self.image[:300, :400]
        batch = s.SAM2ImagePredictor(self.model)
        batch.set_image_batch([self.image, small])
        masks, scores, low = batch.predict_batch([[[77, 400]], None], [[1], None], [None, boxes])
        self.same((masks[0], scores[0], low[0]), self.want)
        self.assertEqual(masks[1].shape, (2, 3, 300, 400))
        self.assertEqual(batch.get_image_embedding().shape, (2, 128, 16, 16))
        self.same(batch.get_image_embedding()[:1], self.predictor.get_image_embedding())
        alone = s.SAM2ImagePredictor(self.model)
        alone.set_image(small)
        self.same(alone.predict(box=boxes), (masks[1], scores[1], low[1]))
        with self.assertRaises(ValueError):
            batch.predict(**POINT)
        with self.assertRaises(ValueError):
            batch.predict_batch([None])
        with self.assertRaises(ValueError):
            self.predictor.predict(clicks, [[1], [1]], box=[BOX] * 3)

    def test_logits_and_units(self):
        logits, *rest = self.predictor.predict(**POINT, return_logits=True)
        self.assertEqual(logits.dtype, np.float32)
        self.same((logits > 0, *rest), self.want)
        self.same(self.predictor.predict([[77 / 512, 400 / 512]], [1], normalize_coords=False), self.want)
        strict = s.SAM2ImagePredictor(self.model, mask_threshold=2.0)
        strict.set_image(self.image)
        self.same(strict.predict(**POINT)[0], logits > 2)

    def test_forms_of_pictures(self):
        image = self.image
        wide = np.zeros((512, 700, 3), np.uint8)
        wide[:, 100:612] = image
        alpha = np.dstack([image, image[..., 0]])
        for same, how in [
            (wide[:, 100:612], {}),
            (image[..., ::-1][..., ::-1], {}),
            (image[..., ::-1], {"format": "bgr"}),
            (alpha, {}),
            (alpha[..., [2, 1, 0, 3]], {"format": "bgra"}),
            (image[::-1], {"flip": True}),
            (np.ascontiguousarray(image[::-1]), {"flip": True}),
            (image.tolist(), None),
        ]:
            if how is None:
                same, how = np.array(same, np.uint8), {}
            self.same(self.predict(same, **how), self.want)
        floats = image.astype(np.float32) / 255
        self.same(self.predict(floats), self.predict(np.moveaxis(floats, 2, 0)))
        self.same(self.predict(floats), self.predict(np.ascontiguousarray(np.moveaxis(floats, 2, 0))))
        gray = image[..., 1]
        want = self.predict(np.dstack([gray] * 3))
        self.same(self.predict(gray), want)
        full = {"full_range": True, "matrix": "bt601"}
        nv12 = np.vstack([gray, np.full((256, 512), 128, np.uint8)])
        self.same(self.predict(nv12, format="nv12", **full), want)
        pairs = np.dstack([gray, np.full_like(gray, 128)])
        self.same(self.predict(pairs, format="yuyv", **full), want)
        self.same(self.predict(pairs[..., ::-1], format="uyvy", **full), want)
        with self.assertRaises(AssertionError):
            self.same(self.predict(nv12, format="nv12"), want)
        for wrong, how in [
            (image.astype(np.float64), {}),
            (pairs, {}),
            (image, {"format": "nv12"}),
            (image, {"format": "png"}),
            (image, {"matrix": "bt2020"}),
            (nv12[:-1], {"format": "nv12"}),
            (np.zeros((4, 4, 5), np.uint8), {}),
            (np.zeros((0, 4, 3), np.uint8), {}),
        ]:
            with self.assertRaises(ValueError, msg=(wrong.shape, how)):
                self.predict(wrong, **how)

    def test_where_masks_go(self):
        for dtype in (np.uint8, np.bool_, np.float32):
            out = np.zeros((3, 512, 512), dtype)
            masks, scores, _ = self.predictor.predict(**POINT, out=out)
            self.assertIs(masks, out)
            self.same((masks > 0, scores), self.want[:2])
        labels = np.zeros((512, 512), np.uint16)
        clicks = ([[[77, 400]], [[200, 100]]], [[1], [1]])
        self.predictor.predict(*clicks, multimask_output=False, out=labels)
        logits = self.predictor.predict(*clicks, multimask_output=False, return_logits=True)[0][:, 0]
        self.same(labels, np.where(logits.max(0) > 0, logits.argmax(0) + 1, 0).astype(np.uint16))
        frozen = np.zeros((3, 512, 512), np.uint8)
        frozen.flags.writeable = False
        for wrong in (frozen, np.zeros((3, 512, 512), np.int64), np.zeros((2, 512, 512), np.uint8), labels.T[::2]):
            with self.assertRaises(ValueError):
                self.predictor.predict(**POINT, out=wrong)

    @unittest.skipUnless(numpy_has_dlpack_1(), "numpy before 2.1 has no DLPack 1")
    def test_dlpack(self):
        self.same(self.predict(Foreign(self.image.copy())), self.want)
        self.same(self.predict(Foreign(self.image[..., ::-1].copy()), format="bgr"), self.want)
        with self.assertRaises(ValueError):
            self.predict(Foreign(self.image[:, ::2]))
        with self.assertRaises(ValueError):
            self.predict(Foreign(self.image.copy()), format="rgba")
        out = np.zeros((3, 512, 512), np.bool_)
        self.predictor.predict(**POINT, out=Foreign(out))
        self.same(out, self.want[0])
        with self.assertRaises(TypeError):
            self.predict(Old(self.image))
        # A tensor of the library is written, taken over once, and outlives the model.
        tensor = self.model.empty((3, 512, 512))
        self.assertEqual(tensor.__dlpack_device__(), (1, 0))
        self.predictor.predict(**POINT, out=tensor)
        taken = np.from_dlpack(tensor)
        for closed in (tensor.__dlpack_device__, lambda: self.predictor.predict(**POINT, out=tensor)):
            with self.assertRaises(ValueError):
                closed()
        del tensor
        gc.collect()
        self.same(taken.view(np.bool_), self.want[0])
        with self.assertRaises(BufferError):
            self.model.empty((4, 4)).__dlpack__()
        with self.assertRaises(s.InvalidArgument):
            self.model.empty((4, 4), on_gpu=True)
        with self.assertRaises(s.InvalidArgument):
            self.model.empty((4, 0))

    @unittest.skipUnless(numpy_has_dlpack_1(), "numpy before 2.1 has no DLPack 1")
    def test_tensors_are_given_back(self):
        """Creates 150 tensors of 16 MiB and releases them in every way. Few of them exist at a time."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(150):
            tensor = self.model.empty((4096, 4096))
            if i % 3:
                capsule = tensor.__dlpack__(max_version=(1, 0)) if i % 3 == 1 else np.from_dlpack(tensor)
                del capsule
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 400 << 10)
        # A borrowed tensor is released by its capsule only.
        lent = np.zeros((9, 9), np.uint8)
        count = sys.getrefcount(lent)
        described = s.picture(Foreign(lent))
        self.assertGreater(sys.getrefcount(lent), count)
        del described
        self.assertEqual(sys.getrefcount(lent), count)

    def test_errors(self):
        fresh = s.SAM2ImagePredictor(self.model)
        with self.assertRaises(RuntimeError):
            fresh.predict(**POINT)
        fresh.set_image(self.image)
        with self.assertRaises(s.InvalidArgument) as raised:
            fresh.predict([[float("nan"), 4]], [1])
        self.assertEqual(raised.exception.status, 1)
        self.assertIsInstance(raised.exception, ValueError)
        for wrong in (([[1, 2], [3, 4]], [1]), ([[1, 2]], None), (None, [1]), ([[1, 2, 3, 4, 5]], [1])):
            with self.assertRaises(ValueError):
                fresh.predict(*wrong)
        with self.assertRaises(ValueError):
            fresh.predict(**POINT, mask_input=np.zeros((1, 32, 32)))
        # Failed calls change nothing.
        with self.assertRaises(ValueError):
            fresh.set_image(np.zeros((0, 4, 3), np.uint8))
        self.same(fresh.predict(**POINT), self.want)
        fresh.reset_predictor()
        with self.assertRaises(RuntimeError):
            fresh.predict(**POINT)
        fresh.close()
        fresh.close()
        with self.assertRaises(s.InvalidHandle):
            fresh.set_image(self.image)
        with self.assertRaises(s.FileError) as raised:
            s.build_sam2(None, "/nowhere.pt")
        demo = ROOT / "demo"
        for name in ["configs/sam2.1/sam2.1_hiera_demo.yaml", "sam2.1_hiera_demo", "/none/sam2.1_hiera_demo.yaml", ROOT / "configs/sam2.1/sam2.1_hiera_demo.yaml"]:
            self.assertEqual(s.build_sam2(name, demo, device="cpu", threads=1).image_size, 256)
        with self.assertRaisesRegex(OSError, "sam2_hiera_b"):
            s.build_sam2("configs/none.yaml", demo, device="cpu")
        with self.assertRaises(s.ModelError):
            s.build_sam2("sam2_hiera_t", demo, device="cpu")
        self.assertIsInstance(raised.exception, OSError)
        with self.assertRaises(s.ModelError):
            s.Model(ROOT / "demo", overrides=["model.image_encoder.trunk.embed_dim=7"])
        for wrong in ({"device": "tpu"}, {"precision": "f8"}, {"device": "cuda:x"}, {"device": "cuda:-1"}):
            with self.assertRaises(ValueError):
                s.Model(ROOT / "demo", **wrong)
        with self.assertRaises(ValueError):
            s.build_sam2(None, ROOT / "demo", mode="train")
        with self.assertRaises(s.FileError):
            s.read_picture("/nowhere.png")

    def test_threads_share_a_model(self):
        found = [None] * 4

        def work(i):
            found[i] = [self.predict(self.image) for _ in range(3)]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        for results in found:
            for result in results:
                self.same(result, self.want)

    def test_destroyed_in_any_order(self):
        model = demo()
        predictor = s.SAM2ImagePredictor(model)
        model.close()
        predictor.set_image(self.image)
        self.same(predictor.predict(**POINT), self.want)
        with self.assertRaises(s.InvalidHandle):
            s.SAM2ImagePredictor(model)
        with demo(precision="f32") as other:
            self.assertEqual((other.image_size, other.mask_side, other.device, other.precision), (256, 64, "cpu", "f32"))


class Old:
    """A tensor of a library without DLPack 1."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()


if __name__ == "__main__":
    unittest.main()
