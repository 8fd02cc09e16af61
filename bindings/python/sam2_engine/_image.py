"""Masks of objects in pictures."""

import ctypes as c

import numpy as np

from . import _abi as abi
from ._arrays import array_of, boxes_of, logits_of, mask_buffer, masks_given, picture, pointer, prompt


class SAM2ImagePredictor(abi.Handle):
    """The reference's class of this name. One thread uses it at a time; another one gets Busy."""

    _kind = "image_predictor"

    def __init__(self, sam_model, mask_threshold=0.0, max_hole_area=0.0, max_sprinkle_area=0.0):
        self.model = sam_model
        options = abi.ImagePredictorOptions(
            mask_threshold=mask_threshold, max_hole_area=max_hole_area, max_sprinkle_area=max_sprinkle_area
        )
        self._create("image_predictor_create", sam_model._h, c.byref(options))

    device = property(lambda self: self.model.device, doc="The model's: \"cpu\" or \"cuda\".")

    def reserve(self, images=1, max_points=1, mask_input=False):
        """Allocates what calls on so many pictures and points of a prompt (a box is two) need."""
        abi.call("image_predictor_reserve", self._h, images, max_points, mask_input)

    def set_image(self, image, **how):
        """Encodes a picture; `help(sam2_engine.picture)` tells what may be one, and how."""
        self.set_image_batch([image], **how)

    def set_image_batch(self, image_list, **how):
        """Encodes several pictures, of any sizes."""
        pictures = [picture(image, **how) for image in image_list]
        structs = (abi.Image * len(pictures))(*[struct for struct, _ in pictures])
        abi.call("image_predictor_set_image_batch", self._h, structs, len(pictures))

    def reset_predictor(self):
        """Forgets the pictures."""
        abi.call("image_predictor_reset", self._h)

    def get_image_embedding(self):
        """(pictures, channels, height, width) float32."""
        shape, count, values = (c.c_uint32 * 3)(), len(self._sizes()), []
        for image in range(count):
            which = (self._h, abi.IMAGE_EMBEDDING, image)
            abi.call("image_predictor_get_features", *which, None, 0, shape)
            values.append(np.empty(tuple(shape), np.float32))
            abi.call("image_predictor_get_features", *which, pointer(values[-1]), values[-1].size, shape)
        return np.stack(values)

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
        stream=0,
        mask=None,
    ):
        """Masks (n, height, width) as bool, or logits as float32; predicted IoUs (n); low-resolution logits (n, side, side),
        side being the model's `mask_side`. n is 3, or 1 without multimask_output.

        box: (4) or (2, 2): left, top, right, bottom. mask_input: logits of an earlier call, (1, side, side). mask: a mask of
        the picture in place of these, (height, width) of any size, not 0 on the object. Prompts of several objects are points
        (objects, points, 2) with labels (objects, points), boxes (objects, 4), logits (objects, 1, side, side), masks (objects,
        height, width); results then are (objects, n, ...). No points, of shape (0, 2), differ from None as in the reference:
        its padding point is added. normalize_coords: coordinates are pixels, else 0..1.
        out: where the masks go instead, uint8, bool, float32 (logits) or uint16 (one map of labels), an array or a tensor
        that has __dlpack__, which may be in the memory of the model's GPU, used on a CUDA stream; it is returned.
        """
        sizes = self._sizes()
        if len(sizes) > 1:
            raise ValueError("several pictures are set: call predict_batch")
        entry = (point_coords, point_labels, box, mask_input, mask)
        found = self._predict(sizes, [entry], multimask_output, return_logits, normalize_coords, out, stream)
        return tuple(of_pictures[0] for of_pictures in found)

    def predict_batch(
        self,
        point_coords_batch=None,
        point_labels_batch=None,
        box_batch=None,
        mask_input_batch=None,
        multimask_output=True,
        return_logits=False,
        normalize_coords=True,
        mask_batch=None,
    ):
        """As `predict` of every picture that is set: lists with an entry for each, in three lists. All are decoded together."""
        sizes = self._sizes()
        lists = [point_coords_batch, point_labels_batch, box_batch, mask_input_batch, mask_batch]
        lists = [[None] * len(sizes) if values is None else values for values in lists]
        if any(len(values) != len(sizes) for values in lists):
            raise ValueError(f"{len(sizes)} pictures are set")
        return self._predict(sizes, list(zip(*lists)), multimask_output, return_logits, normalize_coords)

    def _sizes(self):
        """(height, width) of the pictures that are set; there is one at least."""
        info = abi.ImagePredictorInfo()
        abi.call("image_predictor_get_info", self._h, 0, c.byref(info))
        sizes = []
        for image in range(info.num_images):
            abi.call("image_predictor_get_info", self._h, image, c.byref(info))
            sizes.append((info.height, info.width))
        if not sizes:
            raise RuntimeError("no picture is set: call set_image first")
        return sizes

    def _predict(self, sizes, entries, multimask, logits, pixels, out=None, stream=0):
        """Three lists, of masks, scores and low-resolution logits, an entry for each picture."""
        n, side = 3 if multimask else 1, self.model.mask_side
        lists = [_objects(entry, image, side) for image, entry in enumerate(entries)]
        prompts = [one for objects in lists for one in objects]
        shape = (len(prompts), n)
        scores, low = np.empty(shape, np.float32), np.empty((*shape, side, side), np.float32)
        masks = out
        if out is None:
            total = n * sum(len(objects) * h * w for objects, (h, w) in zip(lists, sizes))
            masks = np.empty(total, np.float32 if logits else np.bool_)
        buffer, _keep = mask_buffer(masks, stream=stream)
        structs = (abi.Prompt * len(prompts))(*[struct for struct, _ in prompts])
        flags = abi.MULTIMASK * bool(multimask) | abi.PREDICT_NORMALIZED * (not pixels)
        results = (c.byref(buffer), pointer(scores), pointer(low), None)
        abi.call("image_predictor_predict", self._h, structs, len(prompts), flags, *results)
        found, first, at = ([], [], []), 0, 0
        for objects, (height, width) in zip(lists, sizes):
            last, end = first + len(objects), at + len(objects) * n * height * width
            own = out if out is not None else masks[at:end].reshape(-1, n, height, width)
            for to, values in zip(found, (own, scores[first:last], low[first:last])):
                to.append(values if values is out or len(objects) != 1 else values[0])
            first, at = last, end
        return found


def _objects(entry, image, side):
    """The prompts of an entry of `predict`: one, or one for each object where a value has a dimension of objects; values that
    have none are for all."""
    points, labels, box, mask_input, mask = entry
    points, labels = (None if value is None else array_of(value, dtype) for value, dtype in ((points, np.float32), (labels, np.int32)))
    # By objects, where there are several or the value says so.
    listed = [
        None if points is None else points if points.ndim == 3 else points[None],
        None if labels is None else labels if labels.ndim == 2 else labels[None],
        None if box is None else boxes_of(box),
        None if mask_input is None else logits_of(mask_input, side),
        None if mask is None else masks_given(mask),
    ]
    counts = {len(values) for values in listed if values is not None} - {1} or {1}
    if len(counts) > 1:
        raise ValueError(f"points, labels, boxes and masks of {sorted(counts)} objects")

    def of_object(i):
        points, labels, box, logits, mask = (v if v is None else v[i if len(v) > 1 else 0] for v in listed)
        return prompt(points, labels, box, logits, image, mask)

    return [of_object(i) for i in range(counts.pop())]
