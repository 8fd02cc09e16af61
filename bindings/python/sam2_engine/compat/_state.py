"""The state of a video, with items as in the reference."""

from __future__ import annotations

from typing import Any, TypeVar

from .._video import State

S = TypeVar("S", bound="InferenceState")


class InferenceState(State):
    """The state of a video. Its items can be read by the names of the reference, as in `state["num_frames"]`.

    Attributes:
        prompted: Frames with prompts, by the id of the object.
    """

    prompted: dict[int, set[int]]

    def __init__(self, function: str, *arguments: Any) -> None:
        super().__init__(function, *arguments)
        self.prompted = {}

    @property
    def obj_id_to_idx(self) -> dict[int, int]:
        """The places of the objects in the masks by their ids."""
        return {obj_id: place for place, obj_id in enumerate(self.obj_ids)}

    @property
    def obj_idx_to_id(self) -> dict[int, int]:
        """The ids of the objects by their places in the masks."""
        return dict(enumerate(self.obj_ids))

    def keys(self) -> tuple[str, ...]:
        """The names of the items."""
        return ("num_frames", "video_height", "video_width", "obj_ids", "obj_id_to_idx", "obj_idx_to_id")

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(f"no item {name!r}: the engine holds frames and memories itself; there are {', '.join(self.keys())}")
        return getattr(self, name)

    def fork(self: S) -> S:
        """Returns a state that shares memories and frames with this one and diverges from it."""
        fork = super().fork()
        fork.prompted = {obj_id: set(frames) for obj_id, frames in self.prompted.items()}
        return fork
