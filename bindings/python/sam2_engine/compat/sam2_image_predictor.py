"""Masks for prompts on images: `sam2.sam2_image_predictor` of the reference."""

from __future__ import annotations

from typing import Any, Optional, Sequence, TypeVar

import numpy as np

from .. import _abi as abi
from .. import _image
from ._from_pretrained import split
from ._tensor import tensor

P = TypeVar("P", bound="SAM2ImagePredictor")


class SAM2ImagePredictor(_image.SAM2ImagePredictor):
    """Encodes images and predicts masks for prompts on them. Masks are float32, as in the reference."""

    @classmethod
    def from_pretrained(cls: type[P], model_id: str, **options: Any) -> P:
        """Creates a predictor for a published model.

        Args:
            model_id: As in `build_sam2_hf`.
            **options: Arguments of the class and of `build_sam2`.
        """
        from .build_sam import build_sam2_hf

        own, others = split(cls, options)
        return cls(build_sam2_hf(model_id, **others), **own)

    def get_image_embedding(self) -> Any:
        """Gets the image embeddings as a tensor (images, channels, height, width)."""
        return tensor(super().get_image_embedding(), self.device)

    @property
    def _features(self) -> Optional[dict[str, Any]]:
        """Features of the images, as programs for the reference read them. None if there is no image."""
        if not self._sizes():
            return None
        finer = [tensor(self._maps(feature), self.device) for feature in (abi.HIGH_RES_0, abi.HIGH_RES_1)]
        return {"image_embed": self.get_image_embedding(), "high_res_feats": finer}

    @property
    def _orig_hw(self) -> Optional[list[tuple[int, int]]]:
        """Height and width of each image. None if there is no image."""
        return self._sizes() or None

    def _predict(
        self,
        sizes: list[tuple[int, int]],
        entries: Sequence[tuple[Any, ...]],
        multimask: bool,
        logits: bool,
        pixels: bool,
        out: Any = None,
        stream: int = 0,
    ) -> tuple[list[Any], list[Any], list[Any]]:
        masks, scores, low = super()._predict(sizes, entries, multimask, logits, pixels, out, stream)
        if out is None:
            masks = [mask.astype(np.float32, copy=False) for mask in masks]
        return masks, scores, low
