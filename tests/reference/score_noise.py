"""Measures how far the reference's object score moves when its features are disturbed by 5e-7 of the largest, which is
less than their rounding noise. This gives a fair tolerance for each golden.  score_noise.py CONFIG WEIGHTS GOLDENS
"""
import sys
import torch
from safetensors.torch import load_file
from common import build, image_predictor

m = build(*sys.argv[1:3])
image = load_file(f"{sys.argv[3]}/encoder.safetensors")["image_u8"].numpy()
predict_masks, seen = m.sam_mask_decoder.predict_masks, {}


def remember(*a, **k):
    out = predict_masks(*a, **k)
    seen["score"] = out[3].flatten().clone()
    return out


def score(golden, seed):
    g = torch.Generator().manual_seed(seed)
    disturbed = lambda t: t + 5e-7 * t.abs().max() * torch.randn(t.shape, generator=g) * (seed > 0)
    p = image_predictor(m)
    p.set_image(image)
    f = p._features
    p._features = {"image_embed": disturbed(f["image_embed"]), "high_res_feats": [disturbed(t) for t in f["high_res_feats"]]}
    names = {"in.points": "point_coords", "in.labels": "point_labels", "in.box": "box", "in.mask": "mask_input"}
    prompt = {to: golden[name].numpy() for name, to in names.items() if name in golden}
    if "mask_input" in prompt:
        prompt["mask_input"] = prompt["mask_input"].reshape(1, *prompt["mask_input"].shape[-2:])
    p.predict(multimask_output=True, **prompt)
    return seen["score"]


m.sam_mask_decoder.predict_masks = remember
for case in ("point1", "point3", "box", "refine_mask", "mask_only", "no_prompt"):
    golden = load_file(f"{sys.argv[3]}/image_{case}.safetensors")
    true = score(golden, 0)
    moved = [((score(golden, seed) - true).abs() / true.abs()).max().item() for seed in range(1, 9)]
    print(f"{case}: score {true.max():.3g}, moved by {min(moved):.1e} to {max(moved):.1e}")
