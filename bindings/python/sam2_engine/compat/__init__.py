"""Runs programs that were written for the reference, with one line before their imports:

    import sam2_engine.compat

    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

The import registers this package as `sam2`. Its functions and classes have the arguments and results of the reference. What is
a tensor of PyTorch there is one here if the program has imported torch. Otherwise it is a NumPy array that also has the
methods of a tensor that such programs call.
"""

import importlib
import sys

_MODULES = (
    *("build_sam", "sam2_image_predictor", "sam2_video_predictor", "automatic_mask_generator"),
    *("utils", "utils.amg"),
)


def _register() -> None:
    ours = sys.modules[__name__]
    other = sys.modules.get("sam2", ours)
    if other is not ours:
        place = getattr(other, "__file__", None) or "an unknown place"
        raise ImportError(f"the module sam2 is already imported from {place}: import sam2_engine.compat before it")
    modules = {f"sam2.{name}": importlib.import_module(f"{__name__}.{name}") for name in _MODULES}
    sys.modules.update({"sam2": ours, **modules})


_register()
