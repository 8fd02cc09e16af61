"""Measures the same images and clicks with PyTorch and with `sam2 bench`, on the same cores, in turn.

  python3 benches/against_pytorch.py [--size sam2.1_t] [--threads 2] [--rounds 5] [--track 1] [--json FILE.json]
  python3 benches/against_pytorch.py --auto [--precision f32,bf16]

The first run installs PyTorch and the reference (PyPI `sam2` 1.1.0) into target/pytorch and makes random weights there.
The engine does not need them to be built, run or tested. Every round runs PyTorch, then the engine, each in a process
of its own. The table has the medians over rounds, and the least and the largest ratio of a round. The masks of both are
compared, since a speed without agreement means nothing. With --track N, the latency of a frame with N tracked objects
that have the most memories is measured too.

With --auto, automatic masks are measured instead, on Linux. The demo model and the model of --size are compared with
the reference's SAM2AutomaticMaskGenerator. Each engine is a Python process that stays and takes turns, bound to as many
CPUs as there are threads. This engine runs through the Python package. Times are from an image in memory to records
with COCO's run lengths, encoding included, without the first run of a process. Memory is the peak of a process by the
end of its first run. An IoU is the mean, over the masks of the other engine, of the best IoU with a mask of this one.
"""
import argparse, json, os, resource, statistics, subprocess, sys, time
import auto
from shared import CLICKS, HOME, bind, clicks, enter, iou, picture, program, weights, write_json

TRACKED = (7, 3)  # frames that are not measured, and frames that are


def track(a, im):
    """Returns the ms of a frame of the reference with `a.track` objects: the image, shifted as in `sam2 bench`."""
    import numpy as np, torch
    from common import build
    from PIL import Image
    folder = os.path.join(HOME, "frames")
    os.makedirs(folder, exist_ok=True)
    for i in range(sum(TRACKED) + 1):
        Image.fromarray(np.roll(im, (-2 * i, -4 * i), (0, 1))).save(f"{folder}/{i:05d}.jpg", quality=95)
    m, times = build(a.size, a.weights), []
    with torch.inference_mode():
        state = m.init_state(folder)
        for i, xy in enumerate(clicks(a.track)):
            m.add_new_points_or_box(state, frame_idx=0, obj_id=i, points=np.float32([xy]), labels=np.int32([1]))
        start = time.perf_counter()
        for frame, _, _ in m.propagate_in_video(state):
            now = time.perf_counter()
            times += [(now - start) * 1e3] if frame > TRACKED[0] else []
            start = now
    return statistics.median(times)


