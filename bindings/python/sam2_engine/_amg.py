"""Automatic mask generation."""

from __future__ import annotations

import ctypes as c
from typing import Any, Callable, Optional, Sequence

from . import _abi as abi
from ._arrays import picture, pointer
from ._masks import counts_of
from ._model import Model
from ._numpy import np


class SAM2AutomaticMaskGenerator(abi.Stoppable):
    """Finds the masks of all objects in images, as the class of this name in the reference.

    One thread uses it at a time. A call from another thread raises `Busy`.
    """

    _kind = "automatic_mask_generator"

    def __init__(
        self,
        model: Model,
        points_per_side: Optional[int] = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Optional[Sequence[Any]] = None,
        min_mask_region_area: float = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
    ) -> None:
        """Creates a generator.

        The other arguments are those of the reference.

        Args:
            model: The model.
            point_grids: Points in place of points_per_side, which must be None then: an array (points, 2) of x and y from 0 to
                1, for the whole image and for each layer of crops.
            output_mode: "binary_mask", "uncompressed_rle" or "coco_rle".
        """
        if output_mode not in ("binary_mask", "uncompressed_rle", "coco_rle"):
            raise ValueError(f"no output_mode {output_mode!r}")
        self.output_mode = output_mode
        grids = [np.asarray(grid, np.float64) for grid in (() if point_grids is None else point_grids)]
        for grid in grids:
            if grid.ndim != 2 or grid.shape[1] != 2:
                raise ValueError(f"a point grid of shape {grid.shape}; it is (points, 2)")
        points = None if point_grids is None else np.concatenate(grids)
        sizes = np.array([len(grid) for grid in grids], np.uint32)
        options = abi.AutomaticMaskGeneratorOptions(
            points_per_side=points_per_side or 0,
            points_per_batch=points_per_batch,
            crop_n_layers=crop_n_layers,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            # As an area in pixels it counts up to the whole number below.
            min_mask_region_area=int(max(min_mask_region_area, 0)),
            use_m2m=bool(use_m2m),
            multimask_output=bool(multimask_output),
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            mask_threshold=mask_threshold,
            box_nms_thresh=box_nms_thresh,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            point_grids=None if points is None else pointer(points),
            points_per_grid=pointer(sizes),
            num_point_grids=len(grids),
        )
        self._create("automatic_mask_generator_create", model._h, c.byref(options))

    def _facts(self) -> str:
        return f"output_mode {self.output_mode!r}"

    def generate(
        self,
        image: Any,
        progress: Optional[Callable[[int, int, int], Any]] = None,
        seconds: Optional[float] = None,
        **how: Any,
    ) -> list[dict[str, Any]]:
        """Finds the masks of all objects in an image, the best first.

        Args:
            image: An image. See `picture`.
            progress: Called after every batch of points with the number of processed points, the number of all points and the
                number of masks found so far. Returns whether to continue.
            seconds: Longest time to search.
            **how: Other arguments of `picture`.

        Returns:
            A dict for each mask, as in the reference. If the search ends early, the masks found so far.
        """
        struct, keep = picture(image, **how)
        found: list[dict[str, Any]] = []
        held = abi.Held()

        def keep_mask(mask: Any) -> int:
            m = mask.contents
            record = {
                "segmentation": self._segmentation(c.string_at(m.rle).decode(), m.height, m.width),
                "area": m.area,
                "bbox": list(m.bbox),
                "predicted_iou": m.predicted_iou,
                "point_coords": [list(m.point_coords)],
                "stability_score": m.stability_score,
                "crop_box": list(m.crop_box),
            }
            found.append(record)
            return 0

        def on_mask(_: object, mask: Any) -> int:
            return held.run(keep_mask, mask)

        def on_progress(_: object, *numbers: int) -> int:
            return held.run(lambda: 0 if progress is None or progress(*numbers) else 1)

        limit = abi.WAIT_FOREVER if seconds is None else int(seconds * 1000)
        callbacks = (abi.ProgressCallback(on_progress), abi.AutomaticMaskCallback(on_mask))
        work = ("automatic_mask_generator_generate", self._h, c.byref(struct), limit, *callbacks, None, None)
        abi.aside(lambda: abi.call(*work))
        del keep
        held.release()
        return found

    def _segmentation(self, text: str, height: int, width: int) -> Any:
        if self.output_mode == "coco_rle":
            return {"size": [height, width], "counts": text}
        counts = counts_of(text)
        if self.output_mode == "uncompressed_rle":
            return {"size": [height, width], "counts": counts}
        runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        return np.ascontiguousarray(runs.reshape(width, height).T)
