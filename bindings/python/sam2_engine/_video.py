"""Masks of objects through videos."""

import ctypes as c
import os

import numpy as np

from . import _abi as abi
from ._errors import Sam2Error, raised
from ._dlpack import is_tensor, on_host
from ._arrays import mask_buffer, masks_of, picture, pointer, prompt


class State(abi.Handle):
    """What is known of a video: the reference's inference state. One thread uses it at a time; another one gets Busy."""

    _kind = "video_predictor"
    _instead = "use fork, or save and load"

    def __init__(self, function, *arguments):
        self._create(function, *arguments)

    def _info(self):
        info = abi.VideoInfo()
        abi.call("video_predictor_get_info", self._h, c.byref(info))
        return info

    num_frames = property(lambda self: self._info().num_frames, doc="Frames so far.")
    video_height = property(lambda self: self._info().height, doc="Pixels down; 0 before a stream's first frame.")
    video_width = property(lambda self: self._info().width, doc="Pixels across.")
    device_bytes = property(lambda self: self._info().device_bytes, doc="Held on the device, beside the model.")
    host_bytes = property(lambda self: self._info().host_bytes, doc="Held on the host.")

    @property
    def obj_ids(self):
        """The objects, in the order of their masks."""
        count = c.c_size_t()
        abi.call("video_predictor_get_object_ids", self._h, None, c.byref(count))
        ids = (c.c_int64 * count.value)()
        abi.call("video_predictor_get_object_ids", self._h, ids, c.byref(count))
        return list(ids)

    def reserve(self, num_objects, width, height):
        """Allocates what following so many objects in frames of this size needs, and does what is done only once."""
        abi.call("video_predictor_reserve", self._h, num_objects, width, height)

    def fork(self):
        """A state that knows what this one does and goes its own way from here."""
        return State("video_predictor_fork", self._h)

    def save(self):
        """Everything that is known, as bytes."""
        pieces, held = [], abi.Held()

        def write(_, data, size):
            return held.run(lambda: pieces.append(c.string_at(data, size)) or 0)

        callback = abi.WriteCallback(write)

        def work():
            try:
                abi.call("video_predictor_save_state", self._h, callback, None)
            finally:
                held.release()

        abi.aside(work)
        return b"".join(pieces)

    def load(self, data):
        """Takes what `save` gave, in place of all that was known."""
        abi.call("video_predictor_load_state", self._h, data, len(data))


class Found:
    """What was found on a frame.

    frame_idx; timestamp: as pushed; obj_ids: [n]; scores: (n) float32, above 0 where the object is to be seen; lost: (n) bool,
    not to be seen, or unknown; boxes: (n, 4) int32, left, top, right, bottom, zeros of an empty mask; areas: (n) uint64, pixels;
    masks: as asked for.
    """

    def __init__(self, frame, masks):
        n = frame.num_objects

        def values(address, dtype, *shape):
            size = n * int(np.prod(shape)) * np.dtype(dtype).itemsize
            return np.frombuffer(bytearray(c.string_at(address, size)), dtype).reshape(n, *shape)

        self.frame_idx, self.timestamp = frame.frame_idx, frame.timestamp
        self.obj_ids = values(frame.object_ids, np.int64).tolist()
        self.scores = values(frame.scores, np.float32)
        self.lost = values(frame.lost, np.bool_)
        self.boxes = values(frame.boxes, np.int32, 4)
        self.areas = values(frame.areas, np.uint64)
        self.masks = masks

    def _like_reference(self):
        return self.frame_idx, self.obj_ids, self.masks


class _Call:
    """A call on a state that shows frames, and where their masks go."""

    def __init__(self, masks, stream, objects, height, width):
        kind = masks if isinstance(masks, str) else None
        self.masks = masks_of(kind, objects, height, width) if kind else masks
        self.buffer, self._keep = None, None
        # Of no objects there are no masks; a map of labels is 0 then.
        if masks is not None and (objects or not kind):
            self.buffer, self._keep = mask_buffer(self.masks, kind, stream)
        if kind == "binary":
            self.masks = self.masks.view(np.bool_)
        self.found, self.held = None, abi.Held()

        def keep(frame):
            self.found = Found(frame.contents, self.masks)
            return 0

        self.callback = abi.FrameCallback(lambda _, frame: self.held.run(keep, frame))

    def make(self, function, *arguments):
        """What is found on the last frame that is shown; None: none was."""
        where = None if self.buffer is None else c.byref(self.buffer)

        def work():
            try:
                abi.call("video_predictor_" + function, *arguments, where, self.callback, None)
            finally:
                self.held.release()

        abi.aside(work)
        return self.found