def pytorch(a):
    """Runs one process of the reference. Returns latencies in ms, peak memory, and the masks of one click."""
    import numpy as np, torch
    from common import build, image_predictor
    from PIL import Image
    torch.set_num_threads(a.threads)
    p = image_predictor(build(a.size, a.weights, video=False))
    im = np.array(Image.open(picture()))

    def timed(f, warm, n):
        for _ in range(warm):
            r = f()
        b = []
        for _ in range(n):
            t = time.perf_counter()
            r = f()
            b.append((time.perf_counter() - t) * 1e3)
        return statistics.median(b), r

    def click(n):
        xy = np.float32(clicks(n))[:, None] if n > 1 else np.float32(clicks(1))
        return p.predict(xy, np.ones(xy.shape[:-1], np.int32), multimask_output=True)

    out = {"encode": timed(lambda: p.set_image(im), 1, 2)[0]}
    out["1 click"], (masks, iou, _) = timed(lambda: click(1), 2, 5)
    out[f"{CLICKS} clicks"] = timed(lambda: click(CLICKS), 0, 1)[0]
    np.savez(a.masks, masks=masks > 0, iou=iou)
    out["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if a.track:
        out[f"track {a.track}"] = track(a, im)
    print(json.dumps(out))


def engine(a):
    cmd = [a.binary, "bench", picture(), "--model", a.weights, "--device", "cpu", "--precision", "f32", "--threads", str(a.threads), "--warmup", "1", "--repeat", "3", "--clicks", f"1,{CLICKS}", "--json"]
    if a.track:
        cmd += ["--track", str(a.track), "--track-warmup", str(TRACKED[0])]
    r = json.loads(subprocess.run(cmd, check=True, capture_output=True, text=True).stdout)
    out = {s["stage"]: s["p50_ms"] for s in r["stages"]}
    out["memory"] = r["peak_memory_bytes"] / 2**20
    out["share"] = {s["stage"]: s["share_of_peak"] for s in r["stages"]}
    out["device"], out["peak"] = r["device"], r["peak_gflop_per_s"]
    return out


def agreement(a):
    """Returns the IoU of the two engines' masks of one click."""
    import numpy as np
    from safetensors.numpy import load_file
    x, y = clicks(1)[0]
    raw = os.path.join(HOME, "ours.safetensors")
    subprocess.run([a.binary, "segment", picture(), "--model", a.weights, "--device", "cpu", "--precision", "f32", "--point", f"{x},{y}", "--raw", raw], check=True, capture_output=True)
    return iou(load_file(raw)["masks"] > 0, np.load(a.masks)["masks"])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--size", default="sam2.1_t", help="sam2.1_t, _s, _b+, _l or sam2_...")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--track", type=int, default=0, help="tracked objects; 0: none")
    ap.add_argument("--auto", action="store_true", help="automatic masks instead of clicks")
    ap.add_argument("--precision", default="f32", help="of ours, with --auto, such as f32,bf16")
    ap.add_argument("--json", metavar="FILE")
    ap.add_argument("--step", help=argparse.SUPPRESS)
    a = ap.parse_args()
    a.precision = a.precision.split(",")
    if not set(a.precision) <= {"f32", "bf16"} or not a.auto and a.precision != ["f32"]:
        ap.error("--precision is f32 and bf16, and goes with --auto")
    if a.auto and a.track:
        ap.error("--track does not go with --auto")
    if a.rounds < 1:
        ap.error("--rounds is at least 1")
    if a.auto:
        enter("pycocotools")
        bind(a.threads)
        a.weights = weights(a.size)
        return auto.run(a)
    if a.step != "pytorch":
        enter()
        a.binary = program()
    a.weights = weights(a.size)
    a.masks = os.path.join(HOME, "reference.npz")
    (pytorch if a.step == "pytorch" else rounds)(a)


def rounds(a):
    picture()
    me = [sys.executable, os.path.abspath(__file__), "--size", a.size, "--threads", str(a.threads), "--track", str(a.track), "--step", "pytorch"]
    ref, ours = [], []
    for i in range(a.rounds):
        print(f"round {i + 1} of {a.rounds}", file=sys.stderr)
        run = subprocess.run(me, check=True, stdout=subprocess.PIPE, text=True)
        ref.append(json.loads(run.stdout.splitlines()[-1]))
        ours.append(engine(a))
    ious = agreement(a)
    import torch
    rows = []
    for k in ("encode", "1 click", f"{CLICKS} clicks", *([f"track {a.track}"] if a.track else []), "memory"):
        m = lambda xs: statistics.median(x[k] for x in xs)
        ratios = [r[k] / o[k] for r, o in zip(ref, ours)]
        rows.append({"what": k, "pytorch": m(ref), "ours": m(ours), "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios),
                     "share_of_peak": None if k == "memory" else statistics.median(o["share"][k] for o in ours)})
    report = {"device": ours[0]["device"], "threads": a.threads, "model": a.size, "picture": "1280x720", "pytorch": torch.__version__,
              "peak_gflop_per_s": statistics.median(o["peak"] for o in ours), "rounds": a.rounds, "mask_iou": ious, "rows": rows}
    print(f"{report['device']}, {a.threads} threads, {a.size}, float32, PyTorch {torch.__version__}, {a.rounds} rounds")
    print(f"{'':12}{'PyTorch':>10}{'sam2':>10}{'ratio':>8}{'(least-most)':>16}{'of peak':>9}")
    for r in rows:
        unit = "MiB" if r["what"] == "memory" else "ms"
        share = "" if r["share_of_peak"] is None else f"{100 * r['share_of_peak']:.0f}%"
        print(f"{r['what']:12}{r['pytorch']:>10.1f}{r['ours']:>10.1f}{r['ratio']:>7.2f}x{'(%.2f-%.2f)' % (r['least'], r['most']):>16}{share:>9}  {unit}")
    print("IoU of the masks of one click:", ", ".join(f"{v:.5f}" for v in ious))
    if min(ious) < 0.999:
        sys.exit("the masks do not agree: the figures above mean nothing")
    if a.json:
        write_json(a.json, report)


if __name__ == "__main__":
    main()
