"""Measures how far the reference's own tracking moves when its logits are disturbed by 1e-5, and its features by 5e-7
of the largest. This is less than its own rounding noise, so another implementation may differ as much.

  python3 drift.py CONFIG WEIGHTS CLIP [FRAMES] [point|mask|correction|two_objects]

Memories depend on the sign of logits (prompted frames) and on a sigmoid 20 times as steep (others), so disturbances
grow. Prints for every frame, over 60 disturbed runs, the least IoU, the largest RMS relative to the largest logit,
and the largest change of the area and of the object score.
"""
import sys
import torch
from common import build


def run(m, clip, frames, kind, seed):
    g = torch.Generator().manual_seed(seed)
    heads = type(m)._forward_sam_heads

    def disturbed(*a, **k):
        out = list(heads(m, *a, **k))
        for i in (0, 1, 3, 4):  # low- and high-resolution masks, all and chosen
            out[i] = out[i] + 1e-5 * torch.randn(out[i].shape, generator=g) * (seed > 0)
        return tuple(out)

    forward = type(m).forward_image

    def features(x):
        out = forward(m, x)
        levels = [f + 5e-7 * f.abs().max() * torch.randn(f.shape, generator=g) * (seed > 0) for f in out["backbone_fpn"]]
        return {**out, "backbone_fpn": levels, "vision_features": levels[-1]}

    m._forward_sam_heads, m.forward_image = disturbed, features
    s = m.init_state(clip)
    h, w = s["video_height"], s["video_width"]
    if kind == "mask":  # as make_golden.py's
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        m.add_new_mask(s, frame_idx=0, obj_id=1, mask=(y - h * 0.5) ** 2 + (x - w * 0.4) ** 2 < (min(h, w) * 0.3) ** 2)
    elif kind == "two_objects":  # as in make_golden.py; the object of the box is measured
        box = torch.tensor([0.1 * w, 0.1 * h, 0.6 * w, 0.7 * h])
        m.add_new_points_or_box(s, frame_idx=0, obj_id=7, points=torch.tensor([[w * 0.4, h / 2]]), labels=torch.tensor([1]))
        m.add_new_points_or_box(s, frame_idx=2, obj_id=3, box=box)
    else:
        m.add_new_points_or_box(s, frame_idx=0, obj_id=1, points=torch.tensor([[w / 2, h / 2]]), labels=torch.tensor([1]))
    for f, _, masks in m.propagate_in_video(s, max_frame_num_to_track=frames):
        o = s["output_dict_per_obj"][len(masks) - 1]
        score = (o["cond_frame_outputs"].get(f) or o["non_cond_frame_outputs"][f])["object_score_logits"].item()
        yield f, masks[-1, 0], score
    if kind == "correction":  # as in make_golden.py: of frame 4, after it was tracked
        points = torch.tensor([[w * 0.3, h * 0.6], [w * 0.7, h * 0.2]])
        _, _, masks = m.add_new_points_or_box(s, frame_idx=4, obj_id=1, points=points, labels=torch.tensor([1, 0]))
        yield 4, masks[0, 0], s["temp_output_dict_per_obj"][0]["non_cond_frame_outputs"][4]["object_score_logits"].item()


def main():
    m = build(*sys.argv[1:3])
    # As in make_golden.py.
    m.memory_attention.register_forward_pre_hook(lambda mod, a, k: (a, {**k, "memory": k["memory"].float()}), with_kwargs=True)
    frames = int(sys.argv[4]) if len(sys.argv) > 4 else 10
    kind = sys.argv[5] if len(sys.argv) > 5 else "point"
    with torch.no_grad():
        true = list(run(m, sys.argv[3], frames, kind, 0))
        runs = [list(run(m, sys.argv[3], frames, kind, seed)) for seed in range(1, 61)]
    for i, (f, want, score) in enumerate(true):
        others = [r[i] for r in runs]
        iou = min(((a > 0) & (want > 0)).sum().item() / max(((a > 0) | (want > 0)).sum().item(), 1) if (want > 0).any() else 1.0 for _, a, _ in others)
        rms = max(((a - want).pow(2).mean().sqrt() / want.abs().max()).item() for _, a, _ in others)
        area = max(abs((a > 0).sum() - (want > 0).sum()).item() for _, a, _ in others)
        print(f"frame {f}: IoU {iou:.5f}, RMS {rms:.1e}, area {area} of {(want > 0).sum().item()}, score {max(abs(s - score) for _, _, s in others):.1e}")


main()
