"""Models, and how they are loaded."""

import ctypes as c

from . import _abi as abi


class Model(abi.Handle):
    """A model's weights on a device, shared by any number of predictors and threads."""

    _kind = "model"

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
        """Loads a checkpoint: a .safetensors or .pt file, or a folder that holds one.

        config: a YAML file in the reference's structure; without one the model is recognised by its tensors.
        device: auto, cpu, cuda, cuda:N or cuda:GPU-UUID. precision: auto, f32, bf16 or f16.
        """
        kind, _, which = device.partition(":")
        uuid = which if which.startswith(("GPU-", "MIG-")) else None
        if kind not in abi.DEVICES or precision not in abi.PRECISIONS or not (uuid or which.isdigit() or not which):
            raise ValueError(f"no device {device!r} or precision {precision!r}")
        yaml = None
        if config is not None:
            with open(config, "rb") as f:
                yaml = f.read()
        list_of_cpus = (c.c_uint32 * len(cpus))(*cpus)
        options = abi.ModelOptions(
            device=abi.DEVICES[kind],
            device_index=int(which) if which.isdigit() else 0,
            precision=abi.PRECISIONS[precision],
            threads=threads,
            image_size=image_size,
            no_postprocessing=not apply_postprocessing,
            config_yaml=yaml,
            overrides="\n".join(overrides).encode(),
            device_uuid=uuid and uuid.encode(),
            cpus=c.cast(list_of_cpus, c.c_void_p),
            num_cpus=len(cpus),
        )
        self._create("model_load", str(path).encode(), c.byref(options))
        info = abi.ModelInfo()
        abi.call("model_get_info", self._h, c.byref(info))
        self.image_size, self.mask_side = info.image_size, info.mask_side
        self.device = info.device_name.decode(errors="replace")
        self.precision = next(name for name, number in abi.PRECISIONS.items() if number == info.precision)


def build_sam2(ckpt_path, config_file=None, device="auto", hydra_overrides_extra=(), apply_postprocessing=True, **options):
    """The reference's function of this name; the configuration file may be left out."""
    return Model(
        ckpt_path, config_file, hydra_overrides_extra, device, apply_postprocessing=apply_postprocessing, **options
    )


def build_sam2_video_predictor(ckpt_path, config_file=None, **options):
    """The reference's function of this name."""
    from ._video import SAM2VideoPredictor

    return SAM2VideoPredictor(build_sam2(ckpt_path, config_file, **options))
