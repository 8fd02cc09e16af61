"""Tracking of objects through videos."""

from __future__ import annotations

import ctypes as c
import os
from typing import Any, Iterator, Optional, Sequence, TypeVar, Union

from . import _abi as abi
from ._errors import Sam2Error, raised
from ._dlpack import is_tensor, on_host
from ._arrays import picture, pointer, prompt
from ._frames import FrameCall, FrameMasks
from ._image import Features
from ._model import Model
from ._numpy import np


S = TypeVar("S", bound="State")


class State(abi.Stoppable):
    """The state of a video: the inference state of the reference.

    One thread uses it at a time. A call from another thread raises `Busy`.
    """

    _kind = "video_predictor"
    _instead = "use fork, or save and load"

    def __init__(self, function: str, *arguments: Any) -> None:
        self._create(function, *arguments)

    def _facts(self) -> str:
        info = self._info()
        return f"{info.num_frames} frames of {info.width}x{info.height}, objects {self.obj_ids}"

    def _info(self) -> abi.VideoPredictorInfo:
        info = abi.VideoPredictorInfo()
        abi.call("video_predictor_get_info", self._h, c.byref(info))
        return info

    @property
    def num_frames(self) -> int:
        """Number of frames, for a stream so far."""
        return int(self._info().num_frames)

    @property
    def video_height(self) -> int:
        """Height of the frames in pixels. 0 before the first frame of a stream."""
        return int(self._info().height)

    @property
    def video_width(self) -> int:
        """Width of the frames in pixels. 0 before the first frame of a stream."""
        return int(self._info().width)

    @property
    def device_bytes(self) -> int:
        """Device memory in bytes, without the model's weights."""
        return int(self._info().device_bytes)

    @property
    def host_bytes(self) -> int:
        """Host memory in bytes."""
        return int(self._info().host_bytes)

    @property
    def obj_ids(self) -> list[int]:
        """The ids of the objects, in the order of their masks."""
        count = c.c_size_t()
        abi.call("video_predictor_get_obj_ids", self._h, None, c.byref(count))
        ids = (c.c_int64 * count.value)()
        abi.call("video_predictor_get_obj_ids", self._h, ids, c.byref(count))
        return list(ids)

    def reserve(self, num_objects: int, width: int, height: int) -> None:
        """Allocates memory and does one-time work in advance, so that the first frames take no longer than later ones.

        Args:
            num_objects: Number of objects.
            width: Width of the frames in pixels.
            height: Height of the frames in pixels.
        """
        abi.call("video_predictor_reserve", self._h, num_objects, width, height)

    def fork(self: S) -> S:
        """Returns a state that shares memories and frames with this one and diverges from it."""
        return type(self)("video_predictor_fork", self._h)

    def save(self) -> bytes:
        """Saves the state of all objects, and the frames that a stream keeps."""
        pieces: list[bytes] = []
        held = abi.Held()

        def keep(data: int, size: int) -> int:
            pieces.append(c.string_at(data, size))
            return 0

        callback = abi.WriteCallback(lambda _, data, size: held.run(keep, data, size))

        def work() -> None:
            try:
                abi.call("video_predictor_save_state", self._h, callback, None)
            finally:
                held.release()

        abi.aside(work)
        return b"".join(pieces)

    def take_features(self, frame_idx: int) -> Features:
        """Encodes a frame if it is not the current one, and takes its features out of the predictor."""
        return Features("video_predictor_take_features", self._h, frame_idx)

    def set_features(self, features: Features) -> None:
        """Makes the frame of these features the current one. The features can then no longer be used."""
        abi.call("video_predictor_set_features", self._h, features._h)
        features._h = None

    def load(self, data: bytes) -> None:
        """Replaces the state with a result of `save`. The model must be the same."""
        abi.call("video_predictor_load_state", self._h, data, len(data))


