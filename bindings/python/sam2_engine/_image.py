"""Masks for prompts on images."""

from __future__ import annotations

import ctypes as c
from typing import Any, Iterable, Optional, Sequence

from . import _abi as abi
from ._arrays import array_of, boxes_of, logits_of, mask_buffer, masks_given, picture, pointer, prompt
from ._model import Model
from ._numpy import np, npt


class Features(abi.Handle):
    """Features of images or of a video frame, apart from the predictor that encoded them."""

    _kind = "features"

    def __init__(self, function: str, *arguments: Any) -> None:
        self._create(function, *arguments)

    @property
    def nbytes(self) -> int:
        """The number of bytes of the device's memory."""
        size = c.c_uint64()
        abi.call("features_get_bytes", self._h, c.byref(size))
        return size.value

    def _facts(self) -> str:
        return f"{self.nbytes} bytes"


class SAM2ImagePredictor(abi.Stoppable):
    """Encodes images and predicts masks for prompts on them, as the class of this name in the reference.

    One thread uses it at a time. A call from another thread raises `Busy`.
    """

    _kind = "image_predictor"

    def __init__(
        self,
        sam_model: Model,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
    ) -> None:
        """Creates a predictor.

        Args:
            sam_model: The model.
            mask_threshold: Logits above this value are on the object.
            max_hole_area: Largest area of a hole to fill, in pixels of the low-resolution mask.
            max_sprinkle_area: Largest area of a speck to remove, in pixels of the low-resolution mask.
        """
        self.model = sam_model
        options = abi.ImagePredictorOptions(
            mask_threshold=mask_threshold, max_hole_area=max_hole_area, max_sprinkle_area=max_sprinkle_area
        )
        self._create("image_predictor_create", sam_model._h, c.byref(options))

    @property
    def device(self) -> str:
        """The device of the model: "cpu" or "cuda"."""
        return self.model.device

    def _facts(self) -> str:
        sizes = [f"{width}x{height}" for height, width in self._sizes()]
        return f"{', '.join(sizes) or 'no image'}, on {self.device}"

    def reserve(self, images: int = 1, max_points: int = 1, mask_input: bool = False) -> None:
        """Allocates memory in advance.

        Args:
            images: Number of images in a batch.
            max_points: Largest number of points in a prompt. A box counts as two points.
            mask_input: Whether prompts contain masks.
        """
        abi.call("image_predictor_reserve", self._h, images, max_points, mask_input)

    def set_image(self, image: Any, **how: Any) -> None:
        """Encodes an image, which replaces the previous images.

        Args:
            image: An image. See `picture`.
            **how: Other arguments of `picture`.
        """
        self.set_image_batch([image], **how)

    def set_image_batch(self, image_list: Iterable[Any], **how: Any) -> None:
        """Encodes several images of any sizes, which replace the previous images.

        Args:
            image_list: Images. See `picture`.
            **how: Other arguments of `picture`.
        """
        pictures = [picture(image, **how) for image in image_list]
        structs = (abi.Image * len(pictures))(*[struct for struct, _ in pictures])
        abi.call("image_predictor_set_image_batch", self._h, structs, len(pictures))

    def take_features(self) -> Features:
        """Takes the features of the current images out of the predictor, which then has no images.

        The features hold memory of their own size. `set_features` makes their images the current ones again, without
        encoding them.
        """
        return Features("image_predictor_take_features", self._h)

    def set_features(self, features: Features) -> None:
        """Makes the images of these features the current ones. The features can then no longer be used."""
        abi.call("image_predictor_set_features", self._h, features._h)
        features._h = None

    def reset_predictor(self) -> None:
        """Discards the images."""
        abi.call("image_predictor_reset", self._h)

    def get_image_embedding(self) -> npt.NDArray[np.float32]:
        """Gets the image embeddings.

        Returns:
            An array (images, channels, height, width).
        """
        return self._maps(abi.IMAGE_EMBEDDING)

    def _maps(self, feature: int) -> npt.NDArray[np.float32]:
        """Gets a feature of all images as an array (images, channels, height, width)."""
        shape = (c.c_uint32 * 3)()
        values: list[npt.NDArray[np.float32]] = []
        for image in range(len(self._sizes_set())):
            which = (self._h, feature, image)
            abi.call("image_predictor_get_features", *which, None, 0, shape)
            values.append(np.empty(tuple(shape), np.float32))
            abi.call("image_predictor_get_features", *which, pointer(values[-1]), values[-1].size, shape)
        return np.stack(values)

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
        out: Any = None,
        stream: int = 0,
        mask: Any = None,
    ) -> tuple[Any, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Predicts masks for a prompt on the image.

        Prompts for several objects are points (objects, points, 2) with labels (objects, points), boxes (objects, 4), logits
        (objects, 1, side, side) or masks (objects, height, width). The results then have the shape (objects, n, ...).

        Args:
            point_coords: Points (points, 2) of x and y. An empty array of shape (0, 2) differs from None as in the reference,
                which then adds its padding point.
            point_labels: Labels (points): 1 on the object, 0 on the background.
            box: Left, top, right and bottom, of shape (4) or (2, 2).
            mask_input: Low-resolution logits of an earlier call, (1, side, side).
            multimask_output: Predict three masks per prompt instead of one.
            return_logits: Return logits instead of masks.
            normalize_coords: Coordinates are pixels. Otherwise they range from 0 to 1.
            out: Array, or tensor with __dlpack__, that receives the masks and is returned: uint8, bool, float32 (logits) or
                uint16 (one map of labels). It may be in the memory of the model's GPU.
            stream: CUDA stream on which `out` is used.
            mask: A mask (height, width) of any size in place of mask_input, nonzero on the object.

        Returns:
            Masks (n, height, width) of bool, or logits of float32; predicted IoUs (n); low-resolution logits (n, side, side).
            n is 3 or 1, and side is the model's `mask_side`.
        """
        sizes = self._sizes_set()
        if len(sizes) > 1:
            raise ValueError("several images are set: call predict_batch")
        entry = (point_coords, point_labels, box, mask_input, mask)
        found = self._predict(sizes, [entry], multimask_output, return_logits, normalize_coords, out, stream)
        masks, scores, low_res = (of_images[0] for of_images in found)
        return masks, scores, low_res

    def predict_batch(
        self,
        point_coords_batch: Optional[Sequence[Any]] = None,
        point_labels_batch: Optional[Sequence[Any]] = None,
        box_batch: Optional[Sequence[Any]] = None,
        mask_input_batch: Optional[Sequence[Any]] = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
        mask_batch: Optional[Sequence[Any]] = None,
    ) -> tuple[list[Any], list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]:
        """Predicts masks for prompts on all images at once.

        The arguments are lists with one entry for each image, as for `predict`.

        Returns:
            Three lists with the results of `predict` for each image.
        """
        sizes = self._sizes_set()
        given = [point_coords_batch, point_labels_batch, box_batch, mask_input_batch, mask_batch]
        lists: list[Sequence[Any]] = [[None] * len(sizes) if values is None else values for values in given]
        if any(len(values) != len(sizes) for values in lists):
            raise ValueError(f"{len(sizes)} images are set")
        return self._predict(sizes, list(zip(*lists)), multimask_output, return_logits, normalize_coords)

    def _sizes(self) -> list[tuple[int, int]]:
        """Gets the height and width of each image."""
        info = abi.ImagePredictorInfo()
        abi.call("image_predictor_get_info", self._h, 0, c.byref(info))
        sizes = []
        for image in range(info.num_images):
            abi.call("image_predictor_get_info", self._h, image, c.byref(info))
            sizes.append((info.height, info.width))
        return sizes

    def _sizes_set(self) -> list[tuple[int, int]]:
        """As `_sizes`. Raises RuntimeError if there is no image."""
        sizes = self._sizes()
        if not sizes:
            raise RuntimeError("no image is set: call set_image first")
        return sizes

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
        """Predicts masks. Returns lists of masks, scores and low-resolution logits, one entry for each image."""
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
        found: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        first = at = 0
        for objects, (height, width) in zip(lists, sizes):
            last, end = first + len(objects), at + len(objects) * n * height * width
            own = out if out is not None else masks[at:end].reshape(-1, n, height, width)
            for to, values in zip(found, (own, scores[first:last], low[first:last])):
                to.append(values if values is out or len(objects) != 1 else values[0])
            first, at = last, end
        return found


def _objects(entry: tuple[Any, ...], image: int, side: int) -> list[tuple[abi.Prompt, list[Any]]]:
    """Creates the prompts for an entry of `predict`: one for each object if a value has a dimension of objects, otherwise one.

    Values without this dimension apply to all objects.
    """
    points, labels, box, mask_input, mask = entry
    points, labels = (None if value is None else array_of(value, dtype) for value, dtype in ((points, np.float32), (labels, np.int32)))
    # With a dimension of objects.
    listed: list[Any] = [
        None if points is None else points if points.ndim == 3 else points[None],
        None if labels is None else labels if labels.ndim == 2 else labels[None],
        None if box is None else boxes_of(box),
        None if mask_input is None else logits_of(mask_input, side),
        None if mask is None else masks_given(mask),
    ]
    counts = {len(values) for values in listed if values is not None} - {1} or {1}
    if len(counts) > 1:
        raise ValueError(f"points, labels, boxes and masks of {sorted(counts)} objects")

    def of_object(i: int) -> tuple[abi.Prompt, list[Any]]:
        points, labels, box, logits, mask = (v if v is None else v[i if len(v) > 1 else 0] for v in listed)
        return prompt(points, labels, box, logits, image, mask)

    return [of_object(i) for i in range(counts.pop())]
