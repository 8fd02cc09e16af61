"""Measures the tiny model with `sam2 bench` and with other engines on the same cores of a CPU, in turn. For Linux.

  python3 benches/against_engines.py [--threads 1] [--rounds 5] [--precision f32,bf16] [--json FILE.json]
  python3 benches/against_engines.py --size sam2.1_l --encode-only

The other engines are the reference on PyTorch, and its parts exported to ONNX in ONNX Runtime and OpenVINO ("tuned":
with SNIPPETS_MODE=DISABLE, an internal key). The first run installs them into target/pytorch and makes random weights
and exports there. The engine does not need them to be built, run or tested.

Every engine is a process of its own, bound to as many CPUs as it has threads. It waits while others run, and a round
asks each once. The table has medians and, after ±, half of the distance between the least and the largest value. For
the other engines the network alone is timed. For this engine, the time includes the resizing of the image and, in a
tracked frame, the output of the masks. A frame has one object with the most memories. For the other engines its time is
the sum of the encoder, memory attention, a click and the memory encoder. "best of others" takes each part from the
fastest engine. The limit of a stage is its arithmetic at the rate of this engine's matrix kernel on operands in the
first-level cache. Memory is the peak of the process. The masks of one click are compared with those of PyTorch in
float32, since a speed without agreement means nothing.
"""
import argparse, os, statistics, subprocess, sys
import engines, parts, shared

ENCODE, CLICK, CLICKS, ATTENTION, ENCODER = parts.PARTS
TRACK = "track 1"
REFERENCE = "PyTorch f32"
COLUMNS = {ENCODE: "encode", CLICK: "1 click", CLICKS: CLICKS, ATTENTION: "mem. attention", ENCODER: "mem. encoder", TRACK: "a frame"}


class Engine(shared.Child):
    def __init__(self, name, command):
        super().__init__(name, command)
        self.ms, self.memory = {}, {}

    def time(self, what):
        for part, ms in self.ask(what).items():
            self.ms.setdefault(part, []).append(ms)

    def note_memory(self, what):
        """Returns its peak memory so far, in MiB."""
        self.memory[what] = shared.peak_memory(self.process.pid)

    def medians(self):
        found = {part: statistics.median(ms) for part, ms in self.ms.items()}
        return found if TRACK in found else with_frame(found)

    def spread(self, part):
        ms = self.ms[part]
        return (max(ms) - min(ms)) / 2 / statistics.median(ms)


class Ours(Engine):
    """`sam2 bench`, which has its own order of stages."""

    def __init__(self, a, precision):
        wanted = ["--clicks", "1"] if a.encode_only else ["--clicks", f"1,{shared.CLICKS}", "--track", "1", "--track-warmup", "15"]
        self.options = ["--model", a.weights, "--device", "cpu", "--threads", str(a.threads), "--precision", precision]
        self.binary = a.binary
        super().__init__(f"sam2 {precision}", [a.binary, "bench", shared.picture(), *self.options, *wanted, "--low-res",
                                               "--warmup", "1", "--repeat", str(a.rounds), "--profile", "--in-turn", "--json"])

    def masks(self, a):
        from safetensors.numpy import load_file
        (x, y), raw = shared.clicks(1)[0], os.path.join(a.exports, f"{a.size} {self.name}.safetensors")
        subprocess.run([self.binary, "segment", shared.picture(), *self.options, "--point", f"{x},{y}", "--raw", raw], check=True, capture_output=True)
        return load_file(raw)["low_res_masks"] > 0

    def limits(self):
        """Returns for each part the milliseconds of its arithmetic at the rate of the matrix kernel."""
        named = lambda stage: stage["stage"].removeprefix("- ")
        return {named(s): s["gflop"] / self.report["peak_gflop_per_s"] * 1e3 for s in self.report["stages"]}


class Other(Engine):
    def __init__(self, a, name):
        script = os.path.join(shared.ROOT, "benches", "engines.py")
        super().__init__(name, [sys.executable, script, name, a.exports, a.size, str(a.threads)])

    def masks(self, a):
        import numpy as np
        return np.load(engines.masks_of_click(a.exports, a.size, self.name))


def with_frame(ms):
    """Returns a tracked frame as the sum of its parts, if all parts are there."""
    needed = [ENCODE, ATTENTION, CLICK, ENCODER]
    return {**ms, TRACK: sum(ms[part] for part in needed)} if all(part in ms for part in needed) else ms


