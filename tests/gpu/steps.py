"""What tests/gpu/run does: tests, sanitizers, benchmarks, each a step of the report."""
import glob, os, re, shutil, signal, statistics, subprocess, time
from report import LEAST_IOU, LEAST_TRACKED_IOU, ROOT, Done, Failed, Skip, predicted

SUITES = ["ops", "image_parity", "cuda", "cuda_video", "video_parity"]
TRACKED = {"cuda": ["1", "16"], "cpu": ["1"]}  # objects
SANITIZERS = ["memcheck", "racecheck", "initcheck", "synccheck"]
X, Y = 4001 / 10007 * 1280, (7919 + 4001) % 10007 / 10007 * 720  # the first click of `sam2 bench`


def libtest(text):
    """Sums of the lines `test result: ok. N passed; F failed; I ignored`; None where there is none."""
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
        # One kernel's fault takes the context of the whole process along, and a crash all tests: which fail alone?
        all_ = re.findall(r"^(\S+): test$", Done([binary, "--list", "--ignored", "gpu_"], 60, m.env).out, re.M)
        passed = set(re.findall(r"^test (\S+) \.\.\. ok$", done.text, re.M))
        alone, end = {}, time.monotonic() + limit
        for name in all_:
            left = end - time.monotonic()
            if name not in passed and left > 1:
                one = Done([binary, "--ignored", "--exact", name], left, m.env)
                alone[name] = "passed" if one.rc == 0 else f"{one.why()}: {one.text[-1500:]}"
        raise Failed(str(e), **e.more, **({"alone": alone} if alone else {})) from None


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
    demo = ["segment", "demo/samples/images/image1.png", "--model", "demo", "--point", "64,64", "--device", "cuda"]
    jobs = {"ops": ["--ignored", "gpu_bf16", "--test-threads", "1"], "sam2": demo}
    for check in SANITIZERS if a.thorough else SANITIZERS[:2]:
        for binary, args in jobs.items() if a.thorough else [("ops", jobs["ops"])]:
            r.step(f"sanitizer {check} {binary}", lambda: sanitize(m, tool, check, binary, args, a.sanitizer_limit))


def sanitize(m, tool, check, binary, args, limit):
    path = m.binary(binary)
    # Without cuBLASLt, where it is not installed for everyone: the engine's own kernels are to be checked.
    done = Done([tool, "--tool", check, "--error-exitcode", "9", path, *args], limit)
    if re.search("device not supported", done.text, re.I):
        raise Skip("compute-sanitizer does not support this device")
    summary = re.findall(r"^=+ (?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)", done.text, re.M)
    lines = [line for line in done.text.splitlines() if line.startswith("====")]
    errors = sum(int(e or h) for e, h in summary)
    if errors or done.rc == 9:
        # The first have the cause; what follows are its consequences.
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


def bench(m, r, a):
    def picture():
        m.needs_gpu()
        m.needs_reference(gpu=False)
        return m.torch("picture", limit=120).check().json()

    def rate():
        m.needs_reference()
        return m.torch("rate", limit=120).check().json()

    if r.step("bench picture", picture) is None:
        return
    r.step("bench rate", rate)
    for size in a.sizes:
        Bench(m, r, a, size).run()


class Compilation:
    """`vos_optimized` of the tiny model, compiled by PyTorch while the tests run; what it compiled is kept for a later visit."""

    def __init__(self, m, r, a):
        self.m, self.r, self.process = m, r, None
        size = Bench(m, r, a, "t")

        def start():
            m.needs_reference()
            m.torch("picture", limit=120).check()
            size.make_weights()
            self.process = subprocess.Popen(
                m.torch_command("track", "t", "--mode", "vos_optimized", "--objects", "1", "--repeat", "1"), cwd=ROOT,
                env={**os.environ, **m.cache_env()}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True)

        r.step("compilation starts", start)

    def finish(self):
        def keep():
            if not self.process:
                raise Skip("not started")
            try:
                self.process.wait(max(Done.until - time.monotonic() - 25, 1))
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                raise Skip("not finished in this visit; what was compiled is kept" if self.m.keep_cache() else "nothing was compiled") from None
            if self.process.returncode:
                raise Failed(f"exit status {self.process.returncode}")
            return {"bytes": self.m.keep_cache()}

        self.r.step("compilation is kept", keep)


