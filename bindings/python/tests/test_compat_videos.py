"""Tests of `sam2_engine.compat`: the calls of the reference's notebook, tools and server on videos."""

import unittest

import numpy as np
from support import CHECKPOINT, CONFIG, FRAMES, Compat, demo, frame, needs_torch

import sam2_engine as s

POINTS, LABELS = np.array([[208, 249]], dtype=np.float32), np.array([1], np.int32)
BOX = np.array([346, 175, 428, 266], dtype=np.float32)


class Videos(Compat):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        from sam2.build_sam import build_sam2_video_predictor

        overrides = [
            "++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictorVOS",
            "++model.compile_image_encoder=True",
        ]
        cls.predictor = build_sam2_video_predictor(
            CONFIG, CHECKPOINT, "cpu", vos_optimized=True, hydra_overrides_extra=overrides
        )
        cls.engine = s.SAM2VideoPredictor(demo())

    def opened(self, predictor):
        """A state with two objects, and the masks of the second prompt."""
        state = predictor.init_state(video_path=str(FRAMES))
        predictor.reset_state(state)
        predictor.add_new_points_or_box(inference_state=state, frame_idx=0, obj_id=2, points=POINTS, labels=LABELS)
        shown = predictor.add_new_points_or_box(inference_state=state, frame_idx=0, obj_id=3, box=BOX)
        return state, shown

    def test_clicks_and_boxes(self):
        (state, (number, ids, masks)), (_, want) = self.opened(self.predictor), self.opened(self.engine)
        self.assertEqual((number, ids, tuple(masks.shape)), (0, [2, 3], (2, 1, 360, 480)))
        self.equal_tensor(masks, want[2])
        self.same((masks[0] > 0.0).cpu().numpy(), want[2][0] > 0)
        self.assertIs(type((masks[0] > 0.0).cpu().numpy()), np.ndarray)
        again = self.predictor.add_new_points(state, 0, 3, points=POINTS, labels=LABELS)
        self.assertEqual(again[1], [2, 3])

    def test_propagation(self):
        (state, _), (other, _) = self.opened(self.predictor), self.opened(self.engine)
        self.predictor.propagate_in_video_preflight(state)
        for reverse in (False, True):
            how = {"start_frame_idx": 2, "max_frame_num_to_track": 2, "reverse": reverse}
            found = self.predictor.propagate_in_video(state, **how)
            want = list(self.engine.propagate_in_video(other, **how))
            segments = {}
            for (number, ids, masks), (_, _, logits) in zip(found, want, strict=True):
                segments[number] = {obj_id: (masks[i] > 0.0).cpu().numpy() for i, obj_id in enumerate(ids)}
                self.equal_tensor(masks, logits)
                self.same((masks > 0)[:, 0].cpu().numpy(), logits[:, 0] > 0)
            self.assertEqual(list(segments), [number for number, _, _ in want])
            self.assertEqual(segments[2][3].shape, (1, 360, 480))
        empty = self.predictor.init_state(str(FRAMES), offload_video_to_cpu=True, async_loading_frames=True)
        for call in (self.predictor.propagate_in_video_preflight, lambda state: next(self.predictor.propagate_in_video(state))):
            with self.assertRaisesRegex(RuntimeError, "no object"):
                call(empty)

    def test_masks(self):
        """As the tool for data sets does: arrays of bool, one state for all objects, and masks above a score."""
        mask = np.zeros((360, 480), dtype=bool)
        mask[180:260, 350:420] = True
        found = []
        for predictor in (self.predictor, self.engine):
            state = predictor.init_state(video_path=str(FRAMES), async_loading_frames=False)
            predictor.add_new_mask(inference_state=state, frame_idx=0, obj_id=7, mask=mask)
            _, ids, masks = next(iter(predictor.propagate_in_video(state)))
            found.append({obj_id: np.asarray(masks[i] > 0.0) for i, obj_id in enumerate(ids)})
        self.same(found[0][7], found[1][7])

    def test_values_of_masks(self):
        """Values of a result count from 0.5, as those of a tensor. An array counts where it is not 0."""
        from sam2_engine.compat._tensor import tensor

        faint = np.full((45, 60), 0.25, np.float32)
        seen = lambda mask: np.asarray(self.predictor.add_new_mask(self.predictor.init_state(FRAMES), 0, 1, mask)[2])
        self.same(seen(tensor(faint, "cpu")), seen(np.zeros((45, 60))))
        self.assertGreater((seen(faint) > 0).sum(), 1000)

    def test_items_of_a_state(self):
        state, _ = self.opened(self.predictor)
        self.assertEqual((state["num_frames"], state["video_height"], state["video_width"]), (24, 360, 480))
        self.assertEqual((state["obj_ids"], state["obj_id_to_idx"]), ([2, 3], {2: 0, 3: 1}))
        self.assertEqual((state["obj_idx_to_id"], dict(state)["num_frames"]), ({0: 2, 1: 3}, 24))
        self.assertTrue("obj_ids" in state and "images" not in state)
        with self.assertRaisesRegex(KeyError, "no item 'images'.*num_frames"):
            state["images"]
        with self.assertRaises(TypeError):
            state["num_frames"] = 3

    def test_objects_are_removed(self):
        state, (_, _, both) = self.opened(self.predictor)
        self.predictor.add_new_points_or_box(state, 4, 3, box=BOX)
        fork = state.fork()
        ids, updated = self.predictor.remove_object(state, 3)
        self.assertEqual((ids, [number for number, _ in updated], state["obj_ids"]), ([2], [0, 4], [2]))
        self.equal_tensor(updated[0][1], np.asarray(both)[:1])
        # The object that stays was not tracked to the other frame.
        self.equal_tensor(updated[1][1], np.full((1, 1, 360, 480), -1024, np.float32))
        # Without its prompts, a frame is not among the results.
        _, _, cleared = self.predictor.clear_all_prompts_in_frame(fork, 4, 3)
        self.assertIsInstance(cleared, self.kind())
        self.assertIsNone(self.predictor.clear_all_prompts_in_frame(fork, 4, 3, need_output=False))
        quiet = fork.fork()
        self.assertEqual(self.predictor.remove_object(quiet, 3, need_output=False), ([2], []))
        self.assertEqual([number for number, _ in self.predictor.remove_object(fork, 2)[1]], [0])
        # The last object leaves nothing to show.
        self.assertEqual(self.predictor.remove_object(fork, 3), ([], []))
        self.assertEqual(self.predictor.remove_object(fork, 3, strict=False), ([], []))
        with self.assertRaisesRegex(RuntimeError, r"no object 3: there are \[\]"):
            self.predictor.remove_object(fork, 3, strict=True)
        self.predictor.reset_state(state)
        self.assertEqual((state["obj_ids"], state.prompted), ([], {}))

    def test_streams(self):
        stream = self.predictor.init_stream()
        self.predictor.push_frame(stream, frame(0))
        self.predictor.add_new_points_or_box(stream, 0, 2, POINTS, LABELS)
        self.predictor.add_new_points_or_box(stream, 0, 3, box=BOX)
        self.assertEqual(self.predictor.push_frame(stream, frame(1)).obj_ids, [2, 3])
        # The frame with the prompts is no longer kept.
        self.assertEqual(self.predictor.remove_object(stream, 3), ([2], []))

    def test_a_video_predictor_is_a_model(self):
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        self.assertIs(self.predictor.eval().to("cpu"), self.predictor)
        self.assertEqual((str(self.predictor.device), self.predictor.image_size), ("cpu", 256))
        images = SAM2ImagePredictor(self.predictor)
        images.set_image(frame(0))
        engine = s.SAM2ImagePredictor(demo())
        engine.set_image(frame(0))
        self.same(images.predict(POINTS, LABELS)[2], engine.predict(POINTS, LABELS)[2])


@needs_torch
class VideosWithTorch(Videos):
    with_torch = True


class Arrays(Compat):
    def test_methods_of_tensors(self):
        from sam2_engine.compat._tensor import tensor

        values = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
        found = tensor(values, "cpu")
        self.assertTrue(np.shares_memory(found, values))
        for same in (found.cpu(), found.detach(), found.to("cuda"), found.to(device="cpu"), found.float()):
            self.equal_tensor(same, values)
        self.assertEqual((found > 2).float().dtype, np.float32)
        shapes = [found.squeeze(), found.squeeze(0), found.squeeze(1), found.unsqueeze(0), found[:, 0]]
        self.assertEqual([x.shape for x in shapes], [(2, 3), (2, 3), (1, 2, 3), (1, 1, 2, 3), (1, 3)])
        self.assertEqual((found.device, (found > 2).sum().item()), ("cpu", 3))


if __name__ == "__main__":
    unittest.main()