def measure(a):
    """Asks every engine for every part, `a.rounds` times in turn."""
    ours, others = [Ours(a, p) for p in a.precision], [Other(a, name) for name in a.engines]
    for part in [ENCODE, CLICK] if a.encode_only else [ENCODE, CLICK, CLICKS, TRACK, ATTENTION, ENCODER]:
        print(part, file=sys.stderr)
        # `sam2 bench` answers with all stages of a frame at once, for frames after those of TRACK.
        own = ours if part != ENCODER else []
        asked = own + (others if part != TRACK else [])
        for engine in asked if part != ATTENTION else others:
            engine.ask(part)  # warms up
        for _ in range(a.rounds):
            for engine in asked:
                engine.time(part)
        for engine in asked:
            engine.note_memory(part)
        for engine in own if part in (ENCODE, CLICK, CLICKS) else []:
            engine.ask("profile")
    for engine in ours:
        engine.report = engine.ask("report")
    for engine in ours + others:
        engine.end()
    return ours, others


def table(rows, width):
    """Prints rows of a name and cells. The first row has the headings."""
    for name, *cells in rows:
        print(f"{name:28}" + "".join(f"{cell:>{width}}" for cell in cells))


def show(ours, others, ious):
    ms = lambda x: f"{x:.1f}" if x < 100 else f"{x:.0f}"
    medians = {e.name: e.medians() for e in ours + others}
    columns = [part for part in COLUMNS if part in medians[ours[0].name]]
    best = with_frame({part: min(medians[e.name][part] for e in others) for part in columns if part != TRACK})

    def cells(e):
        spread = lambda part: f" ±{100 * e.spread(part):.0f}%" if part in e.ms else ""
        return [ms(medians[e.name][part]) + spread(part) for part in columns]

    rows = [["ms", *(COLUMNS[part] for part in columns)], *([e.name, *cells(e)] for e in ours + others)]
    rows.append(["best of others", *(ms(best[part]) for part in columns)])
    for e in ours:
        own, limits = medians[e.name], e.limits()
        rows.append([f"{e.name}: times as fast", *(f"{best[part] / own[part]:.2f}x" for part in columns)])
        rows.append([f"{e.name}: limit", *(ms(limits[part]) for part in columns)])
        rows.append([f"{e.name}: share of limit", *(f"{100 * limits[part] / own[part]:.0f}%" for part in columns)])
    table(rows, 16)
    print()
    kept = [part for part in (ENCODE, CLICKS, ATTENTION) if part in ours[0].memory]
    names = {ENCODE: "encoding", CLICKS: "and clicks", ATTENTION: "and tracking"}
    head = ["peak memory in MiB", *(names[part] for part in kept), "IoU of a click's masks"]
    table([head, *([e.name, *(f"{e.memory[part]:.0f}" for part in kept), " ".join(f"{v:.4f}" for v in ious[e.name])] for e in ours + others)], 24)
    return best


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--size", default="sam2.1_t", help="sam2.1_t, _s, _b+, _l or sam2_...")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--precision", default="f32,bf16", help="of ours, such as f32,bf16")
    ap.add_argument("--engines", default=",".join(engines.ENGINES), help=f"others, {REFERENCE} always among them; default all: %(default)s")
    ap.add_argument("--encode-only", action="store_true", help="the encoder, and a click to compare masks")
    ap.add_argument("--json", metavar="FILE")
    a = ap.parse_args()
    a.precision = a.precision.split(",")
    asked = a.engines.split(",")
    if unknown := set(asked) - set(engines.ENGINES):
        ap.error(f"no such engine: {', '.join(unknown)}")
    if a.rounds < 1:
        ap.error("--rounds is at least 1")
    a.engines = [name for name in engines.ENGINES if name in (REFERENCE, *asked)]
    shared.enter("onnx", "onnxruntime", "openvino")
    a.binary, a.weights, a.exports = shared.program(), shared.weights(a.size), os.path.join(shared.HOME, "exports")
    for part in [ENCODE, CLICK] if a.encode_only else parts.PARTS:
        parts.export(a.exports, a.size, part)
    shared.picture()
    shared.bind(a.threads)
    run(a)


def run(a):
    from importlib.metadata import version
    ours, others = measure(a)
    reference = next(e for e in others if e.name == REFERENCE).masks(a)
    ious = {e.name: shared.iou(e.masks(a), reference) for e in ours + others}
    versions = {name: version(name) for name in ("torch", "onnxruntime", "openvino")}
    device = ours[0].report["device"]
    print(f"{device}, {a.threads} threads, {a.size}, {a.rounds} rounds, " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    best = show(ours, others, ious)
    if a.json:
        each = {e.name: {"ms": e.ms, "median_ms": e.medians(), "peak_memory_mib": e.memory, "mask_iou": ious[e.name]} for e in ours + others}
        for e in ours:
            each[e.name] |= {"limit_ms": e.limits(), "peak_gflop_per_s": e.report["peak_gflop_per_s"]}
        report = {"device": device, "threads": a.threads, "model": a.size, "picture": "1280x720", "rounds": a.rounds,
                  "versions": versions, "best_of_others_ms": best, "engines": each}
        shared.write_json(a.json, report)
    if min(ious.get("sam2 f32", [1.0])) < 0.999:
        sys.exit("the masks do not agree: the figures above mean nothing")


if __name__ == "__main__":
    main()
