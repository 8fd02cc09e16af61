"""Functions for masks: the part of `sam2.utils.amg` that `postprocess_small_regions` needs."""

from __future__ import annotations

from typing import Any, ItemsView

import numpy as np
import numpy.typing as npt

from ..._arrays import array_of


class MaskData:
    """Lists, arrays or tensors with one entry for each mask, by name."""

    def __init__(self, **lists: Any) -> None:
        self._lists = lists

    def __getitem__(self, key: str) -> Any:
        return self._lists[key]

    def __setitem__(self, key: str, item: Any) -> None:
        self._lists[key] = item

    def __delitem__(self, key: str) -> None:
        del self._lists[key]

    def items(self) -> ItemsView[str, Any]:
        """The names with their lists."""
        return self._lists.items()

    def filter(self, keep: Any) -> None:
        """Keeps some entries of every list.

        Args:
            keep: Whether to keep each entry, or the places of the entries to keep in their new order.
        """
        keep = array_of(keep)
        places = np.flatnonzero(keep) if keep.dtype == np.bool_ else keep
        for key, values in self._lists.items():
            self._lists[key] = [values[i] for i in places] if isinstance(values, list) else values[places]


def rle_to_mask(rle: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """Converts lengths of runs, column by column, to a mask (height, width)."""
    height, width = rle["size"]
    counts = rle["counts"]
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def mask_to_rle_pytorch(tensor: Any) -> list[dict[str, Any]]:
    """Converts masks (masks, height, width) to lengths of runs, column by column. The first run is off the object."""
    rles = []
    for mask in array_of(tensor, np.bool_):
        column = np.concatenate([[False], mask.T.reshape(-1)])
        ends = np.flatnonzero(np.diff(column))
        rles.append({"size": list(mask.shape), "counts": np.diff([0, *ends, mask.size]).tolist()})
    return rles


def batched_mask_to_box(masks: Any) -> npt.NDArray[np.int64]:
    """Gets the boxes of masks (..., height, width): left, top, right, bottom. Zeros for an empty mask."""
    on: Any = array_of(masks, np.bool_)
    (left, right), (top, bottom) = _span(on.any(-2)), _span(on.any(-1))
    boxes: npt.NDArray[np.int64] = np.stack([left, top, right, bottom], axis=-1) * on.any((-2, -1))[..., None]
    return boxes


def _span(on: npt.NDArray[np.bool_]) -> tuple[Any, Any]:
    """Gets the first and last place that is on in the last dimension."""
    return on.argmax(-1), on.shape[-1] - 1 - on[..., ::-1].argmax(-1)


def remove_small_regions(mask: Any, area_thresh: float, mode: str) -> tuple[npt.NDArray[np.bool_], bool]:
    """Fills the small holes of a mask, or removes its small regions. Neighbors may touch at corners.

    Args:
        mask: Mask (height, width).
        area_thresh: Holes and regions of fewer pixels are small. If all regions are small, the largest one stays.
        mode: "holes" or "islands".

    Returns:
        The mask, and whether it was changed.
    """
    if mode not in ("holes", "islands"):
        raise ValueError(f"no mode {mode!r}; there are holes and islands")
    on = array_of(mask, np.bool_)
    regions = _regions(on != (mode == "holes"))
    areas = np.bincount(regions.reshape(-1))
    small = areas < area_thresh
    small[0] = False
    if not small.any():
        return on, False
    if mode == "islands" and small[1:].all():
        small[1 + areas[1:].argmax()] = False
    return on ^ small[regions], True


def _regions(on: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Numbers the connected regions from 1. Pixels that are off are 0."""
    height, width = on.shape
    # Two columns that are off end the runs of every row.
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = on
    edges = np.diff(padded.reshape(-1))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    below = width + 2
    first, last = np.searchsorted(ends, starts + below), np.searchsorted(starts, ends + below, "right")
    parents = list(range(len(starts)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = run = parents[parents[run]]
        return run

    for run in range(len(starts)):
        for neighbor in range(first[run], last[run]):
            parents[root(neighbor)] = root(run)
    _, numbers = np.unique([root(run) for run in range(len(starts))], return_inverse=True)
    out = np.zeros(on.shape, np.int64)
    out[on] = np.repeat(numbers + 1, ends - starts)
    return out


def nms(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], iou_threshold: float) -> list[int]:
    """Returns the places of the boxes that no box of a higher score overlaps by more than a threshold, the best first."""
    left, top, right, bottom = boxes.astype(np.float64).T
    areas = (right - left) * (bottom - top)
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        width = np.minimum(right[best], right[order]) - np.maximum(left[best], left[order])
        height = np.minimum(bottom[best], bottom[order]) - np.maximum(top[best], top[order])
        shared = width.clip(0) * height.clip(0)
        order = order[shared <= iou_threshold * (areas[best] + areas[order] - shared)]
    return kept
