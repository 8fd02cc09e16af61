"""The report of tests/gpu/run: commands under a time limit, steps with a status, the table of speeds."""
import datetime, json, os, re, signal, subprocess, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZES = ["t", "s", "b+", "l"]
GFLOP = {"t": 292, "s": 360, "b+": 647, "l": 1823}  # for an encoding at 1024x1024
H200_FLOOR_MS = {"t": 0.39, "s": 0.48, "b+": 0.84, "l": 2.33}  # for the same, at 790 TFLOP/s and 4.3 TB/s
LEAST_IOU = 0.99
LEAST_TRACKED_IOU = 0.97  # after eight frames, since rounding noise grows from frame to frame
TAIL = 12000  # characters of output that a failure keeps


class Skip(Exception):
    """A step that cannot run here."""


class Failed(Exception):
    """A step that ran and failed. `more` goes into the report."""

    def __init__(self, why, tail="", **more):
        super().__init__(why)
        self.more = {**({"tail": tail[-TAIL:]} if tail else {}), **more}


class Done:
    """The result of a command: exit status (None after its time limit), stdout, all that it printed, seconds."""

    until = float("inf")  # the end of the whole run, in time.monotonic()

    def __init__(self, command, limit, env=None):
        start = time.monotonic()
        self.limit = limit = round(min(limit, Done.until - start), 1)
        if limit < 3:
            raise Skip("no time left")
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                p = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                                     stdout=out, stderr=err, start_new_session=True)
            except OSError as e:
                self.rc, self.out, self.text, self.seconds = 127, "", str(e), 0.0
                return
            try:
                self.rc = p.wait(limit)
            except subprocess.TimeoutExpired:
                self.rc = None
            finally:  # also on Ctrl-C: no process that was started here continues to use the GPU
                if p.poll() is None:
                    os.killpg(p.pid, signal.SIGKILL)
                    p.wait()
            self.seconds = time.monotonic() - start
            texts = []
            for f in (out, err):
                f.seek(0)
                texts.append(f.read().decode(errors="replace"))
        self.out, self.text = texts[0], "".join(texts)

    def why(self):
        """Describes how it failed."""
        if self.rc is None:
            return f"not finished in {self.limit:g} s"
        return f"killed by signal {-self.rc}" if self.rc < 0 else f"exit status {self.rc}"

    def check(self):
        if self.rc != 0:
            last = (self.text.strip().splitlines() or [""])[-1][:200]
            raise Failed(f"{self.why()}: {last}" if last else self.why(), self.text)
        return self

    def json(self):
        """The last line of stdout."""
        try:
            return json.loads(self.out.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise Failed("printed no JSON", self.text) from None


class Report:
    """The steps, in a file that is complete after every step. `hide` has texts that are removed from it."""

    def __init__(self, hide):
        self.at = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self.data, self.path, self.hide = {"date": self.at}, None, hide
        self.steps = []

    def step(self, name, work):
        """Runs `work`, which returns its result, or raises Skip or Failed. Returns the result, or None."""
        print(f"{name} ...", end="", flush=True)
        # A run that is killed leaves this status.
        entry = {"name": name, "status": "failed", "why": "interrupted", "at": self.at}
        names = [s["name"] for s in self.steps]
        if name in names:
            self.steps[names.index(name)] = entry
        else:
            self.steps.append(entry)
        self.write()
        start = time.monotonic()
        try:
            result = work()
            del entry["why"]
            entry.update(status="passed", **({} if result is None else {"result": result}))
        except Skip as e:
            entry.update(status="skipped", why=str(e))
        except Failed as e:
            entry.update(status="failed", why=str(e), **e.more)
        except Exception as e:  # a defect in one step does not affect the others
            entry.update(status="failed", why=f"{type(e).__name__}: {e}")
        entry["seconds"] = round(time.monotonic() - start, 3)
        self.write()
        print(f" {entry['status']}, {entry['seconds']:.1f} s" + (f", {entry['why']}" if "why" in entry else ""), flush=True)
        for line in brief(entry.get("result")):
            print(f"    {line}", flush=True)
        return entry.get("result")

    def result(self, name):
        """The result of a step, or None."""
        return next((s.get("result") for s in self.steps if s["name"] == name), None)

    def keep(self, path):
        """Writes to `path` from now on, and keeps earlier results of the same build on the same machine."""
        same = ("build", "card", "driver", "versions")
        try:
            with open(path) as f:
                old = json.load(f)
            if all(old[k] == self.data[k] for k in same):
                ours = {s["name"] for s in self.steps}
                self.steps += [s for s in old["steps"] if s["name"] not in ours]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no report, or a file of another program
        self.path = path
        self.write()

    def write(self):
        if self.path is None:
            return
        text = json.dumps({**self.data, "table": table(self), "steps": self.steps}, indent=1)
        for secret, name in self.hide:
            text = text.replace(secret, name)
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        with open(self.path + ".new", "w") as f:
            f.write(text + "\n")
        os.replace(self.path + ".new", self.path)


def brief(result):
    """The result of a step, in lines. They are printed at once, since a run may end before the table."""
    if not isinstance(result, dict):
        return []
    stages = result.get("stages", result)
    lines = [f"{name}: {v['p50_ms']:.3f} ms, p90 {v['p90_ms']:.3f}" for name, v in stages.items() if isinstance(v, dict) and "p50_ms" in v]
    lines += [f"{name}: {v:.4g}" for name, v in result.items() if isinstance(v, float)]
    lines += [f"{name}: {', '.join(f'{x:.4f}' for x in v)}" for name, v in result.items()
              if isinstance(v, list) and v and all(isinstance(x, float) for x in v)]
    return lines + result.get("lines", [])


STAGES = {"encode": "encode", "1 click": "clicks 1", "64 clicks": "clicks 64", "automatic masks": "automatic masks",
          **{f"track {n}": f"frame, objects {n}" for n in (1, 4, 16)}}  # the names in the predictions
PREDICTED_SIZES = {"t": "tiny", "l": "large"}


def predictions():
    """cuda/kernels/predicted.txt: milliseconds of {task: {kernel: (launches, ms)}}, "" for the whole task."""
    tasks, task = {}, None
    with open(os.path.join(ROOT, "cuda", "kernels", "predicted.txt")) as f:
        for line in f.read().splitlines()[2:]:
            found = re.match(r"(\s*)(\S.*?)\s+(\d+)\s+([\d.]+)(?:\s+\d+%)?$", line)
            if found and not found[1]:
                task = tasks.setdefault(found[2], {})
            if found and task is not None:
                task[found[2] if found[1] else ""] = (int(found[3]), float(found[4]) / 1e3)
    return tasks


def predicted(size, stage, library=True):
    """The predicted kernels of a stage, or nothing."""
    name = f"{PREDICTED_SIZES.get(size)} {'with' if library else 'without'} cuBLASLt, {STAGES.get(stage)}"
    return predictions().get(name, {})


def stages_of(report, size, name):
    """The stages of the engine, from several steps."""
    found = {}
    for step in report.steps:
        if re.fullmatch(re.escape(f"bench {size} sam2 {name}") + r"(,.*)?", step["name"]):
            found.update((step.get("result") or {}).get("stages", {}))
    return found


def table(report):
    """A row for each size and way to compute it, for the steps that passed."""
    rows, rate = [], (report.result("bench rate") or {}).get("tflop_per_s")
    p50 = lambda stages, key: stages[key]["p50_ms"] if key in stages else None
    least = lambda ious: min(ious) if ious else None
    for size in SIZES:
        result = lambda what: report.result(f"bench {size} {what}")
        ious = result("masks") or {}
        agreed = least(ious.get("f32"))
        state = "unchecked" if agreed is None else "void" if agreed < LEAST_IOU else "ok"
        floor = GFLOP[size] / rate if rate else None
        common = lambda what, stages: {
            "size": size, "what": what, "encode_p50_ms": p50(stages, "encode"), "encode_p90_ms": stages.get("encode", {}).get("p90_ms"),
            "click_p50_ms": p50(stages, "1 click"), "clicks64_p50_ms": p50(stages, "64 clicks"),
            "track1_p50_ms": p50(stages, "track 1"), "track16_p50_ms": p50(stages, "track 16"),
            "automatic_p50_ms": p50(stages, "automatic masks")}
        theirs = {}
        for name, track in (("eager", "tracking"), ("compiled", "tracking compiled")):
            stages = {**(result(f"PyTorch {name}") or {}), **(result(f"PyTorch {track}") or {})}
            if stages:
                theirs[name] = stages
        for name, stages in theirs.items():
            bare = p50(stages, "forward_image")
            rows.append({**common(f"PyTorch {name} bf16", stages), "forward_image_p50_ms": bare, "floor_ms": floor,
                         "share_of_floor": floor and bare and floor / bare, "least_iou": least(stages.get("mask_iou_of_bf16"))})
        for name in ("bf16", "f16", "f32", "bf16 without cuBLASLt"):
            ours, precision = stages_of(report, size, name), name.split()[0]
            if not ours:
                continue
            row = {**common(f"sam2 {name}", ours), "speeds": state, "least_iou": least(ious.get(precision))}
            if precision != "f32" and "encode" in ours:  # the rate is for 16 bits
                row.update(floor_ms=floor, share_of_floor=floor and floor / row["encode_p50_ms"])
                if "H200" in report.data.get("card", ""):
                    row["share_of_h200_floor"] = H200_FLOOR_MS[size] / row["encode_p50_ms"]
            row["times_faster_than"] = {
                f"{who} {key}": p50(stages, key) / p50(ours, against) for who, stages in theirs.items()
                for key, against in (("encode", "encode"), ("forward_image", "encode"), ("1 click", "1 click"), ("64 clicks", "64 clicks"),
                                     ("track 1", "track 1"), ("track 16", "track 16"))
                if key in stages and against in ours}
            rows.append(row)
            library = name == "bf16"
            expected = {stage: predicted(size, stage, library) for stage in STAGES} if precision == "bf16" else {}
            expected = {stage: {"p50_ms": kernels[""][1]} for stage, kernels in expected.items() if kernels}
            if expected:
                rows.append(common("  predicted for an H200", expected))
    return rows


def show(report):
    """Prints the summary. Returns what failed in this run."""
    rate = report.result("bench rate")
    card = "no NVIDIA GPU" if report.data["card"] == "none" else f"{report.data['card']}, driver {report.data['driver']}"
    print(f"\n{card}" + (f", bf16 products at {rate['tflop_per_s']:.3g} TFLOP/s" if rate else ""))
    number = lambda v, form="{:.2f}": "-" if v is None else form.format(v)
    rows = table(report)
    if rows:
        print(f"\n{'ms, medians':33}{'encode':>9}{'p90':>9}{'bare':>9}{'of floor':>9}{'click':>9}{'64':>9}{'track':>9}{'16':>9}{'auto':>9}{'IoU':>9}")
    for r in rows:
        cells = [number(r["encode_p50_ms"]), number(r["encode_p90_ms"]), number(r.get("forward_image_p50_ms")), number(r.get("share_of_floor"), "{:.0%}"),
                 number(r["click_p50_ms"]), number(r["clicks64_p50_ms"]),
                 number(r["track1_p50_ms"]), number(r["track16_p50_ms"]), number(r["automatic_p50_ms"]), number(r.get("least_iou"), "{:.4f}")]
        mark = {"void": "  VOID: masks do not agree", "unchecked": "  masks unchecked"}.get(r.get("speeds"), "")
        print(f"{r['size']:3}{r['what']:30}" + "".join(f"{c:>9}" for c in cells) + mark)
    if rows:
        print("encode: a picture of 1280x720, from the host; bare: the encoder alone on a ready tensor; of floor: of the product's rate")
        print("IoU: the least of a click's three masks, with the reference's in float32")
    for r in rows:
        if r["what"] == "sam2 bf16" and r.get("times_faster_than") and r["speeds"] != "void":
            print(f"{r['size']:3}faster than " + ", ".join(f"{k} {v:.2f}x" for k, v in r["times_faster_than"].items()))
    first = report.result("bench t first mask")
    if first:
        print(f"process start to first mask: {first['p50_ms']:.0f} ms" + (f", PyTorch {first['pytorch_ms']:.0f} ms" if first.get("pytorch_ms") else ""))
    print()
    for status in ("passed", "skipped", "failed"):
        steps = [s for s in report.steps if s["status"] == status]
        print(f"{status}: {len(steps)}")
        reasons = {}
        for s in steps if status != "passed" else []:
            reasons.setdefault(s["why"] + ("" if s["at"] == report.at else f" (in the run of {s['at']})"), []).append(s["name"])
        for why, names in reasons.items():
            print(f"  {', '.join(names)}: {why}")
    print(f"report: {os.path.relpath(report.path)}")
    return [s for s in report.steps if s["status"] == "failed" and s["at"] == report.at]
