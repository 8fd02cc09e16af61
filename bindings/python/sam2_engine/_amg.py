"""Everything in a picture."""

import ctypes as c

import numpy as np

from . import _abi as abi
from ._arrays import picture, pointer
from ._masks import counts_of


class SAM2AutomaticMaskGenerator(abi.Handle):
    """The reference's class of this name. One thread uses it at a time; another one gets Busy."""

    _kind = "automatic_mask_generator"

    def __init__(
        self,
        model,
        points_per_side=32,
        points_per_batch=64,
        pred_iou_thresh=0.8,
        stability_score_thresh=0.95,
        stability_score_offset=1.0,
        mask_threshold=0.0,
        box_nms_thresh=0.7,
        crop_n_layers=0,
        crop_nms_thresh=0.7,
        crop_overlap_ratio=512 / 1500,
        crop_n_points_downscale_factor=1,
        point_grids=None,
        min_mask_region_area=0,
        output_mode="binary_mask",
        use_m2m=False,
        multimask_output=True,
    ):
        """output_mode: binary_mask, uncompressed_rle or coco_rle. point_grids: instead of points_per_side, which is None then,
        an array (points, 2) in 0..1, x and y, for the picture and for each layer of crops."""
        if output_mode not in ("binary_mask", "uncompressed_rle", "coco_rle"):
            raise ValueError(f"no output_mode {output_mode!r}")
        self.output_mode = output_mode
        grids = [np.asarray(grid, np.float64) for grid in (() if point_grids is None else point_grids)]
        for grid in grids:
            if grid.ndim != 2 or grid.shape[1] != 2:
                raise ValueError(f"a point grid of shape {grid.shape}; it is (points, 2)")
        points = None if point_grids is None else np.concatenate(grids)
        sizes = np.array([len(grid) for grid in grids], np.uint32)
        options = abi.AutomaticMaskOptions(
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

    def generate(self, image, progress=None, seconds=None, **how):
        """The masks, best first: a list of dicts as the reference has them.

        progress: is told after every batch of points how many were looked at, of how many, and the masks found so far, and
        returns whether to go on. seconds: how long to look, at most. Both give the best of what was found so far.
        """
        struct, keep = picture(image, **how)
        found, held = [], abi.Held()

        def keep_mask(mask):
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

        def each(_, mask):
            return held.run(keep_mask, mask)

        def on_the_way(_, *numbers):
            return held.run(lambda: 0 if progress is None or progress(*numbers) else 1)

        limit = abi.WAIT_FOREVER if seconds is None else int(seconds * 1000)
        callbacks = (abi.ProgressCallback(on_the_way), abi.AutomaticMaskCallback(each))
        work = ("automatic_mask_generator_generate", self._h, c.byref(struct), limit, *callbacks, None, None)
        abi.aside(lambda: abi.call(*work))
        del keep
        held.release()
        return found

    def _segmentation(self, text, height, width):
        if self.output_mode == "coco_rle":
            return {"size": [height, width], "counts": text}
        counts = counts_of(text)
        if self.output_mode == "uncompressed_rle":
            return {"size": [height, width], "counts": counts}
        runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        return np.ascontiguousarray(runs.reshape(width, height).T)