class SAM2VideoPredictor:
    """Tracks objects through videos and live streams, as the class of this name in the reference."""

    _state: type[State] = State

    def __init__(self, model: Model) -> None:
        """Creates a predictor for a model."""
        self.model = model

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.model!r}>"

    def init_state(
        self,
        video_path: Union[str, bytes, os.PathLike[Any]],
        offload_video_to_cpu: bool = True,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = True,
        legacy_corrections: bool = False,
        keep_damaged: bool = False,
        upright: bool = False,
        bit_depth: Optional[int] = None,
    ) -> State:
        """Opens a folder of frames, or a video file if ffmpeg is installed.

        The frames of a folder are its JPEG files, or its PNG files if there is no JPEG file, whose names contain numbers, in
        natural order.

        Args:
            video_path: Path of the folder or file.
            offload_video_to_cpu: Ignored. Frames are read ahead and not kept on the device.
            offload_state_to_cpu: Keep memories in host memory.
            async_loading_frames: Ignored. Frames are read ahead.
            legacy_corrections: Keep corrections of tracked frames through the next propagation.
            keep_damaged: Use the frames of a damaged video file that can be decoded, and skip damaged images of a folder, with a
                warning. Otherwise both are errors.
            upright: Folders only: as in `read_picture`.
            bit_depth: Folders only: as in `read_picture`.

        Raises:
            FileError: The frames cannot be read.
        """
        options = abi.VideoPredictorOptions(
            offload_state_to_cpu=bool(offload_state_to_cpu),
            legacy_corrections=bool(legacy_corrections),
            keep_damaged=bool(keep_damaged),
            upright=bool(upright),
            bit_depth=0 if bit_depth is None else bit_depth,
        )
        return self._state("video_predictor_open", self.model._h, os.fsencode(video_path), c.byref(options))

    def init_stream(self, window: Optional[int] = 0, offload_state_to_cpu: bool = False) -> State:
        """Creates a state for a live stream of unknown length. See `push_frame`.

        Args:
            window: Number of frames to keep before the latest frame. None keeps all.
            offload_state_to_cpu: Keep memories in host memory.
        """
        kept = abi.RETAIN_EVERYTHING if window is None else window
        options = abi.VideoPredictorOptions(window=kept, offload_state_to_cpu=bool(offload_state_to_cpu))
        return self._state("video_predictor_create_stream", self.model._h, c.byref(options))

    def push_frame(
        self,
        inference_state: State,
        image: Any,
        timestamp: int = 0,
        masks: Any = "logits",
        masks_stream: int = 0,
        **how: Any,
    ) -> FrameMasks:
        """Passes the next frame to a stream, and tracks all objects to it.

        Args:
            inference_state: A result of `init_stream`.
            image: The frame. See `picture`.
            timestamp: Any value, which the result contains.
            masks: Format of the masks: "logits" (objects, 1, height, width) of float32, "binary" of bool, "bits" (objects,
                height, (width + 7) // 8) of uint8, "labels" (height, width) of uint16, "ids8" (height, width) of uint8 or
                "ids16" of uint16 with the ids of the objects, or None for no masks. Or an array or tensor that receives
                them, as `out` of `predict`. It may be larger than the masks, and have gaps between rows.
            masks_stream: CUDA stream on which the tensor `masks` is used.
            **how: Other arguments of `picture`.
        """
        struct, _keep = picture(image, **how)
        struct.timestamp = abi.whole(timestamp, "timestamp")
        call = FrameCall(masks, masks_stream, len(inference_state.obj_ids), struct.height, struct.width)
        return call.make_one("push_frame", inference_state._h, c.byref(struct))

    def _about(
        self, inference_state: State, frame_idx: int, obj_id: int, function: str, *arguments: Any
    ) -> tuple[int, list[int], Any]:
        """Makes a call for an object on a frame. Returns the same as the reference."""
        state, obj_id = inference_state, abi.whole(obj_id, "obj_id")
        frame_idx = abi.whole(frame_idx, "frame_idx", "u64")
        info, ids = state._info(), state.obj_ids
        count = len(ids) + (obj_id not in ids and function != "clear_all_prompts_in_frame")
        call = FrameCall("logits", 0, count, info.height, info.width)
        return call.make_one(function, state._h, frame_idx, obj_id, *arguments)._like_reference()

    def add_new_points_or_box(
        self,
        inference_state: State,
        frame_idx: int,
        obj_id: int,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> tuple[int, list[int], Any]:
        """Adds points or a box for an object on a frame.

        A prompt on a tracked frame corrects it. As in the reference, the next propagation over that frame tracks it again, and
        the correction is lost. After a correction of frame t, propagate with start_frame_idx=t + 1 (reverse: t - 1), or pass
        legacy_corrections=True to `init_state`.

        Args:
            inference_state: The state.
            frame_idx: Index of the frame.
            obj_id: Id of the object, any number. A new id adds an object.
            points: Points (points, 2) of x and y.
            labels: Labels (points): 1 on the object, 0 on the background.
            clear_old_points: Remove the points that were added to the frame before.
            normalize_coords: Coordinates are pixels. Otherwise they range from 0 to 1.
            box: Left, top, right and bottom, of shape (4) or (2, 2).

        Returns:
            The index of the frame, the ids of the objects, and masks (objects, 1, height, width) as logits.
        """
        struct, _keep = prompt(points, labels, box, None)
        flags = abi.KEEP_POINTS * (not clear_old_points) | abi.PROMPT_NORMALIZED * (not normalize_coords)
        what = ("add_new_points_or_box", c.byref(struct), flags)
        return self._about(inference_state, frame_idx, obj_id, *what)

    def add_new_mask(
        self, inference_state: State, frame_idx: int, obj_id: int, mask: Any
    ) -> tuple[int, list[int], Any]:
        """Sets the mask of an object on a frame.

        The values of a tensor (of PyTorch, or another library with DLPack) are used as in the reference: they are resized to
        the side of the model's input, and values of at least 0.5 are on the object. A tensor of exactly that size is used
        without thresholding.

        Args:
            inference_state: The state.
            frame_idx: Index of the frame.
            obj_id: Id of the object, any number. A new id adds an object.
            mask: Mask (height, width) of any size, nonzero on the object.

        Returns:
            As `add_new_points_or_box`.
        """
        # An array of `compat` counts as the tensor that it stands for.
        if is_tensor(mask) or hasattr(mask, "detach"):
            function, mask = "add_new_mask_f32", np.ascontiguousarray(on_host(mask), np.float32)
        else:
            function, mask = "add_new_mask", np.ascontiguousarray(np.asarray(mask) != 0)
        if mask.ndim != 2:
            raise ValueError(f"a mask of shape {mask.shape}; one mask of an object is (height, width)")
        height, width = mask.shape
        return self._about(inference_state, frame_idx, obj_id, function, pointer(mask), width, height)

    def clear_all_prompts_in_frame(
        self, inference_state: State, frame_idx: int, obj_id: int, need_output: bool = True
    ) -> Optional[tuple[int, list[int], Any]]:
        """Removes the prompts for an object on a frame.

        Args:
            inference_state: The state.
            frame_idx: Index of the frame.
            obj_id: Id of the object.
            need_output: Return the same as `add_new_points_or_box` instead of None.
        """
        found = self._about(inference_state, frame_idx, obj_id, "clear_all_prompts_in_frame")
        return found if need_output else None

    def remove_object(
        self, inference_state: State, obj_id: int, strict: bool = False, need_output: bool = True
    ) -> tuple[list[int], list[Any]]:
        """Removes an object.

        Args:
            inference_state: The state.
            obj_id: Id of the object.
            strict: Raise an error if there is no such object.
            need_output: Ignored.

        Returns:
            The ids of the other objects, and an empty list. The reference returns changed frames there, which the next
            propagation returns here.
        """
        if strict or obj_id in inference_state.obj_ids:
            abi.call("video_predictor_remove_object", inference_state._h, obj_id)
        return inference_state.obj_ids, []

    def reset_state(self, inference_state: State) -> None:
        """Removes all objects."""
        abi.call("video_predictor_reset_state", inference_state._h)

    def propagate_in_video(
        self,
        inference_state: State,
        start_frame_idx: Optional[int] = None,
        max_frame_num_to_track: Optional[int] = None,
        reverse: bool = False,
    ) -> Iterator[tuple[int, list[int], Any]]:
        """Tracks all objects through the video. The arguments are those of the reference.

        Yields:
            For each frame its index, the ids of the objects, and masks (objects, 1, height, width) as logits.
        """
        for found in self.propagate(inference_state, start_frame_idx, max_frame_num_to_track, reverse):
            yield found._like_reference()

    def propagate(
        self,
        inference_state: State,
        start_frame_idx: Optional[int] = None,
        max_frame_num_to_track: Optional[int] = None,
        reverse: bool = False,
        masks: Any = "logits",
    ) -> Iterator[FrameMasks]:
        """Tracks all objects through the video, as `propagate_in_video`, with masks in the formats of `push_frame`.

        Each frame is tracked when the iterator reaches it. Other calls on the state are possible in between.
        """
        state, info = inference_state, inference_state._info()
        last = info.num_frames - 1

        def track(start: int, count: int) -> Optional[FrameMasks]:
            call = FrameCall(masks, 0, len(state.obj_ids), info.height, info.width)
            return call.make("propagate_in_video", state._h, start, count, bool(reverse))

        found = track(-1 if start_frame_idx is None else abi.whole(start_frame_idx, "start_frame_idx"), 0)
        if found is not None:
            yield found
        elif start_frame_idx is None:
            return
        start = found.frame_idx if found is not None else int(start_frame_idx or 0)
        count = last if max_frame_num_to_track is None else abi.whole(max_frame_num_to_track, "max_frame_num_to_track")
        if reverse:
            frames = range(start - 1, max(start - count, 0) - 1, -1)
        else:
            frames = range(start + 1, min(start + count, last) + 1)
        for frame in frames:
            # The first frame can be tracked backwards only from the second one, which is unchanged.
            found = track(1, 1) if reverse and frame == 0 else track(frame, 0)
            # Damaged frames may be skipped.
            if found is not None and found.frame_idx == frame:
                yield found

    def push_frames(
        self, frames: Sequence[tuple[State, Any]], masks: Any = "logits", **how: Any
    ) -> list[Union[FrameMasks, Sam2Error]]:
        """Passes one frame to each of several streams: at the same time on a GPU, one after another on the CPU.

        Args:
            frames: Pairs of a state and an image.
            masks: As in `push_frame`.
            **how: Other arguments of `picture`.

        Returns:
            The results of each frame, or the error of its push.
        """
        pictures = [picture(image, **how) for _, image in frames]
        calls, pushes = [], (abi.VideoPush * len(frames))()
        for push, (struct, _), (state, _) in zip(pushes, pictures, frames):
            call = FrameCall(masks, 0, len(state.obj_ids), struct.height, struct.width)
            push.struct_size, push.video, push.image = c.sizeof(push), state._h, c.addressof(struct)
            push.masks = None if call.buffer is None else c.addressof(call.buffer)
            push.on_frame = c.cast(call.callback, c.c_void_p)
            calls.append(call)

        def work() -> Optional[Sam2Error]:
            try:
                abi.call("video_predictor_push_frames", pushes, len(pushes))
                return None
            except Sam2Error as error:
                return error

        first = abi.aside(work)
        for call in calls:
            call.held.release()
        if first and not any(push.status for push in pushes):
            raise first
        # The library has a message for the first failure alone.
        told = first
        results: list[Union[FrameMasks, Sam2Error]] = []
        for push, call in zip(pushes, calls):
            if push.status and told and told.status == push.status:
                results.append(told)
                told = None
            elif push.status:
                results.append(raised(push.status, "the push failed: see the first failed push"))
            else:
                assert call.found is not None
                results.append(call.found)
        return results
