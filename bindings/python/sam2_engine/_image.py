"""Masks of objects in pictures."""

import ctypes as c

import numpy as np

from . import _abi as abi
from ._arrays import buffer, picture, pointer, prompt


class SAM2ImagePredictor(abi.Handle):
    """The reference's class of this name."""

    _kind = "image_predictor"

    def __init__(self, sam_model, mask_threshold=0.0, max_hole_area=0.0, max_sprinkle_area=0.0):
        self.model = sam_model
        options = abi.ImagePredictorOptions(
            mask_threshold=mask_threshold, max_hole_area=max_hole_area, max_sprinkle_area=max_sprinkle_area
        )
        self._create("image_predictor_create", sam_model._h, c.byref(options))
        self._sizes = []

    def set_image(self, image, format=None, flip=False):
        """Encodes a picture; see `_arrays.picture` for what one is. format: rgb, bgr, rgba, bgra, ... where it is not plain."""
        self.set_image_batch([image], format, flip)

    def set_image_batch(self, image_list, format=None, flip=False):
        """Encodes several pictures, of any sizes."""
        self._sizes = []
        pictures = [picture(image, format, flip) for image in image_list]
        structs = (abi.Image * len(pictures))(*[struct for struct, _ in pictures])
        abi.call("image_predictor_set_image_batch", self._h, structs, c.c_size_t(len(pictures)))
        self._sizes = [(struct.height, struct.width) for struct, _ in pictures]

    def reset_predictor(self):
        """Forgets the pictures."""
        abi.call("image_predictor_reset", self._h)
        self._sizes = []

    def get_image_embedding(self, image=0):
        """(1, channels, height, width) float32, as the reference's."""
        shape = (c.c_uint32 * 3)()
        which = (self._h, c.c_int32(0), c.c_uint32(image))
        abi.call("image_predictor_get_features", *which, None, c.c_size_t(0), shape)
        values = np.empty((1, *shape), np.float32)
        abi.call("image_predictor_get_features", *which, pointer(values), c.c_size_t(values.size), shape)
        return values

    def predict(
        self,
        point_coords=None,
        point_labels=None,
        box=None,
        mask_input=None,
        multimask_output=True,
        return_logits=False,
        normalize_coords=True,
        out=None,
    ):
        """Masks (n, height, width) bool or float32, predicted IoUs (n), low-resolution logits (n, side, side).

        box: (4), or (boxes, 4) for a mask of each, with results (boxes, n, ...) as of the reference. normalize_coords: coordinates
        are pixels, else 0..1. out: a tensor of (n, height, width), uint8, bool or float32, that has __dlpack__, for the masks,
        which may be in the memory of the model's GPU; they are returned as they are.
        """
        if len(self._sizes) > 1:
            raise ValueError("several pictures are set: call predict_batch")
        boxes = None if box is None else np.asarray(box, np.float32).reshape(-1, 4)
        if boxes is not None and len(boxes) > 1:
            if point_coords is not None or mask_input is not None:
                raise ValueError("several boxes go with no points and no mask")
            prompts = [prompt(None, None, box, None) for box in boxes]
            return self._predict(prompts, self._sizes, multimask_output, return_logits, normalize_coords, out)
        prompts = [prompt(point_coords, point_labels, None if boxes is None else boxes[0], mask_input)]
        found = self._predict(prompts, self._sizes, multimask_output, return_logits, normalize_coords, out)
        return tuple(x if x is out and out is not None else x[0] for x in found)

    def predict_batch(
        self,
        point_coords_batch=None,
        point_labels_batch=None,
        box_batch=None,
        mask_input_batch=None,
        multimask_output=True,
        return_logits=False,
        normalize_coords=True,
    ):
        """As `predict` of every picture that is set: three lists, an entry for each picture."""
        lists = [point_coords_batch, point_labels_batch, box_batch, mask_input_batch]
        lists = [[None] * len(self._sizes) if values is None else values for values in lists]
        if any(len(values) != len(self._sizes) for values in lists):
            raise ValueError(f"{len(self._sizes)} pictures are set")
        prompts = [prompt(*values, image=i) for i, values in enumerate(zip(*lists))]
        masks, scores, low = [], [], []
        # All in one call: masks one after another.
        found = self._predict(prompts, self._sizes, multimask_output, return_logits, normalize_coords, None, flat=True)
        at, n = 0, 3 if multimask_output else 1
        for i, (height, width) in enumerate(self._sizes):
            masks.append(found[0][at : at + n * height * width].reshape(n, height, width))
            scores.append(found[1][i])
            low.append(found[2][i])
            at += n * height * width
        return masks, scores, low

    def _predict(self, prompts, sizes, multimask, logits, pixels, out, flat=False):
        p, n, side = len(prompts), 3 if multimask else 1, self.model.mask_side
        if not sizes:
            raise RuntimeError("no picture is set: call set_image first")
        scores, low = np.empty((p, n), np.float32), np.empty((p, n, side, side), np.float32)
        dtype = np.float32 if logits else np.uint8
        if out is not None:
            masks, (struct, keep) = out, buffer(dlpack=out)
        else:
            (height, width), total = sizes[0], n * sum(h * w for h, w in sizes)
            masks = np.empty(total if flat else (p, n, height, width), dtype)
            struct, keep = buffer(masks)
        structs = (abi.Prompt * p)(*[struct for struct, _ in prompts])
        flags = abi.MULTIMASK * bool(multimask) | abi.PREDICT_NORMALIZED * (not pixels)
        abi.call(
            "image_predictor_predict",
            *(self._h, structs, c.c_size_t(p), c.c_uint32(flags), c.byref(struct), pointer(scores), pointer(low), None),
        )
        del keep
        return masks if logits or out is not None else masks.view(np.bool_), scores, low
