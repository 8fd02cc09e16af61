"""How far the reference's own tracking moves when its logits are disturbed by 1e-5, and its features by 5e-7 of the largest,
which is less than its own rounding noise: what a rewrite may.

  python3 drift.py CONFIG WEIGHTS CLIP [FRAMES] [point|mask|correction]

Memories hang by the sign of logits (prompted frames) and by a sigmoid 20 times as steep (others), so that disturbances grow.
Prints, per frame, the least IoU, the largest RMS relative to the largest logit, and the largest change of the area and of the
object score, of five disturbed runs.
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
    else:
        m.add_new_points_or_box(s, frame_idx=0, obj_id=1, points=torch.tensor([[w / 2, h / 2]]), labels=torch.tensor([1]))
    for f, _, masks in m.propagate_in_video(s, max_frame_num_to_track=frames):
        o = s["output_dict_per_obj"][0]
        score = (o["cond_frame_outputs"].get(f) or o["non_cond_frame_outputs"][f])["object_score_logits"].item()
        yield f, masks[0, 0], score
    if kind == "correction":  # as make_golden.py's: of frame 4, after it was tracked
        points = torch.tensor([[w * 0.3, h * 0.6], [w * 0.7, h * 0.2]])
        _, _, masks = m.add_new_points_or_box(s, frame_idx=4, obj_id=1, points=points, labels=torch.tensor([1, 0]))
        yield 4, masks[0, 0], s["temp_output_dict_per_obj"][0]["non_cond_frame_outputs"][4]["object_score_logits"].item()


def main():
    m = build(*sys.argv[1:3])
    frames = int(sys.argv[4]) if len(sys.argv) > 4 else 10
    kind = sys.argv[5] if len(sys.argv) > 5 else "point"
    with torch.no_grad():
        true = list(run(m, sys.argv[3], frames, kind, 0))
        runs = [list(run(m, sys.argv[3], frames, kind, seed)) for seed in range(1, 6)]
    for i, (f, want, score) in enumerate(true):
        others = [r[i] for r in runs]
        iou = min(((a > 0) & (want > 0)).sum().item() / max(((a > 0) | (want > 0)).sum().item(), 1) if (want > 0).any() else 1.0 for _, a, _ in others)
        rms = max(((a - want).pow(2).mean().sqrt() / want.abs().max()).item() for _, a, _ in others)
        area = max(abs((a > 0).sum() - (want > 0).sum()).item() for _, a, _ in others)
        print(f"frame {f}: IoU {iou:.5f}, RMS {rms:.1e}, area {area} of {(want > 0).sum().item()}, score {max(abs(s - score) for _, _, s in others):.1e}")


main()
