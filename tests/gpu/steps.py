"""The steps of tests/gpu/run: tests, sanitizers and benchmarks. Each is a step of the report."""
import csv, glob, os, re, shutil, statistics, time
from report import LEAST_IOU, LEAST_TRACKED_IOU, ROOT, Done, Failed, Skip, predicted

SUITES = ["ops", "image_parity", "cuda", "cuda_video", "video_parity"]
SLOW = "memory_attention|window_attention|linear|layer_norm|attend_image|update_image|upscale|max_pool|merge_splits|prepare"
TRACKED = {"cuda": ["1", "16"], "cpu": ["1"]}  # objects
SANITIZERS = ["memcheck", "racecheck", "initcheck", "synccheck"]
DEMO = ["segment", "demo/samples/images/image1.png", "--model", "demo", "--point", "64,64"]
X, Y = 4001 / 10007 * 1280, (7919 + 4001) % 10007 / 10007 * 720  # the first click of `sam2 bench`


def libtest(text):
    """Sums of the lines `test result: ok. N passed; F failed; I ignored`. None if there is no such line."""
    found = re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", text, re.M)
    return dict(zip(("passed", "failed", "ignored"), (sum(map(int, column)) for column in zip(*found)))) if found else None


def judge(done):
    """The counts of a run of tests in which some passed and none failed."""
    counts = libtest(done.text)
    if counts and counts["failed"]:
        raise Failed(f"{counts['failed']} failed, {counts['passed']} passed", done.text)
    done.check()
    if not counts or not counts["passed"]:
        raise Failed("no test ran", done.text)
    return counts


def tests(m, r, a):
    for suite in SUITES:
        r.step(f"tests {suite}", lambda: run_suite(m, suite, a.test_limit))


def run_suite(m, suite, limit):
    binary = m.binary(suite)
    m.needs_gpu()
    done = Done([binary, "--ignored", "gpu_"], limit, m.env)
    try:
        return judge(done)
    except Failed as e:
        # A fault of one kernel ends the context of the process, and a crash ends all tests. So each test is run alone.
        all_ = re.findall(r"^(\S+): test$", Done([binary, "--list", "--ignored", "gpu_"], 60, m.env).out, re.M)
        passed = set(re.findall(r"^test (\S+) \.\.\. ok$", done.text, re.M))
        alone, end = {}, time.monotonic() + limit
        for name in all_:
            left = end - time.monotonic()
            if name not in passed and left > 1:
                one = Done([binary, "--ignored", "--exact", name], left, m.env)
                alone[name] = "passed" if one.rc == 0 else f"{one.why()}: {one.text[-1500:]}"
        raise Failed(str(e), **e.more, **({"alone": alone} if alone else {})) from None


def first_mask(m, r, a):
    """Whether the engine makes a mask at all. If not, a short visit ends after a few tests."""
    def work():
        m.needs_gpu()
        m.sam2(*DEMO, "--device", a.device, limit=30, env=m.env)
        return {}
    return r.step("machine first mask", work) is not None or m.lacks_gpu


def find_sanitizer(m):
    """compute-sanitizer on the PATH, in a toolkit, or in a Python wheel."""
    places = [p for path in m.python_paths() for p in (f"{path}/nvidia/*/bin", f"{path}/nvidia/*/compute-sanitizer")]
    places += ["/usr/local/cuda*/bin", "/usr/local/cuda*/compute-sanitizer", "/opt/cuda/bin"]
    files = [f for place in places for f in sorted(glob.glob(f"{place}/compute-sanitizer"), reverse=True)]
    return shutil.which("compute-sanitizer") or next((f for f in files if os.path.isfile(f) and os.access(f, os.X_OK)), None)


def sanitizers(m, r, a):
    def find():
        m.needs_gpu()
        tool = find_sanitizer(m)
        if not tool:
            raise Skip("compute-sanitizer is not found")
        return Done([tool, "--version"], 60).out.strip().splitlines()[-1:]

    if r.step("sanitizer", find) is None:
        return
    tool = find_sanitizer(m)
    jobs = {"ops": ["--ignored", "gpu_bf16", "--test-threads", "1"], "sam2": [*DEMO, "--device", "cuda"]}
    for check in SANITIZERS if a.thorough else SANITIZERS[:2]:
        for binary, args in jobs.items() if a.thorough else [("ops", jobs["ops"])]:
            r.step(f"sanitizer {check} {binary}", lambda: sanitize(m, tool, check, binary, args, a.sanitizer_limit))


