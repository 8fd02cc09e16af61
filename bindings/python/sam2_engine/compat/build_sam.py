"""Functions that load models: `sam2.build_sam` of the reference."""

from __future__ import annotations

import os
from typing import Any, Optional, Sequence, TypeVar, Union

from ._model import Model, device_name
from ._published import find
from .sam2_video_predictor import SAM2VideoPredictor

M = TypeVar("M", bound=Model)
_Path = Union[str, bytes, "os.PathLike[Any]"]


def build_sam2(
    config_file: Optional[_Path],
    ckpt_path: Optional[_Path] = None,
    device: Any = "auto",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    **options: Any,
) -> Model:
    """Loads a model.

    Args:
        config_file: The name of a published configuration, such as "configs/sam2.1/sam2.1_hiera_l.yaml", or the path of a file.
            None recognizes the model by its tensors.
        ckpt_path: A checkpoint. See `sam2_engine.Model`.
        device: A device of PyTorch, or its name or index. "auto" is the first GPU, or the CPU if there is none.
        mode: "eval".
        hydra_overrides_extra: Changes to the configuration.
        apply_postprocessing: As in the reference.
        **options: `precision`, `threads`, `cpus` and `image_size` of `sam2_engine.Model`.
    """
    return _load(Model, config_file, ckpt_path, device, mode, hydra_overrides_extra, apply_postprocessing, options)


def build_sam2_video_predictor(
    config_file: Optional[_Path],
    ckpt_path: Optional[_Path] = None,
    device: Any = "auto",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
    **options: Any,
) -> SAM2VideoPredictor:
    """Loads a model that is a video predictor.

    Args:
        config_file: As in `build_sam2`, like the other arguments.
        vos_optimized: Ignored. There is nothing to compile.
    """
    kind = SAM2VideoPredictor
    return _load(kind, config_file, ckpt_path, device, mode, hydra_overrides_extra, apply_postprocessing, options)


def build_sam2_hf(model_id: str, **options: Any) -> Model:
    """Loads a published model, such as "facebook/sam2.1-hiera-large", from the cache of Hugging Face. Or loads a path.

    Args:
        model_id: The name of the model, or the path of a checkpoint.
        **options: Arguments of `build_sam2`.
    """
    config, path = find(model_id)
    return build_sam2(config, path, **options)


def build_sam2_video_predictor_hf(model_id: str, **options: Any) -> SAM2VideoPredictor:
    """Loads a published model as a video predictor. See `build_sam2_hf`."""
    config, path = find(model_id)
    return build_sam2_video_predictor(config, path, **options)


def _load(
    kind: type[M],
    config: Optional[_Path],
    path: Optional[_Path],
    device: Any,
    mode: str,
    overrides: Sequence[str],
    apply_postprocessing: bool,
    options: dict[str, Any],
) -> M:
    if path is None:
        raise ValueError("ckpt_path is None: a model without weights is of no use")
    if mode != "eval":
        raise ValueError(f"no mode {mode!r}: models are for inference")
    how = {"device": device_name(device), "apply_postprocessing": apply_postprocessing, **options}
    return kind(path, config, overrides, **how)
