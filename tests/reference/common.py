"""Shared helpers: build Meta's SAM 2 model from a yaml path, on CPU, float32."""
import os, sys, types
import numpy as np
import torch

OFFICIAL = {  # short name -> yaml inside the sam2 package
    f"{v}_{s}": f"configs/{d}/{d}_hiera_{k}.yaml"
    for v, d in (("sam2", "sam2"), ("sam2.1", "sam2.1"))
    for s, k in (("t", "t"), ("s", "s"), ("b+", "b+"), ("l", "l"))
}


def yaml_path(name):
    """`name` is an official short name, a name in configs beside this file, or a path."""
    if os.path.exists(name):
        return name
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs", name + ".yaml")
    if os.path.exists(here):
        return here
    import sam2
    return os.path.join(sam2.__path__[0], OFFICIAL[name])


def install_ccl():
    """A stand-in for Meta's CUDA extension `sam2._C` (connected components), so the
    hole-filling code runs on the CPU.  8-connectivity; areas spread over each component."""
    import cv2

    def get_connected_componnets(x):  # the misspelt name is Meta's
        lab = np.zeros(tuple(x.shape), np.int32)
        cnt = np.zeros(tuple(x.shape), np.int32)
        for n in range(x.shape[0]):
            k, l, st, _ = cv2.connectedComponentsWithStats(x[n, 0].cpu().numpy(), connectivity=8)
            lab[n, 0] = l
            area = st[:, cv2.CC_STAT_AREA].copy()
            area[0] = 0
            cnt[n, 0] = area[l]
        return torch.from_numpy(lab).to(x.device), torch.from_numpy(cnt).to(x.device)

    m = types.ModuleType("sam2._C")
    m.get_connected_componnets = get_connected_componnets
    import sam2
    sys.modules["sam2._C"] = m
    sam2._C = m


def remove_ccl():
    import sam2
    sys.modules.pop("sam2._C", None)
    if hasattr(sam2, "_C"):
        del sam2._C


def build(name, weights=None, video=True, postprocess=True, **extra):
    """video=True: SAM2VideoPredictor (also usable by SAM2ImagePredictor); the overrides are
    the ones build_sam2 / build_sam2_video_predictor apply with apply_postprocessing=True."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    cfg = OmegaConf.load(yaml_path(name))
    m = cfg.model
    OmegaConf.set_struct(cfg, False)
    if video:
        m._target_ = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    if postprocess:
        m.sam_mask_decoder_extra_args = {
            "dynamic_multimask_via_stability": True,
            "dynamic_multimask_stability_delta": 0.05,
            "dynamic_multimask_stability_thresh": 0.98,
        }
        if video:
            m.binarize_mask_from_pts_for_mem_enc = True
            m.fill_hole_area = 8
    for k, v in extra.items():
        m[k] = v
    OmegaConf.resolve(cfg)
    model = instantiate(m, _recursive_=True).eval()
    if weights is not None:
        model.load_state_dict(load_weights(weights), strict=True)
    return model


def load_weights(path):
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file
        return load_file(path)
    sd = torch.load(path, map_location="cpu", weights_only=True)
    return sd.get("model", sd)


def image_predictor(model, **kw):
    """SAM2ImagePredictor with its hard-coded feature sizes corrected for image_size != 1024."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor
    p = SAM2ImagePredictor(model, **kw)
    s = model.image_size
    p._bb_feat_sizes = [(s // 4,) * 2, (s // 8,) * 2, (s // 16,) * 2]
    return p
