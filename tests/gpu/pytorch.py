"""PyTorch's side of tests/gpu/run, one command per process. The last line of stdout has the results as JSON.

  pytorch.py versions | rate | picture | weights SIZE | measure SIZE | track SIZE | agree SIZE | agree_tracked SIZE

Files are in --folder: picture.png, frames, sam2.1_SIZE.safetensors, reference_SIZE.npz, reference_tracked_SIZE.npz.
--site is a folder of packages that are preferred to this Python's own. SIZE is t, s, b+ or l.
"""
import argparse, importlib, json, os, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NEEDED = ["torch", "torchvision", "numpy", "PIL", "safetensors", "yaml", "omegaconf", "hydra", "iopath", "tqdm", "sam2"]
CLICKS = 64
TRACKED = 8  # frames after the first whose masks are compared
FULL = 16  # frames until an object has the most memories and pointers


def clicks(n):
    """The clicks of `sam2 bench` on an image of 1280x720."""
    at = lambda i: ((i * 7919 + 4001) % 10007) / 10007
    return [[at(2 * i) * 1280, at(2 * i + 1) * 720] for i in range(n)]


def versions(a):
    """Returns what is installed. `lacking` has the modules that cannot be imported, with the reasons."""
    from importlib.metadata import PackageNotFoundError, version
    out = {"python": sys.version.split()[0], "lacking": {}}
    for name in NEEDED:
        try:
            module = importlib.import_module(name)
        except Exception as e:  # a broken installation may raise any exception
            out["lacking"][name] = f"{type(e).__name__}: {e}"
            continue
        try:
            out[name] = getattr(module, "__version__", None) or version(name)
        except PackageNotFoundError:
            out[name] = "packed"
    if "torch" in out:
        import torch
        out["cuda"], out["available"] = torch.version.cuda, torch.cuda.is_available()
        out["card"] = torch.cuda.get_device_name(0) if out["available"] else None
    return out


def rate(a):
    """TFLOP/s of a large bf16 product on random data, and TB/s read and written by a copy, the mean of ten after three."""
    import torch
    n = 8192 if a.device == "cuda" else 1024
    x, y = (torch.randn(n, n, device=a.device).bfloat16() for _ in range(2))
    sync = torch.cuda.synchronize if a.device == "cuda" else lambda: None
    from_, to = (torch.zeros(1 << (29 if a.device == "cuda" else 24), device=a.device) for _ in range(2))

    def seconds(work):
        for i in range(13):
            if i == 3:
                sync()
                start = time.perf_counter()
            work()
        sync()
        return (time.perf_counter() - start) / 10

    copied = 2 * from_.nbytes / seconds(lambda: to.copy_(from_))
    return {"tflop_per_s": 2 * n**3 / seconds(lambda: x @ y) / 1e12, "side": n, "copy_tb_per_s": copied / 1e12}


def picture(a):
    """A photograph enlarged to 1280x720, as PNG."""
    from PIL import Image
    photograph = Image.open(os.path.join(ROOT, "demo/pictures/coffee.png")).convert("RGB")
    photograph.resize((1280, 720), Image.Resampling.BICUBIC).save(os.path.join(a.folder, "picture.png"))
    return {}


def weights(a):
    """Random weights of the full size, with objects present at every click."""
    import make_weights
    name = f"sam2.1_{a.size}"
    sys.argv = ["make_weights.py", name, "--obj-bias", "6", "--name", name, "--out", a.folder]
    make_weights.main()
    return {"bytes": os.path.getsize(os.path.join(a.folder, name + ".safetensors"))}


