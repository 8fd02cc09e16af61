"""Automatic masks of the reference and of this engine: the tasks and the processes of `against_pytorch.py --auto`.

  auto.py NAME THREADS TASK

A process loads the engine and the model of TASK, which is JSON, and answers lines. For the first line the task is done
once, and the answer has the masks and the peak memory of the process. For later lines the task is timed, from an image
in memory to records with COCO's run lengths, and the answer is the seconds.
"""
import json, os, statistics, sys, time
import shared

DEMO = os.path.join(shared.ROOT, "demo")


def tasks(a):
    """What is done, of one picture and model each, how often besides the first time, and with which settings.

    Hardly a mask of random weights passes the default thresholds, so memory there is what looking for masks takes.
    """
    demo = {"config": shared.ROOT + "/configs/sam2.1/sam2.1_hiera_demo.yaml", "weights": DEMO + "/sam2.1_hiera_demo.safetensors"}
    full = {"config": a.size, "weights": a.weights, "picture": shared.picture()}
    all_kept = {"points_per_side": 8, "pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 1}
    return [
        {"name": "demo model, 32x32 points, IoU above 0.6, stability 0.8, a picture of 480x360", "rounds": a.rounds, **demo,
         "picture": DEMO + "/samples/images/image3.png",
         "settings": {"points_per_side": 32, "pred_iou_thresh": 0.6, "stability_score_thresh": 0.8}},
        {"name": f"{a.size}, 8x8 points, nothing filtered, a picture of 1280x720", "rounds": a.rounds, **full, "settings": all_kept},
        {"name": f"{a.size}, 32x32 points, default settings, a picture of 1280x720: memory", "rounds": 0, **full, "settings": {}},
    ]


def generator(name, threads, task):
    """The engine called NAME, with the task's model."""
    engine, precision = name.split()
    settings = {**task["settings"], "output_mode": "coco_rle"}
    if engine == "sam2":
        import sam2_engine
        model = sam2_engine.build_sam2(None, task["weights"], device="cpu", precision=precision, threads=threads)
        return sam2_engine.SAM2AutomaticMaskGenerator(model, **settings)
    import torch
    from common import build, image_predictor
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
    torch.set_num_threads(threads)
    model = build(task["config"], task["weights"], video=False)
    made = SAM2AutomaticMaskGenerator(model, **settings)
    made.predictor = image_predictor(model)
    return made


def main():
    import numpy as np
    from PIL import Image
    name, threads, task = sys.argv[1:]
    task = json.loads(task)
    image = np.array(Image.open(task["picture"]).convert("RGB"))
    found_by = generator(name, int(threads), task)
    for i, _ in enumerate(sys.stdin):
        start = time.perf_counter()
        records = found_by.generate(image)
        seconds = time.perf_counter() - start
        answer = seconds if i else {"memory_mib": shared.peak_memory("self"), "masks": [r["segmentation"] for r in records]}
        print(json.dumps(answer), flush=True)


def of_best(masks, wanted):
    """The mean, over the masks wanted, of the IoU of the mask that fits each best; none where there are no masks at all."""
    from pycocotools.mask import iou
    if masks and wanted:
        return float(iou(masks, wanted, [False] * len(wanted)).max(axis=0).mean())
    return 0.0 if masks or wanted else None


def measure(a, task):
    """A row for each engine, the reference's first: everyone does the task once, then all of them in turn, `rounds` times."""
    start = lambda name: shared.Child(name, [sys.executable, os.path.abspath(__file__), name, str(a.threads), json.dumps(task)])
    children = [start(name) for name in ("PyTorch f32", *(f"sam2 {p}" for p in a.precision))]
    first = [child.ask("first") for child in children]
    seconds = [[] for _ in children]
    for i in range(task["rounds"]):
        print(f"round {i + 1} of {task['rounds']}", file=sys.stderr)
        for child, taken in zip(children, seconds):
            taken.append(child.ask("again"))
    for child in children:
        child.end()
    masks = {child.name: found["masks"] for child, found in zip(children, first)}
    return [{"engine": child.name, "seconds": taken, "ratios": [r / s for r, s in zip(seconds[0], taken)],
             "memory_mib": found["memory_mib"], "masks": len(found["masks"]),
             "iou_with": {other: of_best(found["masks"], masks[other]) for other in ("PyTorch f32", "sam2 f32") if other in masks}}
            for child, taken, found in zip(children, seconds, first)]


def show(task, rows):
    others = list(rows[0]["iou_with"])
    print(f"\n{task['name']}")
    print(f"{'':14}{'seconds':>9}{'times as fast':>15}{'(least-most)':>16}{'MiB':>7}{'masks':>7}", *(f"{'IoU, ' + o:>18}" for o in others), sep="")
    for r in rows:
        timed = [""] * 3
        if r["seconds"]:
            timed = [f"{statistics.median(r['seconds']):.2f}", f"{statistics.median(r['ratios']):.2f}x", f"({min(r['ratios']):.2f}-{max(r['ratios']):.2f})"]
        ious = ["-" if r["iou_with"][o] is None else f"{r['iou_with'][o]:.4f}" for o in others]
        print(f"{r['engine']:14}{timed[0]:>9}{timed[1]:>15}{timed[2]:>16}{r['memory_mib']:>7.0f}{r['masks']:>7}", *(f"{v:>18}" for v in ious), sep="")


def run(a):
    import torch
    os.environ["SAM2_LIBRARY"] = shared.library()
    device, report = shared.cpu_name(), []
    print(f"{device}, {a.threads} threads, PyTorch {torch.__version__}, {a.rounds} rounds")
    for task in tasks(a):
        print(task["name"], file=sys.stderr)
        rows = measure(a, task)
        show(task, rows)
        report.append({"what": task["name"], "settings": task["settings"], "rows": rows})
    if a.json:
        shared.write_json(a.json, {"device": device, "threads": a.threads, "model": a.size, "pytorch": torch.__version__, "tasks": report})
    both = [row["iou_with"]["PyTorch f32"] for task in report for row in task["rows"] if row["engine"] == "sam2 f32"]
    if min((v for v in both if v is not None), default=1.0) < 0.999:
        sys.exit("the masks do not agree: the figures above mean nothing")


if __name__ == "__main__":
    main()