def sanitize(m, tool, check, binary, args, limit):
    path = m.binary(binary)
    # Without cuBLASLt, unless it is installed system-wide, so that the engine's own kernels are checked.
    done = Done([tool, "--tool", check, "--error-exitcode", "9", path, *args], limit)
    if re.search("device not supported", done.text, re.I):
        raise Skip("compute-sanitizer does not support this device")
    summary = re.findall(r"^=+ (?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)", done.text, re.M)
    lines = [line for line in done.text.splitlines() if line.startswith("====")]
    errors = sum(int(e or h) for e, h in summary)
    if errors or done.rc == 9:
        # The first ones have the cause. The others are its consequences.
        raise Failed(f"{errors or 'some'} errors", done.text, errors=errors, first=lines[:60])
    if done.rc is None:
        if re.search(r"^=+ (Invalid|Uninitialized|Barrier|Divergent|Error:|Warning:|Race|Program hit)", done.text, re.M):
            raise Failed(f"{done.why()}, errors until then", done.text, first=lines[:60])
        raise Skip(f"{done.why()}, no error until then")
    found = {"errors": 0}
    if binary == "sam2":
        done.check()
    else:
        found.update(judge(done))
    if not summary:
        raise Failed("compute-sanitizer gave no summary", done.text)
    return found


def prepare_bench(m, r):
    """Draws the picture, and measures the card's rates. Returns whether there is a picture."""
    def picture():
        m.needs_gpu()
        m.needs_reference(gpu=False)
        return m.torch("picture", limit=120).check().json()

    def rate():
        m.needs_reference()
        return m.torch("rate", limit=120).check().json()

    if r.step("bench picture", picture) is None:
        return False
    r.step("bench rate", rate)
    return True


def speeds(m, r, a):
    """The engine's latencies, without PyTorch's."""
    for size in a.sizes if prepare_bench(m, r) else ():
        one = Bench(m, r, a, size)
        if one.step("weights", one.make_weights):
            one.engine_alone()


def bench(m, r, a):
    if not prepare_bench(m, r):
        return
    for size in a.sizes:
        Bench(m, r, a, size).run()
    if a.call == "fast":
        one = Bench(m, r, a, "t")
        if one.step("weights", one.make_weights):
            one.step("PyTorch compiled", lambda: one.reference("default", a.compile_limit))


