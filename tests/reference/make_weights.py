"""Seeded random weights for SAM 2 that keep every activation alive, in Meta's names.

  make_weights.py CONFIG [--seed 0] [--out DIR] [--pt] [--obj-bias X]
CONFIG: sam2_t sam2_s sam2_b+ sam2_l sam2.1_t sam2.1_s sam2.1_b+ sam2.1_l, a name in
configs beside this file, or a yaml path; `all` makes the eight official ones.

Each tensor is drawn from a generator seeded by (seed, tensor name), so the values do not
depend on the order or presence of other tensors.  What differs from PyTorch's own init:
 * linear/conv weights: normal with std gain/sqrt(fan_in) (so signals keep their size)
 * biases: N(0, 0.1); norm weights U(0.5, 1.5), norm biases N(0, 0.1)
 * layer scale gamma: U(0.1, 1); position embeddings N(0, 0.2); tokens N(0, 0.5)
 * attention of the mask decoder between image and tokens: k_proj = q_proj (+ small noise), so
   that a prompt acts mostly near its place and masks differ from prompt to prompt
 * hypernetwork output gain, iou bias and object-score bias are set so that masks have both
   signs, IoUs spread over (0,1) and object scores are mostly (not always) positive
"""
import argparse, hashlib, math, os
import torch
from common import OFFICIAL, build


def gen(seed, name):
    h = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(h[:7], "little"))


def normal(shape, std, g):
    return torch.randn(shape, generator=g, dtype=torch.float32) * std


def is_norm(name):
    p = name.split(".")
    return ("norm" in p[-2]) or ("output_upscaling.1." in name) or \
        ("mask_downscaling.1." in name) or ("mask_downscaling.4." in name) or \
        ("mask_downsampler.encoder." in name and int(p[-2]) % 3 == 1)


def draw(name, t, seed):
    g = gen(seed, name)
    s, leaf = t.shape, name.split(".")[-1]
    if name.endswith("positional_encoding_gaussian_matrix"):
        return normal(s, 1.0, g)
    if leaf == "gamma":
        return 0.1 + 0.9 * torch.rand(s, generator=g)
    if leaf in ("pos_embed", "pos_embed_window"):
        return normal(s, 0.2, g)
    if leaf in ("no_mem_embed", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial", "maskmem_tpos_enc"):
        return normal(s, 0.5, g)
    if t.ndim <= 1:
        if is_norm(name):
            return 0.5 + torch.rand(s, generator=g) if leaf == "weight" else normal(s, 0.1, g)
        if name.endswith("pred_obj_score_head.layers.2.bias"):
            return normal(s, 0.1, g) + 0.5
        if name == "mask_downsample.bias":
            return normal(s, 0.1, g)
        return normal(s, 0.1, g)
    if t.ndim == 2 and ("_token" in name or "tokens" in name or "embed" in name) and "patch" not in name \
            and "layers" not in name:            # nn.Embedding
        return normal(s, 0.5, g)
    if ("output_upscaling" in name) and t.ndim == 4:   # ConvTranspose2d: weight is [in, out, kh, kw]
        return normal(s, 1.0 / math.sqrt(s[0]), g)
    fan_in = t[0].numel()
    gain = 1.0
    if any(k in name for k in (".q_proj.", ".k_proj.")):
        gain = 3.2 if ("token_to_image" in name or "image_to_token" in name) else 1.6
    if any(k in name for k in ("linear1", "mlp.layers.0", "pwconv1", "hypernetworks_mlps", "iou_prediction_head",
                               "pred_obj_score_head", "obj_ptr_proj")):
        gain = 1.4
    if "mask_downsample.weight" in name:
        gain = 4.0
    if "output_hypernetworks_mlps" in name and name.endswith("layers.2.weight"):
        gain = 6.0 if ".mlps.0." in name or "mlps.0.layers" in name else 2.0   # mask 0 steeper: sometimes "stable"
    if "pred_obj_score_head.layers.2.weight" in name:
        gain = 4.0
    if "iou_prediction_head.layers.2.weight" in name:
        gain = 2.5
    return normal(s, gain / math.sqrt(fan_in), g)


def random_state_dict(model, seed, obj_bias=0.0):
    sd = {k: draw(k, v, seed) for k, v in model.state_dict().items()}
    for k in list(sd):                       # image <-> token attention: tie k to q
        if k.endswith("k_proj.weight") and ("token_to_image" in k or "image_to_token" in k):
            q = sd[k.replace("k_proj", "q_proj")]
            sd[k] = q + normal(q.shape, 0.4 / math.sqrt(q.shape[1]), gen(seed, k + "/n"))
    k = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"
    sd[k] = sd[k] + obj_bias
    return {k: v.contiguous() for k, v in sd.items()}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("config")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", default="weights")
    ap.add_argument("--name")
    ap.add_argument("--pt", action="store_true", help="also write {'model': state_dict} as Meta's .pt files hold it")
    ap.add_argument("--obj-bias", type=float, default=0.0)
    ap.add_argument("--bf16", action="store_true", help="round to, and store as, bfloat16")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    from safetensors.torch import save_file
    for c in (OFFICIAL if a.config == "all" else [a.config]):
        model = build(c, video=False)
        sd = random_state_dict(model, a.seed, a.obj_bias)
        if a.bf16:
            sd = {k: v.bfloat16() for k, v in sd.items()}
        model.load_state_dict(sd, strict=True)
        base = os.path.join(a.out, a.name or f"{os.path.splitext(os.path.basename(c))[0] if c not in OFFICIAL else c}_seed{a.seed}")
        save_file(sd, base + ".safetensors", metadata={"config": c, "seed": str(a.seed)})
        if a.pt:
            torch.save({"model": sd}, base + ".pt")
        print(base, len(sd), "tensors", sum(v.numel() for v in sd.values()), "values")


if __name__ == "__main__":
    main()
