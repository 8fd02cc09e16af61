"""Results of frames, and calls that return them."""

from __future__ import annotations

import ctypes as c
from typing import Any, Optional

from . import _abi as abi
from ._arrays import mask_buffer, masks_of
from ._numpy import np, npt


class FrameMasks:
    """Results of a frame with n objects.

    Attributes:
        frame_idx: Index of the frame.
        timestamp: Timestamp of the image of the frame, if it was pushed and is kept, otherwise 0.
        obj_ids: Ids of the objects.
        object_score_logits: (n) float32, above 0 if the object is visible.
        lost: (n) bool, whether the object is not visible or unknown.
        boxes: (n, 4) int32, left, top, right and bottom. Zeros for an empty mask.
        areas: (n) uint64, areas of the masks in pixels.
        masks: Masks in the requested format.
        masks_written: Number of masks that were written: those of the first objects. It is less than the number of objects if
            an array has no room for more. A map of labels or ids has all masks.
    """

    frame_idx: int
    timestamp: int
    obj_ids: list[int]
    object_score_logits: npt.NDArray[np.float32]
    lost: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.int32]
    areas: npt.NDArray[np.uint64]
    masks: Any
    masks_written: int

    def __init__(self, frame: abi.Frame, masks: Any) -> None:
        n = frame.num_objects

        def values(address: int, dtype: Any, *shape: int) -> npt.NDArray[Any]:
            size = n * int(np.prod(shape)) * np.dtype(dtype).itemsize
            return np.frombuffer(bytearray(c.string_at(address, size)), dtype).reshape(n, *shape)

        self.frame_idx, self.timestamp, self.masks_written = frame.frame_idx, frame.timestamp, frame.masks_written
        self.obj_ids = values(frame.obj_ids, np.int64).tolist()
        self.object_score_logits = values(frame.object_score_logits, np.float32)
        self.lost = values(frame.lost, np.bool_)
        self.boxes = values(frame.boxes, np.int32, 4)
        self.areas = values(frame.areas, np.uint64)
        self.masks = masks

    def __repr__(self) -> str:
        return f"<FrameMasks: frame {self.frame_idx}, objects {self.obj_ids}>"

    def _like_reference(self) -> tuple[int, list[int], Any]:
        return self.frame_idx, self.obj_ids, self.masks


class FrameCall:
    """A call on a state that returns frames, and the memory for their masks."""

    def __init__(self, masks: Any, stream: int, objects: int, height: int, width: int) -> None:
        format = masks if isinstance(masks, str) else None
        self.masks = masks_of(format, objects, height, width) if format else masks
        self.buffer: Optional[abi.MaskBuffer] = None
        self._keep: Any = None
        # Without objects there are no masks, and a map of labels is 0.
        if masks is not None and (objects or not format):
            self.buffer, self._keep = mask_buffer(self.masks, format, stream)
        if format == "binary":
            self.masks = self.masks.view(np.bool_)
        self.found: Optional[FrameMasks] = None
        self.held = abi.Held()

        def keep(frame: Any) -> int:
            self.found = FrameMasks(frame.contents, self.masks)
            return 0

        self.callback = abi.FrameCallback(lambda _, frame: self.held.run(keep, frame))

    def make(self, function: str, *arguments: Any) -> Optional[FrameMasks]:
        """Makes the call. Returns the results of the last frame, or None."""
        where = None if self.buffer is None else c.byref(self.buffer)

        def work() -> None:
            try:
                abi.call("video_predictor_" + function, *arguments, where, self.callback, None)
            finally:
                self.held.release()

        abi.aside(work)
        return self.found

    def make_one(self, function: str, *arguments: Any) -> FrameMasks:
        """Makes a call that returns one frame."""
        found = self.make(function, *arguments)
        assert found is not None
        return found