class Bench:
    """Everything of one size, what matters most first. The GPU does one thing at a time, so that timings do not overlap."""

    def __init__(self, m, r, a, size):
        self.m, self.r, self.a, self.size = m, r, a, size
        self.picture = os.path.join(m.tmp, "picture.png")
        self.weights = os.path.join(m.tmp, f"sam2.1_{size}.safetensors")
        self.precisions = ["bf16", "f32"] if a.device == "cuda" else ["f32"]

    def run(self):
        step = lambda what, work: self.r.step(f"bench {self.size} {what}", work)
        if step("weights", self.make_weights) is None:
            return
        first, n = self.precisions[0], self.a.repeat
        step(f"sam2 {first}", lambda: self.engine(first, ["--clicks", "1,64"], n * 2))
        for objects in TRACKED[self.a.device]:
            step(f"sam2 {first}, track {objects}", lambda: self.engine(first, ["--track", objects, "--clicks", "1"], min(n, 30 if objects == "1" else 10)))
        if self.a.device == "cuda":
            step(f"sam2 {first}, automatic masks", lambda: self.engine(first, ["--auto", "--clicks", "1"], min(n, 5)))
        eager = step("PyTorch eager", lambda: self.reference("eager", self.a.eager_limit))
        step("masks", lambda: self.masks(eager))
        if step("PyTorch tracking", lambda: self.tracking("eager", self.a.eager_limit)):
            step("tracked masks", self.tracked_masks)
        step("PyTorch tracking compiled", lambda: self.tracking("vos_optimized", self.a.compile_limit))
        if self.a.device == "cuda":
            step("kernels", self.kernels)
            step("ncu", self.ncu)
        if self.a.thorough:
            self.rest(step, eager)
        if os.path.exists(self.weights):
            os.remove(self.weights)  # a size at a time on the disk

    def rest(self, step, eager):
        """What a short visit has no time for."""
        for precision in ("f16", "f32") if self.a.device == "cuda" else ():
            step(f"sam2 {precision}", lambda: self.engine(precision, ["--clicks", "1,64", "--track", "1,16"], self.a.repeat))
        if self.a.device == "cuda":
            step("sam2 bf16 without cuBLASLt", self.engine_without_library)
        if self.size == "t":
            step("first mask", lambda: self.first_mask(eager))
        step("PyTorch compiled", lambda: self.reference("default" if self.a.quick else "max-autotune", self.a.compile_limit))

    def make_weights(self):
        if os.path.exists(self.weights):
            return {"bytes": os.path.getsize(self.weights)}
        return self.m.torch("weights", self.size, limit=300).check().json()

    def engine(self, precision, what, n, env=None):
        said = self.m.sam2("bench", self.picture, "--model", self.weights, "--device", self.a.device, "--precision", precision, *what,
                           "--track-warmup", "16", "--json", "--warmup", str(max(n // 10, 1)), "--repeat", str(n),
                           limit=self.a.engine_limit, env=self.m.env if env is None else env).json()
        on_gpu = said["threads"] is None  # threads are a CPU's
        if said["precision"] != precision or on_gpu != (self.a.device == "cuda"):
            raise Failed(f"ran on {said['device']} in {said['precision']}")
        stages = {s.pop("stage"): {k: v for k, v in s.items() if v not in (None, {})} for s in said.pop("stages")}
        return {**{k: v for k, v in said.items() if v is not None}, "stages": stages}

    def engine_without_library(self):
        if not self.m.env:
            raise Skip("cuBLASLt is installed for every program, or not found")
        return self.engine("bf16", ["--clicks", "1,64", "--track", "1"], self.a.repeat, env={})

    def kernels(self):
        """Milliseconds of each kernel beside what was predicted, slowest first."""
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

    def ncu(self):
        tool = shutil.which("ncu") or next(iter(sorted(glob.glob("/usr/local/cuda*/bin/ncu") + glob.glob("/opt/nvidia/nsight-compute/*/ncu"))), None)
        if not tool:
            raise Skip("ncu is not found")
        command = [tool, "--set", "full", "--clock-control", "none", "--csv", "--page", "details", "-c", "12", "-k",
                   "regex:window_attention|linear|attend_image|update_image", self.m.binary("sam2"), *self.click("bf16")]
        done = Done(command, 60, self.m.env)
        if done.rc is None or "ERR_NVGPUCTRPERM" in done.text:
            raise Skip("counters of the GPU are not open to this user" if done.rc is not None else done.why())
        done.check()
        with open(os.path.join(self.a.out_folder, f"ncu-{self.size}.csv"), "w") as f:
            f.write(done.out)
        return {"bytes": len(done.out)}

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
        """IoU with the reference's masks: a speed without agreement means nothing."""
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
        """IoU of one tracked object's masks with the reference's, a frame after another."""
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
        """From the start of the process to the first mask, a picture's decoding and loading the model included."""
        runs = [self.m.sam2(*self.click(self.precisions[0]), env=self.m.env).seconds * 1e3 for _ in range(5)]
        return {"p50_ms": statistics.median(runs), "runs_ms": runs, "pytorch_ms": (eager or {}).get("first_mask_ms")}
