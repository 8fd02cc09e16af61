"""Tracking of objects through videos: `sam2.sam2_video_predictor` of the reference."""

from __future__ import annotations

from typing import Any, Iterator, Optional

import numpy as np

from .. import _video
from .._errors import InvalidArgument
from ._model import Model
from ._state import InferenceState
from ._tensor import tensor

_CLEAR = "clear_all_prompts_in_frame"


class SAM2VideoPredictor(Model, _video.SAM2VideoPredictor):
    """A model that tracks objects through videos. As in the reference, it can be the model of other predictors too."""

    _state = InferenceState

    @property
    def model(self) -> Model:  # type: ignore[override]
        """The model, which is the predictor itself."""
        return self

    @classmethod
    def from_pretrained(cls, model_id: str, **options: Any) -> SAM2VideoPredictor:
        """Loads a published model.

        Args:
            model_id: As in `build_sam2_hf`.
            **options: Arguments of `build_sam2_video_predictor`.
        """
        from .build_sam import build_sam2_video_predictor_hf

        return build_sam2_video_predictor_hf(model_id, **options)

    def add_new_points(self, *arguments: Any, **named: Any) -> tuple[int, list[int], Any]:
        """The earlier name of `add_new_points_or_box`."""
        return self.add_new_points_or_box(*arguments, **named)

    def _about(
        self, inference_state: Any, frame_idx: int, obj_id: int, function: str, *arguments: Any
    ) -> tuple[int, list[int], Any]:
        number, ids, masks = super()._about(inference_state, frame_idx, obj_id, function, *arguments)
        frames = inference_state.prompted.setdefault(int(obj_id), set())
        (frames.discard if function == _CLEAR else frames.add)(number)
        return number, ids, tensor(masks, self.device)

    def propagate_in_video_preflight(self, inference_state: Any) -> None:
        """Raises RuntimeError if there is no object. The engine encodes the prompts when a propagation begins."""
        if not inference_state.obj_ids:
            raise RuntimeError("there is no object to track: add points, a box or a mask first")

    def propagate_in_video(
        self,
        inference_state: Any,
        start_frame_idx: Optional[int] = None,
        max_frame_num_to_track: Optional[int] = None,
        reverse: bool = False,
    ) -> Iterator[tuple[int, list[int], Any]]:
        """Tracks all objects through the video.

        Yields:
            For each frame its index, the ids of the objects, and masks (objects, 1, height, width) as logits.
        """
        self.propagate_in_video_preflight(inference_state)
        frames = super().propagate_in_video(inference_state, start_frame_idx, max_frame_num_to_track, reverse)
        for number, ids, masks in frames:
            yield number, ids, tensor(masks, self.device)

    def remove_object(
        self, inference_state: Any, obj_id: int, strict: bool = False, need_output: bool = True
    ) -> tuple[list[int], list[Any]]:
        """Removes an object.

        Args:
            inference_state: The state.
            obj_id: Id of the object.
            strict: Raise RuntimeError if there is no such object.
            need_output: Return the frames that had prompts for the object.

        Returns:
            The ids of the other objects, and pairs of such a frame and the masks of the other objects on it.
        """
        state, ids, updated = inference_state, inference_state.obj_ids, []
        if obj_id not in ids:
            if strict:
                raise RuntimeError(f"no object {obj_id}: there are {ids}")
            return ids, []
        frames = sorted(state.prompted.pop(obj_id, ()))
        for frame in frames if need_output and len(ids) > 1 else ():
            try:
                masks = _video.SAM2VideoPredictor._about(self, state, frame, obj_id, _CLEAR)[2]
            except InvalidArgument:  # a stream no longer keeps the frame
                continue
            updated.append((frame, tensor(np.delete(masks, ids.index(obj_id), axis=0), self.device)))
        super().remove_object(state, obj_id)
        return state.obj_ids, updated

    def reset_state(self, inference_state: Any) -> None:
        """Removes all objects."""
        super().reset_state(inference_state)
        inference_state.prompted.clear()
