"""Models, and how they are loaded."""

import ctypes as c
import os

from . import _abi as abi
from ._arrays import place
from ._dlpack import Tensor


def gpus():
    """The NVIDIA GPUs of this machine: dicts of name, uuid, capability, memory in bytes, usable."""
    count = c.c_uint32()
    abi.call("gpu_count", c.byref(count))
    found = []
    for index in range(count.value):
        info = abi.GpuInfo()
        abi.call("gpu_get_info", index, c.byref(info))
        texts = {name: getattr(info, name).decode(errors="replace") for name in ("name", "uuid")}
        found.append({**texts, "capability": info.capability, "memory": info.memory, "usable": bool(info.usable)})
    return found


class Model(abi.Handle):
    """A model's weights on a device, shared by any number of predictors and threads.

    image_size: the side of its input in pixels; mask_side: that of low-resolution masks; device: "cpu" or "cuda"; device_name;
    precision.
    """

    _kind = "model"
    _instead = "predictors and threads share one, and another process loads its own"

    def __init__(
        self,
        path,
        config=None,
        overrides=(),
        device="auto",
        precision="auto",
        threads=0,
        cpus=(),
        image_size=0,
        apply_postprocessing=True,
    ):
        """Loads a checkpoint: a .safetensors, .pt or .bin file, the index of one in several files, or a folder that holds one.

        config: a file in the reference's structure, or the reference's name of a published one, such as
        "configs/sam2.1/sam2.1_hiera_t.yaml", with or without folders and ending. None: the one beside the checkpoint, else the
        model is recognised by its tensors. overrides: "model.image_size=512", ... device: auto, cpu, cuda, cuda:N or cuda:GPU-UUID. precision: auto, f32, bf16 or f16.
        threads: of the CPU, 0 for all; cpus: those that they are bound to.
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
        self._create("model_load", os.fsencode(path), c.byref(options))
        info = abi.ModelInfo()
        abi.call("model_get_info", self._h, c.byref(info))
        self.image_size, self.mask_side = info.image_size, info.mask_side
        self.device, self.precision = abi.DEVICES[info.device], abi.PRECISIONS[info.precision]
        self.device_name = info.device_name.decode(errors="replace")

    def empty(self, shape, kind="binary", on_gpu=False):
        """A tensor for masks, binary (uint8), logits (float32) or labels (uint16), to be given as `out` and then to another
        library's from_dlpack, once."""
        place(abi.MASKS, kind, "kind of masks")
        return Tensor(self, shape, kind, on_gpu)


def build_sam2(
    config_file, ckpt_path, device="auto", mode="eval", hydra_overrides_extra=(), apply_postprocessing=True, **options
):
    """The reference's function of this name. config_file: as `config` of `Model`, so the reference's names are found."""
    if mode != "eval":
        raise ValueError(f"no mode {mode!r}: models are for inference")
    return Model(
        ckpt_path, config_file, hydra_overrides_extra, device, apply_postprocessing=apply_postprocessing, **options
    )


def build_sam2_video_predictor(config_file, ckpt_path, **options):
    """The reference's function of this name; as `build_sam2`."""
    from ._video import SAM2VideoPredictor

    return SAM2VideoPredictor(build_sam2(config_file, ckpt_path, **options))
