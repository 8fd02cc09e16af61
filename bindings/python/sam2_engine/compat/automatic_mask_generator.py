"""Automatic mask generation: `sam2.automatic_mask_generator` of the reference."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from .. import _amg
from ._from_pretrained import split
from .utils.amg import MaskData, batched_mask_to_box, mask_to_rle_pytorch, nms, remove_small_regions, rle_to_mask

G = TypeVar("G", bound="SAM2AutomaticMaskGenerator")


class SAM2AutomaticMaskGenerator(_amg.SAM2AutomaticMaskGenerator):
    """Finds the masks of all objects in images."""

    @classmethod
    def from_pretrained(cls: type[G], model_id: str, **options: Any) -> G:
        """Creates a generator for a published model.

        Args:
            model_id: As in `build_sam2_hf`.
            **options: Arguments of the class and of `build_sam2`.
        """
        from .build_sam import build_sam2_hf

        own, others = split(cls, options)
        return cls(build_sam2_hf(model_id, **others), **own)

    @staticmethod
    def postprocess_small_regions(mask_data: MaskData, min_area: int, nms_thresh: float) -> MaskData:
        """Fills small holes and removes small regions of masks, then removes masks that are duplicates now.

        Args:
            mask_data: Masks with "rles" and "boxes", which are changed in place.
            min_area: Holes and regions of fewer pixels are small.
            nms_thresh: Of two masks whose boxes have a larger IoU, the one that was not changed stays.

        Returns:
            `mask_data`.
        """
        if not mask_data["rles"]:
            return mask_data
        masks, unchanged = [], []
        for rle in mask_data["rles"]:
            mask, filled = remove_small_regions(rle_to_mask(rle), min_area, "holes")
            mask, dropped = remove_small_regions(mask, min_area, "islands")
            masks.append(mask)
            unchanged.append(not (filled or dropped))
        found = np.stack(masks)
        boxes = batched_mask_to_box(found)
        kept = nms(boxes, np.array(unchanged, np.float32), nms_thresh)
        for i in kept:
            if not unchanged[i]:
                mask_data["rles"][i] = mask_to_rle_pytorch(found[i : i + 1])[0]
                for side, value in enumerate(boxes[i].tolist()):
                    mask_data["boxes"][i][side] = value
        mask_data.filter(kept)
        return mask_data