class Bench:
    """All steps of one size, the most important first. The GPU runs one at a time, so that timings do not overlap."""

    def __init__(self, m, r, a, size):
        self.m, self.r, self.a, self.size = m, r, a, size
        self.picture = os.path.join(m.tmp, "picture.png")
        self.weights = os.path.join(m.tmp, f"sam2.1_{size}.safetensors")
        self.precisions = ["bf16", "f32"] if a.device == "cuda" else ["f32"]

    def step(self, what, work):
        return self.r.step(f"bench {self.size} {what}", work)

    def run(self):
        if self.step("weights", self.make_weights) is None:
            return
        self.engine_alone()
        eager = self.beside_pytorch()
        if self.a.thorough:
            self.rest(eager)
        if os.path.exists(self.weights):
            os.remove(self.weights)  # the disk holds one size at a time

    def engine_alone(self):
        """The engine's latencies, and those of its kernels."""
        step, first, n = self.step, self.precisions[0], self.a.repeat
        step(f"sam2 {first}", lambda: self.engine(first, ["--clicks", "1,64"], n * 2))
        for objects in TRACKED[self.a.device]:
            step(f"sam2 {first}, track {objects}", lambda: self.engine(first, ["--track", objects, "--clicks", "1"], min(n, 30 if objects == "1" else 10)))
        if self.a.device == "cuda":
            step(f"sam2 {first}, automatic masks", lambda: self.engine(first, ["--auto", "--clicks", "1"], min(n, 5)))
            step("kernels", self.kernels)
            if self.a.call != "fast" or self.size == "t":
                step("kernels of a frame", self.kernels_of_a_frame)
            if self.a.thorough:
                step("ncu", self.ncu)

    def beside_pytorch(self):
        """The latencies of the reference, and whether masks agree. Returns the result of the eager reference."""
        step = self.step
        eager = step("PyTorch eager", lambda: self.reference("eager", self.a.eager_limit))
        step("masks", lambda: self.masks(eager))
        if self.size == "t":
            step("first mask", lambda: self.first_mask(eager))
        if step("PyTorch tracking", lambda: self.tracking("eager", self.a.eager_limit)):
            step("tracked masks", self.tracked_masks)
        if self.a.thorough:
            step("PyTorch tracking compiled", lambda: self.tracking("vos_optimized", self.a.compile_limit))
        return eager

    def rest(self, eager):
        """Steps for which a short run has no time."""
        step = self.step
        for precision in ("f16", "f32") if self.a.device == "cuda" else ():
            step(f"sam2 {precision}", lambda: self.engine(precision, ["--clicks", "1,64", "--track", "1,16"], self.a.repeat))
        if self.a.device == "cuda":
            step("sam2 bf16 without cuBLASLt", self.engine_without_library)
        step("PyTorch compiled", lambda: self.reference("default" if self.a.quick else "max-autotune", self.a.compile_limit))

    def make_weights(self):
        if os.path.exists(self.weights):
            return {"bytes": os.path.getsize(self.weights)}
        return self.m.torch("weights", self.size, limit=300).check().json()

    def engine(self, precision, what, n, env=None):
        said = self.m.sam2("bench", self.picture, "--model", self.weights, "--device", self.a.device, "--precision", precision, *what,
                           "--track-warmup", "16", "--json", "--warmup", str(max(n // 10, 1)), "--repeat", str(n),
                           limit=self.a.engine_limit, env=self.m.env if env is None else env).json()
        on_gpu = said["threads"] is None  # only a CPU has threads
        if said["precision"] != precision or on_gpu != (self.a.device == "cuda"):
            raise Failed(f"ran on {said['device']} in {said['precision']}")
        stages = {s.pop("stage"): {k: v for k, v in s.items() if v not in (None, {})} for s in said.pop("stages")}
        return {**{k: v for k, v in said.items() if v is not None}, "stages": stages}

    def engine_without_library(self):
        if not self.m.env:
            raise Skip("cuBLASLt is installed for every program, or not found")
        return self.engine("bf16", ["--clicks", "1,64", "--track", "1"], self.a.repeat, env={})

    def kernels(self):
        """Measured and predicted milliseconds of each kernel, slowest first."""
        found = {}
        for stage, what in (("encode", ["--clicks", "1"]), ("64 clicks", ["--clicks", "64"])):
            said = self.engine("bf16", [*what, "--profile"], 2)["stages"][stage].get("kernels_ms", {})
            expected = predicted(self.size, stage)
            found[stage] = {k: {"ms": ms, "predicted_ms": expected[k][1] if k in expected else None} for k, ms in said.items()}
        lines = []
        for stage, kernels in found.items():
            slowest = sorted(kernels.items(), key=lambda kv: -kv[1]["ms"])[:8]
            lines += [f"{stage}, {k}: {v['ms']:.3f} ms" + (f", predicted {v['predicted_ms']:.3f}" if v["predicted_ms"] else "") for k, v in slowest]
        return {"stages": {}, "kernels": found, "lines": lines}

    def counters(self, limit, *args):
        """What ncu prints of `sam2 bench` with a tracked object, as CSV."""
        tool = shutil.which("ncu") or next(iter(sorted(glob.glob("/usr/local/cuda*/bin/ncu") + glob.glob("/opt/nvidia/nsight-compute/*/ncu"))), None)
        if not tool:
            raise Skip("ncu is not found")
        command = [tool, "--clock-control", "none", "--cache-control", "none", "--print-units", "base", "--csv", *args, self.m.binary("sam2"), "bench", self.picture,
                   "--model", self.weights, "--device", "cuda", "--precision", "bf16", "--clicks", "1", "--track", "1",
                   "--track-warmup", "8", "--warmup", "1", "--repeat", "1"]
        done = Done(command, limit, self.m.env)
        if done.rc is None or "ERR_NVGPUCTRPERM" in done.text:
            raise Skip("counters of the GPU are not open to this user" if done.rc is not None else done.why())
        done.check()
        rows = list(csv.DictReader(line for line in done.out.splitlines() if line.startswith('"')))
        if not rows or "Kernel Name" not in rows[0]:
            raise Failed("ncu printed no table", done.text)
        return rows

    def kernels_of_a_frame(self):
        """Microseconds of each kernel of a tracked frame, measured by ncu and predicted, slowest first."""
        expected = predicted(self.size, "track 1")
        launches = expected[""][0] if expected else 300
        key, cycles = "gpu__time_duration.sum", "sm__cycles_elapsed.max"
        rows = self.counters(45, "--page", "raw", "--metrics", f"{key},{cycles}", "--launch-skip", str(8 * launches))
        number = lambda row, key: float(row[key].replace(",", ""))
        found, clocks = {}, 0.0
        for row in rows[1:][-launches:]:  # the first row has the units; the last launches are those of the last frame
            name = row["Kernel Name"].split("(")[0]
            count, us = found.get(name, (0, 0.0))
            found[name] = count + 1, us + number(row, key) / 1e3
            clocks += number(row, cycles)
        slowest = sorted(found.items(), key=lambda kv: -kv[1][1])
        kernel = lambda name: name if name in expected or not re.search("gemm|nvjet|cutlass|splitK", name) else "cublasLtMatmul"
        lines = [f"{name}: {count}, {us:.1f} us" + (f", predicted {expected[kernel(name)][0]}, {expected[kernel(name)][1] * 1e3:.1f} us" if kernel(name) in expected else "")
                 for name, (count, us) in slowest]
        total = sum(us for _, us in found.values())
        return {"lines": [f"{launches} launches, {total:.1f} us, at {clocks / total / 1e3:.3f} GHz", *lines]}

    def ncu(self):
        """All that ncu knows of one launch of each of the slow kernels, in OUT/ncu-SIZE.csv. On an H200 it takes over 45 s."""
        rows = self.counters(600, "--page", "details", "--set", "full", "--kernel-id", f"::regex:^({SLOW}):2")
        path = os.path.join(self.a.out_folder, f"ncu-{self.size}.csv")
        with open(path, "w", newline="") as f:
            out = csv.DictWriter(f, ["Kernel Name", "Block Size", "Grid Size", "Section Name", "Metric Name", "Metric Unit", "Metric Value"],
                                 extrasaction="ignore")
            out.writeheader()
            out.writerows(rows)
        return {"bytes": os.path.getsize(path), "lines": sorted({row["Kernel Name"] for row in rows})}

    def reference(self, mode, limit):
        self.m.needs_reference()
        args = ["--mode", mode, "--repeat", str(self.a.repeat), "--started", str(time.time())]
        done = self.m.torch("measure", self.size, *args, limit=limit)
        if done.rc is None and mode != "eager":
            raise Skip(f"torch.compile, {mode}: {done.why()}")
        return done.check().json()

    def tracking(self, mode, limit):
        self.m.needs_reference()
        objects = ",".join(TRACKED[self.a.device]) if mode == "eager" else "1"
        done = self.m.torch("track", self.size, "--mode", mode, "--objects", objects, "--repeat", str(min(self.a.repeat, 20)), limit=limit)
        if done.rc is None and mode != "eager":
            raise Skip(f"{mode}: {done.why()}")
        return done.check().json()

    def masks(self, eager):
        """IoU with the reference's masks, since a speed without agreement means nothing."""
        if not eager:
            raise Skip("no masks of the reference")
        for precision in self.precisions:
            raw = os.path.join(self.m.tmp, f"ours_{precision}_{self.size}.safetensors")
            self.m.sam2(*self.click(precision), "--raw", raw, env=self.m.env)
        found = self.m.torch("agree", self.size, limit=120).check().json()
        found["reference bf16"], found["areas"] = eager["mask_iou_of_bf16"], eager["mask_areas"]
        if min(found["f32"]) < LEAST_IOU:
            raise Failed(f"IoU {min(found['f32']):.4f} in f32: the speeds are void", result=found)
        if not any(found["areas"]):
            raise Failed("all masks are empty: agreement means nothing")
        return found

    def tracked_masks(self):
        """IoU of one tracked object's masks with the reference's, frame by frame."""
        for precision in self.precisions:
            raw = os.path.join(self.m.tmp, f"tracked_{precision}_{self.size}.safetensors")
            self.m.sam2("track", os.path.join(self.m.tmp, "frames"), "--model", self.weights, "--device", self.a.device, "--precision", precision,
                        "--point", f"0:1:{X},{Y}", "--max-frames", "8", "--no-postprocessing", "--raw", raw, env=self.m.env)
        found = self.m.torch("agree_tracked", self.size, limit=120).check().json()
        if min(found["f32"]) < LEAST_TRACKED_IOU:
            raise Failed(f"IoU {min(found['f32']):.4f} in f32", result=found)
        return found

    def click(self, precision):
        return ["segment", self.picture, "--model", self.weights, "--device", self.a.device, "--precision", precision, "--point", f"{X},{Y}"]

    def first_mask(self, eager):
        """Time from the start of the process to the first mask, including decoding an image and loading the model."""
        runs = [self.m.sam2(*self.click(self.precisions[0]), env=self.m.env).seconds * 1e3 for _ in range(5)]
        return {"p50_ms": statistics.median(runs), "runs_ms": runs, "pytorch_ms": (eager or {}).get("first_mask_ms")}
