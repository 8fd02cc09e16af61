"""Tests of videos: equal results to Rust, streams, saved states, results and interruptions."""

import os
import signal
import tempfile
import threading
import time
import unittest
from pathlib import Path

import numpy as np
from support import CLICK, FRAMES, Case, demo, frame, show

import sam2_engine as s


class Videos(Case):
    @classmethod
    def setUpClass(cls):
        cls.video = s.SAM2VideoPredictor(demo())

    def opened(self, at=0):
        state = self.video.init_state(FRAMES)
        self.video.add_new_points_or_box(state, at, 1, **CLICK)
        self.video.add_new_points_or_box(state, at, 7, box=[346, 175, 428, 266])
        return state

    def found(self, *, masks="logits", at=0, **how):
        return list(self.video.propagate(self.opened(at), masks=masks, **how))

    def pushed(self, stream, frames, **how):
        return [self.video.push_frame(stream, frame(i), **how) for i in frames]

    def equal(self, left, right):
        self.assertEqual(len(left), len(right))
        for a, b in zip(left, right):
            self.assertEqual((a.frame_idx, a.obj_ids), (b.frame_idx, b.obj_ids))
            self.same((a.object_score_logits, a.lost, a.boxes, a.areas, a.masks), (b.object_score_logits, b.lost, b.boxes, b.areas, b.masks))

    def test_bits(self):
        forwards = list(self.video.propagate_in_video(self.opened(), max_frame_num_to_track=3))
        self.assertEqual([number for number, _, _ in forwards], [0, 1, 2, 3])
        self.assertEqual((forwards[0][1], forwards[0][2].shape), ([1, 7], (2, 1, 360, 480)))
        show("forwards", *[masks for _, _, masks in forwards])
        backwards = self.found(at=3, reverse=True)
        self.assertEqual([f.frame_idx for f in backwards], [3, 2, 1, 0])
        show("backwards", *[f.masks for f in backwards])
        show("scores", *[f.object_score_logits for f in backwards])
        self.equal(self.found(at=3, reverse=True, max_frame_num_to_track=1), backwards[:2])
        self.assertEqual(self.found(reverse=True), [])
        self.assertEqual(len(self.found(start_frame_idx=22)), 2)

    def test_damaged_frames_are_passed_over(self):
        with tempfile.TemporaryDirectory() as folder:
            for i in (0, 1, 2, 3, 10):
                data = (FRAMES / f"{i:05}.jpg").read_bytes()
                (Path(folder) / f"img ({i}).jpg").write_bytes(data[: len(data) // 2] if i in (0, 2) else data)
            (Path(folder) / ".DS_Store").write_bytes(b"")
            with self.assertRaisesRegex(s.Sam2Error, "img .0..jpg"):
                self.video.init_state(folder)
            for reverse, want in ((False, [1, 3, 4]), (True, [1])):
                state = self.video.init_state(folder, keep_damaged=True)
                self.assertEqual(state.num_frames, 5)
                self.video.add_new_points_or_box(state, 1, 1, **CLICK)
                found = self.video.propagate_in_video(state, reverse=reverse)
                self.assertEqual([number for number, _, _ in found], want)

    def test_a_stream_is_the_video(self):
        want = self.found(max_frame_num_to_track=4)
        stream = self.video.init_stream(window=1)
        self.assertEqual((stream.num_frames, stream.obj_ids), (0, []))
        empty = self.video.push_frame(stream, frame(0), timestamp=-5, masks="labels")
        self.assertEqual((empty.timestamp, empty.obj_ids, empty.masks.shape), (-5, [], (360, 480)))
        self.assertEqual(empty.masks.max(), 0)
        _, _, first = self.video.add_new_points_or_box(stream, 0, 1, **CLICK)
        _, ids, both = self.video.add_new_points_or_box(stream, 0, 7, box=[346, 175, 428, 266])
        self.assertEqual(ids, [1, 7])
        self.same((first, both), (want[0].masks[:1], want[0].masks))
        stream.reserve(2, 480, 360)
        self.equal(self.pushed(stream, [1, 2]), want[1:3])
        saved, fork = stream.save(), stream.fork()
        self.equal(self.pushed(stream, [3, 4]), want[3:])
        self.equal(self.pushed(fork, [3, 4]), want[3:])
        restored = self.video.init_stream(window=1)
        restored.load(saved)
        self.equal(self.pushed(restored, [3, 4]), want[3:])
        with self.assertRaises(s.Sam2Error):
            restored.load(saved[:-9])
        self.assertEqual((restored.num_frames, restored.video_width, restored.video_height), (5, 480, 360))
        self.assertGreater(restored.host_bytes + restored.device_bytes, 1 << 20)

    def test_what_is_found(self):
        logits = self.found(max_frame_num_to_track=3)
        for f in logits:
            on = f.masks[:, 0] > 0
            self.same(f.areas, on.sum((1, 2)).astype(np.uint64))
            self.same(f.lost, ~(f.object_score_logits > 0))
            for mask, box in zip(on, f.boxes):
                rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
                self.assertEqual(box.tolist(), [columns[0], rows[0], columns[-1], rows[-1]])
        binary, bits, labels, none = (
            self.found(max_frame_num_to_track=3, masks=kind) for kind in ("binary", "bits", "labels", None)
        )
        for f, b, packed, map_, nothing in zip(logits, binary, bits, labels, none):
            on = f.masks[:, 0] > 0
            self.same(b.masks, on[:, None])
            self.same(packed.masks, np.packbits(on, axis=2))
            best = np.where(on.any(0), f.masks[:, 0].argmax(0) + 1, 0)
            self.same(map_.masks, best.astype(np.uint16))
            self.assertIsNone(nothing.masks)
            self.same(nothing.boxes, f.boxes)
        state, out = self.opened(), np.zeros((2, 1, 360, 480), np.float32)
        for f, want in zip(self.video.propagate(state, max_frame_num_to_track=2, masks=out), logits):
            self.assertIs(f.masks, out)
            self.same(out, want.masks)
        with self.assertRaises(ValueError):
            self.found(masks="outlines")

    def test_what_is_lost(self):
        state = self.opened()
        self.video.add_new_mask(state, 0, 2, np.zeros((36, 48)))
        found = next(self.video.propagate(state))
        self.assertEqual(found.lost.tolist(), [False, False, True])
        self.assertEqual((found.boxes[2].tolist(), int(found.areas[2])), ([0] * 4, 0))

    def test_objects_and_prompts(self):
        state = self.opened()
        self.assertEqual(self.video.remove_object(state, 9), ([1, 7], []))
        with self.assertRaises(s.InvalidArgument):
            self.video.remove_object(state, 9, strict=True)
        self.assertEqual(self.video.remove_object(state, 1), ([7], []))
        mask = np.zeros((45, 60))
        mask[20:30, 20:40] = 1
        number, ids, masks = self.video.add_new_mask(state, 5, -3, mask)
        self.assertEqual((number, ids, masks.shape), (5, [7, -3], (2, 1, 360, 480)))
        self.assertGreater((masks[1] > 0).sum(), 1000)
        self.assertEqual(self.video.clear_all_prompts_in_frame(state, 5, -3)[:2], (5, [7, -3]))
        self.assertIsNone(self.video.clear_all_prompts_in_frame(state, 0, 7, need_output=False))
        self.video.reset_state(state)
        self.assertEqual(state.obj_ids, [])
        # A correction is another point, in place of the previous points or in addition to them.
        self.video.add_new_points_or_box(state, 0, 1, **CLICK)
        instead = self.video.add_new_points_or_box(state.fork(), 0, 1, [[300, 200]], [0])
        two = {"points": [[208, 249], [300, 200]], "labels": [1, 0]}
        beside = self.video.add_new_points_or_box(state, 0, 1, [[300, 200]], [0], clear_old_points=False)
        self.assertEqual(beside[2].shape, (1, 1, 360, 480))
        self.assertTrue((beside[2] != instead[2]).any())
        fresh = self.video.init_state(FRAMES)
        part = (np.array(two["points"]) / [480, 360]).astype(np.float32)
        exact = self.video.add_new_points_or_box(fresh, 0, 1, **two)
        fresh = self.video.init_state(FRAMES)
        units = self.video.add_new_points_or_box(fresh, 0, 1, part, two["labels"], normalize_coords=False)
        self.same(units[2] > 0, exact[2] > 0)
        for wrong in ((-1, 1), (999, 1), (0, 1 << 70)):
            with self.assertRaises((ValueError, OverflowError), msg=wrong):
                self.video.add_new_points_or_box(state, *wrong, **CLICK)
        with self.assertRaises(ValueError):
            self.video.add_new_mask(state, 0, 1, mask[None])
        with self.assertRaises(s.Sam2Error):
            list(self.video.propagate(self.video.init_state(FRAMES)))
        with self.assertRaises(s.FileError):
            self.video.init_state("/nowhere")

    def test_cameras_at_once(self):
        streams = [self.video.init_stream() for _ in range(3)]
        for stream in streams:
            self.pushed(stream, [0])
            self.video.add_new_points_or_box(stream, 0, 1, **CLICK)
        want = self.pushed(streams[2], [1])
        found, failed = self.video.push_frames([(streams[0], frame(1)), (streams[1], frame(1)[:99])])
        self.equal([found], want)
        self.assertIsInstance(failed, s.InvalidArgument)
        # The frame is not part of the stream.
        found = self.video.push_frames([(stream, frame(i)) for stream, i in zip(streams, [2, 1, 2])])
        self.equal(found[1:2], want)
        self.equal(found[:1], found[2:])
        self.assertEqual(self.video.push_frames([]), [])

    def test_busy(self):
        state, seen = self.opened(), []
        thread = threading.Thread(target=lambda: list(self.video.propagate(state)))
        thread.start()
        while thread.is_alive() and not seen:
            try:
                state.obj_ids
            except s.Busy as error:
                seen.append(error)
        self.assertTrue(seen)
        # The generator may be used by both threads at once, which raises an error.
        thread.join()

    def test_interrupted(self):
        """Ctrl-C at any moment is raised in the main thread, and the objects remain usable."""
        # Ctrl-C is ignored if the tests run in the background of a shell.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        want = self.found(max_frame_num_to_track=2)
        for i in range(30):
            state, timer = self.opened(), threading.Timer(0.002 * (i + 1), os.kill, (os.getpid(), signal.SIGINT))
            with self.assertRaises(KeyboardInterrupt):
                timer.start()
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    for _ in self.video.propagate(state):
                        state.save()
            timer.join()
            self.equal(list(self.video.propagate(state, max_frame_num_to_track=2)), want)


if __name__ == "__main__":
    unittest.main()
