"""Files of the published models on this machine. Nothing is downloaded."""

from __future__ import annotations

import os
from errno import ENOENT
from pathlib import Path
from typing import Optional

_SIZES = {"tiny": "t", "small": "s", "base-plus": "b+", "large": "l"}
# The configuration and the checkpoint by the name of the model.
_MODELS = {
    f"facebook/{version}-hiera-{size}": (
        f"configs/{version}/{version}_hiera_{letter}.yaml",
        f"{version}_hiera_{size.replace('-', '_')}.pt",
    )
    for version in ("sam2", "sam2.1")
    for size, letter in _SIZES.items()
}
# A checkpoint of Transformers, whose configuration is beside it.
_TRANSFORMERS = "model.safetensors"


def find(model_id: str) -> tuple[Optional[str], str]:
    """Finds a model by a path, or by its name in the cache of Hugging Face.

    Returns:
        The name of the configuration, or None if the file says what it is; and the path of the checkpoint.

    Raises:
        FileNotFoundError: There is no such model on this machine.
    """
    if os.path.exists(model_id):
        return None, model_id
    if model_id not in _MODELS:
        raise FileNotFoundError(ENOENT, f"neither a path nor one of the models {', '.join(_MODELS)}", model_id)
    config, file = _MODELS[model_id]
    cache = _cache()
    snapshots = _snapshots(cache / f"models--{model_id.replace('/', '--')}")
    for snapshot in snapshots:
        if (snapshot / file).exists():
            return config, str(snapshot / file)
    for snapshot in snapshots:
        if (snapshot / _TRANSFORMERS).exists():
            return None, str(snapshot / _TRANSFORMERS)
    instead = f"download it with `hf download {model_id} {file}`, or give the path of the file instead of the name"
    raise FileNotFoundError(ENOENT, f"{file} is not in the cache of Hugging Face, {cache}: {instead}", model_id)


def _cache() -> Path:
    """The folder of the cache, which variables of the environment name as for huggingface_hub."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "hub"


def _snapshots(model: Path) -> list[Path]:
    """The folders of the downloaded revisions, the main one first and then the latest."""
    snapshots = sorted(model.glob("snapshots/*"), key=os.path.getmtime, reverse=True)
    main = model / "refs/main"
    revision = main.read_text().strip() if main.exists() else ""
    return sorted(snapshots, key=lambda snapshot: snapshot.name != revision)