def percentile(values, p):
    """The least value that p percent of the values do not exceed."""
    return sorted(values)[max(-(-len(values) * p // 100), 1) - 1]


def timed(a, f, warm, n):
    """Latencies in ms, by the wall clock between two synchronisations, and by the GPU between two events."""
    import torch
    cuda = a.device == "cuda"
    sync = torch.cuda.synchronize if cuda else lambda: None
    wall, gpu = [], []
    for i in range(warm + n):
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if cuda else []
        sync()
        start = time.perf_counter()
        if cuda:
            events[0].record()
        f()
        if cuda:
            events[1].record()
        sync()
        if i >= warm:
            wall.append((time.perf_counter() - start) * 1e3)
            gpu += [events[0].elapsed_time(events[1])] if cuda else []
    out = {"p50_ms": percentile(wall, 50), "p90_ms": percentile(wall, 90), "runs": n}
    return {**out, "events_p50_ms": percentile(gpu, 50), "events_p90_ms": percentile(gpu, 90)} if gpu else out


def measure(a):
    """Latencies of the reference in bf16 autocast. The encoder is compiled. --mode eager does not, and adds masks."""
    import numpy as np, torch
    from PIL import Image
    from common import build, image_predictor
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # so that f32 is f32
    eager = a.mode == "eager"
    model = build(f"sam2.1_{a.size}", os.path.join(a.folder, f"sam2.1_{a.size}.safetensors"), video=False).to(a.device)
    if not eager:
        model.image_encoder.forward = torch.compile(model.image_encoder.forward, mode=a.mode, fullgraph=True, dynamic=False)
    p = image_predictor(model)
    im = np.array(Image.open(os.path.join(a.folder, "picture.png")))

    def click(n):
        xy = np.float32(clicks(n))[:, None] if n > 1 else np.float32(clicks(1))
        return p.predict(xy, np.ones(xy.shape[:-1], np.int32), multimask_output=True)

    out, warm = {"mode": a.mode}, max(a.repeat // 5, 1)
    with torch.inference_mode():
        with torch.autocast(a.device, torch.bfloat16):
            start = time.perf_counter()
            p.set_image(im)
            half = click(1)[0] > 0
            out["first_call_s"] = time.perf_counter() - start
            if a.started:
                out["first_mask_ms"] = (time.time() - a.started) * 1e3
            out["encode"] = timed(a, lambda: p.set_image(im), warm, a.repeat)
            x = p._transforms(im)[None].to(a.device)
            out["forward_image"] = timed(a, lambda: model.forward_image(x), warm, a.repeat)
            out["1 click"] = timed(a, lambda: click(1), warm, a.repeat)
            if eager:
                out[f"{CLICKS} clicks"] = timed(a, lambda: click(CLICKS), 1, max(a.repeat // 5, 1))
        if a.device == "cuda":
            out["gpu_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
        if eager:
            p.set_image(im)
            masks = click(1)[0] > 0
            out["mask_areas"] = [int(m.sum()) for m in masks]
            out["mask_iou_of_bf16"] = [iou(m, r) for m, r in zip(half, masks)]
            np.savez(os.path.join(a.folder, f"reference_{a.size}.npz"), masks=masks)
    return out


def track(a):
    """Latency of a frame of the reference with tracked objects, memories full: the picture, shifted as `sam2 bench` does.

    In bf16 autocast, eagerly or with everything compiled (the reference's `vos_optimized`); as its own harness does, from
    frames that are decoded and on the device. Eagerly, also an object's masks in f32.
    """
    import numpy as np, torch
    from common import build
    from PIL import Image
    im = np.array(Image.open(os.path.join(a.folder, "picture.png")))
    folder, count, out = os.path.join(a.folder, "frames"), FULL + a.repeat, {"mode": a.mode}
    os.makedirs(folder, exist_ok=True)
    for i in range(count + 1):
        Image.fromarray(np.roll(im, (-2 * i, -4 * i), (0, 1))).save(f"{folder}/{i:05d}.jpg", quality=95)
    extra = {} if a.mode == "eager" else {"_target_": "sam2.sam2_video_predictor.SAM2VideoPredictorVOS", "compile_image_encoder": True}
    weights = os.path.join(a.folder, f"sam2.1_{a.size}.safetensors")
    if a.mode == "eager":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # so that f32 is f32
        # Without postprocessing: the reference fills holes by an extension that is not built here.
        plain = build(f"sam2.1_{a.size}", weights, postprocess=False).to(a.device)
        with torch.inference_mode():
            state = plain.init_state(folder)
            plain.add_new_points_or_box(state, frame_idx=0, obj_id=1, points=np.float32(clicks(1)), labels=np.int32([1]))
            frames = plain.propagate_in_video(state, max_frame_num_to_track=TRACKED)
            masks = np.stack([logits[0, 0].float().cpu().numpy() > 0 for _, _, logits in frames])
        np.savez(os.path.join(a.folder, f"reference_tracked_{a.size}.npz"), masks=masks)
        del plain, state, frames
    m = build(f"sam2.1_{a.size}", weights, **extra).to(a.device)
    for n in map(int, a.objects.split(",")):
        with torch.inference_mode(), torch.autocast(a.device, torch.bfloat16):
            state = m.init_state(folder)
            for i, xy in enumerate(clicks(n)):
                m.add_new_points_or_box(state, frame_idx=0, obj_id=i, points=np.float32([xy]), labels=np.int32([1]))
            frames = m.propagate_in_video(state)
            for _ in range(FULL + 1):
                next(frames)
            out[f"track {n}"] = timed(a, lambda: next(frames), 0, a.repeat)
    return out


def iou(x, y):
    either = (x | y).sum()
    return float((x & y).sum() / either) if either else 1.0


def agree(a):
    """IoU of the masks in ours_PRECISION_SIZE.safetensors with the reference's in float32."""
    import numpy as np
    from safetensors.numpy import load_file
    ref, out = np.load(os.path.join(a.folder, f"reference_{a.size}.npz"))["masks"], {}
    for precision in ("f32", "bf16", "f16"):
        file = os.path.join(a.folder, f"ours_{precision}_{a.size}.safetensors")
        if os.path.exists(file):
            masks = load_file(file)["masks"] > 0
            assert masks.shape == ref.shape, f"{masks.shape} against {ref.shape}"
            out[precision] = [iou(m, r) for m, r in zip(masks, ref)]
    return out


def agree_tracked(a):
    """IoU, a frame after another, of the masks in tracked_PRECISION_SIZE.safetensors with the reference's in f32."""
    import numpy as np
    from safetensors.numpy import load_file
    ref, out = np.load(os.path.join(a.folder, f"reference_tracked_{a.size}.npz"))["masks"], {}
    for precision in ("f32", "bf16", "f16"):
        file = os.path.join(a.folder, f"tracked_{precision}_{a.size}.safetensors")
        if os.path.exists(file):
            ours = load_file(file)
            masks = [ours[f"{i:05d}/obj_1/logits"] > 0 for i in range(len(ref))]
            out[precision] = [iou(m, r) for m, r in zip(masks, ref)]
    return {**out, "areas": [int(m.sum()) for m in ref]}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["versions", "rate", "picture", "weights", "measure", "track", "agree", "agree_tracked"])
    ap.add_argument("size", nargs="?", default="t")
    ap.add_argument("--folder", default=".")
    ap.add_argument("--site")
    ap.add_argument("--device", default="cuda")
    ap.add_argument("--mode", default="eager", help="eager, or a mode of torch.compile")
    ap.add_argument("--repeat", type=int, default=50)
    ap.add_argument("--objects", default="1", help="numbers of tracked objects")
    ap.add_argument("--started", type=float, help="when this process was started, in seconds since the epoch")
    a = ap.parse_args()
    sys.path.insert(0, os.path.join(ROOT, "tests", "reference"))
    if a.site:
        sys.path.insert(0, a.site)  # first, since hydra needs one particular release of antlr4
    print(json.dumps(globals()[a.what](a)))


if __name__ == "__main__":
    main()
