"""Models."""

from __future__ import annotations

import ctypes as c
import os
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, TypeVar, Union

from . import _abi as abi
from ._arrays import place, pointer
from ._dlpack import Tensor
from ._numpy import np

if TYPE_CHECKING:
    from ._video import SAM2VideoPredictor

M = TypeVar("M", bound="Model")


def gpus() -> list[dict[str, Any]]:
    """Lists the NVIDIA GPUs of the machine.

    Returns:
        A dict for each GPU: `name` (str), `uuid` (str), `capability` (int, 90 is 9.0), `memory` (int, bytes) and `usable` (bool,
        whether models can run on it).
    """
    count = c.c_uint32()
    abi.call("gpu_get_count", c.byref(count))
    found = []
    for index in range(count.value):
        info = abi.GpuInfo()
        abi.call("gpu_get_info", index, c.byref(info))
        texts = {name: getattr(info, name).decode(errors="replace") for name in ("name", "uuid")}
        found.append({**texts, "capability": info.capability, "memory": info.memory, "usable": bool(info.usable)})
    return found


class _Bytes:
    """A checkpoint in memory, in place of a path."""

    def __init__(self, data: Any) -> None:
        self.values = np.frombuffer(data, np.uint8)


class Model(abi.Handle):
    """The weights of a model on a device. Any number of predictors and threads may share it.

    Attributes:
        image_size: Side of the input in pixels.
        mask_side: Side of low-resolution masks in pixels.
        device_name: Name of the device.
        precision: "f32", "bf16" or "f16".
    """

    image_size: int
    mask_side: int
    device_name: str
    precision: str

    _kind = "model"
    _instead = "predictors and threads share one, and another process loads its own"

    def __init__(
        self,
        path: Union[str, bytes, os.PathLike[Any], _Bytes],
        config: Union[str, bytes, os.PathLike[Any], None] = None,
        overrides: Sequence[str] = (),
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        cpus: Sequence[int] = (),
        image_size: int = 0,
        apply_postprocessing: bool = True,
        progress: Optional[Callable[[float], Any]] = None,
    ) -> None:
        """Loads a checkpoint.

        Args:
            path: A .safetensors, .pt or .bin file, the index of a checkpoint in several files, or a folder that holds one.
            config: A file in the reference's structure, or the reference's name of a published configuration, such as
                "configs/sam2.1/sam2.1_hiera_t.yaml", with or without folders and extension. None uses the configuration
                beside the checkpoint, or recognizes the model by its tensors.
            overrides: Changes to the configuration, such as "model.image_size=512".
            device: "auto", "cpu", "cuda", "cuda:N" or "cuda:GPU-UUID".
            precision: "auto", "f32", "bf16" or "f16".
            threads: Number of CPU threads. 0 uses all.
            cpus: CPUs to bind the threads to.
            image_size: Side of the input in pixels. 0 uses the value of the configuration.
            apply_postprocessing: As in the reference.
            progress: Called with the part of the model that is loaded, 0 to 1. Returns whether to continue.

        Raises:
            Cancelled: `progress` returned False.
            FileError: The file cannot be read.
            ModelError: The checkpoint or the configuration is not usable.
            DeviceError: The device is missing or fails.
        """
        kind, _, which = str(device).partition(":")
        uuid = which if which.startswith(("GPU-", "MIG-")) else None
        if not (uuid or which.isdigit() or not which):
            raise ValueError(f"no device {device!r}")
        if config is not None and os.path.exists(config):
            with open(config, "rb") as file:
                config = file.read()
        list_of_cpus = (c.c_uint32 * len(cpus))(*cpus)
        options = abi.ModelOptions(
            device=place(abi.DEVICES, kind, "device"),
            device_index=int(which) if which.isdigit() else 0,
            precision=place(abi.PRECISIONS, precision, "precision"),
            threads=threads,
            image_size=image_size,
            no_postprocessing=not apply_postprocessing,
            config_yaml=None if config is None else os.fsencode(config),
            overrides="\n".join(overrides).encode(),
            device_uuid=uuid and uuid.encode(),
            cpus=c.cast(list_of_cpus, c.c_void_p) if len(cpus) else None,
            num_cpus=len(cpus),
        )
        held = abi.Held()

        def on_progress(_: object, part: float) -> int:
            return held.run(lambda: 0 if progress is None or progress(part) else 1)

        callback = abi.LoadCallback(on_progress)
        if progress is not None:
            options.on_progress = c.cast(callback, c.c_void_p)
        try:
            if isinstance(path, _Bytes):
                self._create("model_load_memory", pointer(path.values), path.values.size, c.byref(options))
            else:
                self._create("model_load", os.fsencode(path), c.byref(options))
        finally:
            held.release()
        info = abi.ModelInfo()
        abi.call("model_get_info", self._h, c.byref(info))
        self.image_size, self.mask_side = info.image_size, info.mask_side
        self._device, self.precision = abi.DEVICES[info.device], abi.PRECISIONS[info.precision]
        self.device_name = info.device_name.decode(errors="replace")

    @classmethod
    def from_bytes(cls: type[M], data: Any, **options: Any) -> M:
        """Loads a checkpoint that is in memory.

        Args:
            data: bytes, or another object with a buffer, such as a memoryview. It is not used after the call.
            **options: Other arguments of `Model`.
        """
        return cls(_Bytes(data), **options)

    @property
    def device(self) -> str:
        """The device: "cpu" or "cuda"."""
        return self._device

    def _facts(self) -> str:
        return f"{self.image_size} pixels, {self.precision} on {self._device} ({self.device_name})"

    def empty(self, shape: Sequence[int], format: str = "binary", on_gpu: bool = False) -> Tensor:
        """Creates a tensor for masks, to pass as `out` and then to from_dlpack of another library, once.

        Args:
            shape: The shape, 1 to 4 dimensions.
            format: "binary" (uint8), "logits" (float32) or "labels" (uint16).
            on_gpu: Whether the tensor is in the memory of the model's GPU.
        """
        place(abi.MASKS, format, "mask format")
        return Tensor(self, shape, format, on_gpu)


def build_sam2(
    config_file: Union[str, bytes, os.PathLike[Any], None],
    ckpt_path: Union[str, bytes, os.PathLike[Any]],
    device: str = "auto",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    **options: Any,
) -> Model:
    """Loads a model, as the function of this name in the reference.

    Args:
        config_file: As `config` of `Model`.
        ckpt_path: As `path` of `Model`.
        device: As in `Model`.
        mode: "eval".
        hydra_overrides_extra: As `overrides` of `Model`.
        apply_postprocessing: As in `Model`.
        **options: Other arguments of `Model`.
    """
    if mode != "eval":
        raise ValueError(f"no mode {mode!r}: models are for inference")
    return Model(
        ckpt_path, config_file, hydra_overrides_extra, device, apply_postprocessing=apply_postprocessing, **options
    )


def build_sam2_video_predictor(
    config_file: Union[str, bytes, os.PathLike[Any], None],
    ckpt_path: Union[str, bytes, os.PathLike[Any]],
    device: str = "auto",
    **options: Any,
) -> SAM2VideoPredictor:
    """Loads a model and creates a video predictor, as the function of this name in the reference. See `build_sam2`."""
    from ._video import SAM2VideoPredictor

    return SAM2VideoPredictor(build_sam2(config_file, ckpt_path, device, **options))
