"""Masks of objects through videos."""

import ctypes as c

import numpy as np

from . import _abi as abi
from ._arrays import picture, pointer, prompt


class State(abi.Handle):
    """What is known of a video: the reference's inference state."""

    _kind = "video_predictor"

    def __init__(self, function, *arguments):
        self._create(function, *arguments)

    def _info(self):
        info = abi.VideoInfo()
        abi.call("video_predictor_get_info", self._h, c.byref(info))
        return info

    num_frames = property(lambda self: self._info().num_frames)
    video_height = property(lambda self: self._info().height)
    video_width = property(lambda self: self._info().width)

    @property
    def obj_ids(self):
        """The objects, in the order of their masks."""
        count = c.c_size_t()
        abi.call("video_predictor_get_object_ids", self._h, None, c.byref(count))
        ids = (c.c_int64 * count.value)()
        abi.call("video_predictor_get_object_ids", self._h, ids, c.byref(count))
        return list(ids)

    def fork(self):
        """A state that knows what this one does and goes its own way from here."""
        return State("video_predictor_fork", self._h)

    def save(self):
        """Everything that is known, as bytes."""
        pieces = []

        def write(_, data, size):
            pieces.append(c.string_at(data, size))
            return 0

        abi.call("video_predictor_save_state", self._h, abi.WriteCallback(write), None)
        return b"".join(pieces)

    def load(self, data):
        """Takes what `save` gave."""
        abi.call("video_predictor_load_state", self._h, data, c.c_size_t(len(data)))


class Found:
    """What was found on a frame."""

    def __init__(self, frame):
        n, size = frame.num_objects, (frame.height, frame.width)

        def array(address, kind, *shape):
            if not n or not address:
                return np.empty((n, *shape), kind)
            count = n * int(np.prod(shape, dtype=np.int64))
            raw = c.string_at(address, count * np.dtype(kind).itemsize)
            return np.frombuffer(bytearray(raw), kind).reshape(n, *shape)

        self.frame_idx, self.timestamp = frame.frame_idx, frame.timestamp
        self.obj_ids = array(frame.object_ids, np.int64).tolist()
        self.scores = array(frame.scores, np.float32)
        self.lost = array(frame.lost, np.uint8).view(np.bool_)
        self.boxes = array(frame.boxes, np.int32, 4)
        self.areas = array(frame.areas, np.uint64)
        self.masks = array(frame.masks, np.float32, 1, *size) if frame.masks else None


class SAM2VideoPredictor:
    """The reference's class of this name; and streams of frames that come one by one."""

    def __init__(self, model):
        self.model = model

    def init_state(self, video_path, offload_video_to_cpu=True, offload_state_to_cpu=False, legacy_corrections=False):
        """Opens a folder of frames, or a video file where ffmpeg is installed. Frames always are in the host's memory."""
        options = abi.VideoOptions(offload_state_to_cpu=offload_state_to_cpu, legacy_corrections=legacy_corrections)
        return State("video_predictor_open", self.model._h, str(video_path).encode(), c.byref(options))

    def init_stream(self, window=0, offload_state_to_cpu=False):
        """A state for `push_frame`: so many frames before the last are kept; None: all."""
        kept = abi.RETAIN_EVERYTHING if window is None else window
        options = abi.VideoOptions(window=kept, offload_state_to_cpu=offload_state_to_cpu)
        return State("video_predictor_stream", self.model._h, c.byref(options))

    def _shown(self, function, *arguments):
        """Makes a call that shows frames; returns the last."""
        found = []

        def each(_, frame):
            found[:] = [Found(frame.contents)]
            return 0

        abi.call("video_predictor_" + function, *arguments, None, abi.FrameCallback(each), None)
        return found[0] if found else None

    def _like_reference(self, found):
        return found.frame_idx, found.obj_ids, found.masks

    def push_frame(self, inference_state, image, timestamp=0, format=None, flip=False):
        """The next frame of a stream: what is found of all objects on it, a `Found`."""
        struct, keep = picture(image, format, flip)
        struct.timestamp = timestamp
        found = self._shown("push_frame", inference_state._h, c.byref(struct))
        del keep
        return found

    def add_new_points_or_box(
        self,
        inference_state,
        frame_idx,
        obj_id,
        points=None,
        labels=None,
        clear_old_points=True,
        normalize_coords=True,
        box=None,
    ):
        """Frame number, object numbers, masks (objects, 1, height, width) as logits: as the reference's."""
        struct, keep = prompt(points, labels, box, None)
        flags = abi.KEEP_POINTS * (not clear_old_points) | abi.PROMPT_NORMALIZED * (not normalize_coords)
        where = (inference_state._h, c.c_uint64(frame_idx), c.c_int64(obj_id))
        found = self._shown("add_new_points_or_box", *where, c.byref(struct), c.c_uint32(flags))
        del keep
        return self._like_reference(found)

    def add_new_mask(self, inference_state, frame_idx, obj_id, mask):
        """As `add_new_points_or_box`, by a mask (height, width), not 0 on the object."""
        mask = np.ascontiguousarray(np.asarray(mask) != 0).view(np.uint8)
        height, width = mask.shape
        where = (inference_state._h, c.c_uint64(frame_idx), c.c_int64(obj_id))
        size = (c.c_uint32(width), c.c_uint32(height))
        return self._like_reference(self._shown("add_new_mask", *where, pointer(mask), *size))

    def clear_all_prompts_in_frame(self, inference_state, frame_idx, obj_id):
        """Forgets what was said of an object on a frame."""
        where = (inference_state._h, c.c_uint64(frame_idx), c.c_int64(obj_id))
        return self._like_reference(self._shown("clear_all_prompts_in_frame", *where))

    def remove_object(self, inference_state, obj_id):
        """Removes an object; returns the others."""
        abi.call("video_predictor_remove_object", inference_state._h, c.c_int64(obj_id))
        return inference_state.obj_ids

    def reset_state(self, inference_state):
        """Removes all objects."""
        abi.call("video_predictor_reset_state", inference_state._h)

    def propagate_in_video(self, inference_state, start_frame_idx=None, max_frame_num_to_track=None, reverse=False):
        """Frame by frame: number, object numbers, masks (objects, 1, height, width) as logits; as the reference's."""
        state, last = inference_state._h, inference_state.num_frames - 1
        # The first call finds out where to start; a frame at a time after that, so that the caller's turn comes between.
        first = -1 if start_frame_idx is None else start_frame_idx
        step = (c.c_int64(0), c.c_int32(reverse))
        found = self._shown("propagate_in_video", state, c.c_int64(first), *step)
        if found is None:
            return
        yield self._like_reference(found)
        start = found.frame_idx
        count = last if max_frame_num_to_track is None else max_frame_num_to_track
        end = max(start - count, 0) if reverse else min(start + count, last)
        for frame in range(start - 1, end - 1, -1) if reverse else range(start + 1, end + 1):
            if frame == 0:
                # Of the first frame alone nothing is tracked backwards: together with the one before it is.
                found = self._shown("propagate_in_video", state, c.c_int64(1), c.c_int64(1), c.c_int32(1))
            else:
                found = self._shown("propagate_in_video", state, c.c_int64(frame), *step)
            yield self._like_reference(found)