class SAM2VideoPredictor:
    """The reference's class of this name; and streams of frames that come one by one."""

    def __init__(self, model):
        self.model = model

    def init_state(
        self,
        video_path,
        offload_video_to_cpu=True,
        offload_state_to_cpu=False,
        async_loading_frames=True,
        legacy_corrections=False,
        keep_damaged=False,
        upright=False,
        bit_depth=None,
    ):
        """Opens a folder of frames, or a video file where ffmpeg is installed.

        The frames of a folder are its JPEG files, or else its PNG files, that are named by numbers, in natural order.

        Frames are read ahead and not kept on the device, whatever offload_video_to_cpu and async_loading_frames say.
        offload_state_to_cpu: memories are kept on the host. legacy_corrections: corrections of tracked frames outlast the next
        propagation over them. keep_damaged: of a damaged video file the frames that decode are taken, and damaged pictures of
        a folder are passed over, with a warning; by default both are errors. upright, bit_depth: of a folder's pictures, as in
        `read_picture`.
        """
        options = abi.VideoOptions(
            offload_state_to_cpu=bool(offload_state_to_cpu),
            legacy_corrections=bool(legacy_corrections),
            keep_damaged=bool(keep_damaged),
            upright=bool(upright),
            bit_depth=0 if bit_depth is None else bit_depth,
        )
        return State("video_predictor_open", self.model._h, os.fsencode(video_path), c.byref(options))

    def init_stream(self, window=0, offload_state_to_cpu=False):
        """A state for `push_frame`: so many frames before the last are kept; None: all."""
        kept = abi.RETAIN_EVERYTHING if window is None else window
        options = abi.VideoOptions(window=kept, offload_state_to_cpu=bool(offload_state_to_cpu))
        return State("video_predictor_stream", self.model._h, c.byref(options))

    def push_frame(self, inference_state, image, timestamp=0, masks="logits", masks_stream=0, **how):
        """The next frame of a stream: what is found of all objects on it, a `Found`.

        image, how: see `help(sam2_engine.picture)`. masks: "logits" (objects, 1, height, width) float32; "binary", bool;
        "bits" (objects, height, (width + 7) // 8) uint8; "labels" (height, width) uint16, 1 + the place of the object; None:
        none; or where they go, as `out` of `predict`, with the CUDA stream it is used on.
        """
        struct, _keep = picture(image, **how)
        struct.timestamp = abi.whole(timestamp, "timestamp")
        call = _Call(masks, masks_stream, len(inference_state.obj_ids), struct.height, struct.width)
        return call.make("push_frame", inference_state._h, c.byref(struct))

    def _about(self, inference_state, frame_idx, obj_id, function, *arguments):
        """Makes a call about an object on a frame; what the reference returns."""
        state, obj_id = inference_state, abi.whole(obj_id, "obj_id")
        frame_idx = abi.whole(frame_idx, "frame_idx", "u64")
        info, ids = state._info(), state.obj_ids
        count = len(ids) + (obj_id not in ids and function != "clear_all_prompts_in_frame")
        call = _Call("logits", 0, count, info.height, info.width)
        return call.make(function, state._h, frame_idx, obj_id, *arguments)._like_reference()

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
        """Frame number, object numbers, masks (objects, 1, height, width) as logits. box: (4) or (2, 2): left, top, right,
        bottom. normalize_coords: coordinates are pixels, else 0..1.

        A prompt on a frame that was tracked corrects it: the mask is shown at once, but as in the reference the next
        propagation over that frame finds it anew and the correction is lost. So after a correction of frame t, propagate with
        start_frame_idx=t + 1 (reverse: t - 1), or give legacy_corrections=True to `init_state`.
        """
        struct, _keep = prompt(points, labels, box, None)
        flags = abi.KEEP_POINTS * (not clear_old_points) | abi.PROMPT_NORMALIZED * (not normalize_coords)
        what = ("add_new_points_or_box", c.byref(struct), flags)
        return self._about(inference_state, frame_idx, obj_id, *what)

    def add_new_mask(self, inference_state, frame_idx, obj_id, mask):
        """As `add_new_points_or_box`, by a mask (height, width) of any size, not 0 on the object.

        The values of a tensor (of PyTorch, or another library with DLPack) are taken as they are, as in the reference:
        resized to the side of the model's input they are on the object from 0.5 on, and of that very size they are not
        made 0 and 1.
        """
        if is_tensor(mask):
            function, mask = "add_new_mask_f32", np.ascontiguousarray(on_host(mask), np.float32)
        else:
            function, mask = "add_new_mask", np.ascontiguousarray(np.asarray(mask) != 0)
        if mask.ndim != 2:
            raise ValueError(f"a mask of shape {mask.shape}; one mask of an object is (height, width)")
        height, width = mask.shape
        return self._about(inference_state, frame_idx, obj_id, function, pointer(mask), width, height)

    def clear_all_prompts_in_frame(self, inference_state, frame_idx, obj_id, need_output=True):
        """Forgets what was said of an object on a frame."""
        found = self._about(inference_state, frame_idx, obj_id, "clear_all_prompts_in_frame")
        return found if need_output else None

    def remove_object(self, inference_state, obj_id, strict=False, need_output=True):
        """Removes an object; strict: there must be one. Returns the others; and an empty list, where the reference has frames
        whose masks changed: they are shown by the next propagation."""
        if strict or obj_id in inference_state.obj_ids:
            abi.call("video_predictor_remove_object", inference_state._h, obj_id)
        return inference_state.obj_ids, []

    def reset_state(self, inference_state):
        """Removes all objects."""
        abi.call("video_predictor_reset_state", inference_state._h)

    def propagate_in_video(
        self, inference_state, start_frame_idx=None, max_frame_num_to_track=None, reverse=False
    ):
        """Frame by frame: number, object numbers, masks (objects, 1, height, width) as logits."""
        for found in self.propagate(inference_state, start_frame_idx, max_frame_num_to_track, reverse):
            yield found._like_reference()

    def propagate(
        self, inference_state, start_frame_idx=None, max_frame_num_to_track=None, reverse=False, masks="logits"
    ):
        """As `propagate_in_video`: a `Found` for each frame, with masks as of `push_frame`. A frame is tracked when it is asked
        for, and in between the state may be used as ever."""
        state, info = inference_state, inference_state._info()
        last = info.num_frames - 1

        def track(start, count):
            call = _Call(masks, 0, len(state.obj_ids), info.height, info.width)
            return call.make("propagate_in_video", state._h, start, count, bool(reverse))

        found = track(-1 if start_frame_idx is None else abi.whole(start_frame_idx, "start_frame_idx"), 0)
        if found is not None:
            yield found
        elif start_frame_idx is None:
            return
        start = int(start_frame_idx) if found is None else found.frame_idx
        count = last if max_frame_num_to_track is None else abi.whole(max_frame_num_to_track, "max_frame_num_to_track")
        if reverse:
            frames = range(start - 1, max(start - count, 0) - 1, -1)
        else:
            frames = range(start + 1, min(start + count, last) + 1)
        for frame in frames:
            # The first frame is tracked backwards only from the one after it, which stays as it is.
            found = track(1, 1) if reverse and frame == 0 else track(frame, 0)
            # Damaged frames may be passed over.
            if found is not None and found.frame_idx == frame:
                yield found

    def push_frames(self, frames, masks="logits", **how):
        """Pushes a frame each of several cameras, pairs of a state and an image; on a GPU at the same time. For each a `Found`,
        or the Sam2Error that kept it from going on."""
        pictures = [picture(image, **how) for _, image in frames]
        calls, pushes = [], (abi.Push * len(frames))()
        for push, (struct, _), (state, _) in zip(pushes, pictures, frames):
            call = _Call(masks, 0, len(state.obj_ids), struct.height, struct.width)
            push.struct_size, push.video, push.image = c.sizeof(push), state._h, c.addressof(struct)
            push.masks = None if call.buffer is None else c.addressof(call.buffer)
            push.each = c.cast(call.callback, c.c_void_p)
            calls.append(call)

        def work():
            try:
                abi.call("push_frames", pushes, len(pushes))
            except Sam2Error as error:
                return error

        first = abi.aside(work)
        [call.held.release() for call in calls]
        if first and not any(push.status for push in pushes):
            raise first
        return [raised(push.status, str(first)) if push.status else call.found for push, call in zip(pushes, calls)]
