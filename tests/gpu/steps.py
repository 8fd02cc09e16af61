"""What tests/gpu/run does: tests, sanitizers, benchmarks, each a step of the report."""
import glob, os, re, shutil, statistics, time
from report import LEAST_IOU, Done, Failed, Skip

SUITES = ["ops", "image_parity", "cuda", "cuda_video", "video_parity"]
TRACKED = {"cuda": "1,4,16", "cpu": "1"}  # objects
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
    for check in SANITIZERS:
        for binary, args in jobs.items():
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


class Bench:
    """Everything of one size. The GPU does one thing at a time, so that timings do not overlap."""

    def __init__(self, m, r, a, size):
        self.m, self.r, self.a, self.size = m, r, a, size
        self.picture = os.path.join(m.tmp, "picture.png")
        self.weights = os.path.join(m.tmp, f"sam2.1_{size}.safetensors")
        self.precisions = ["bf16", "f16", "f32"] if a.device == "cuda" else ["f32"]

    def run(self):
        step = lambda what, work: self.r.step(f"bench {self.size} {what}", work)
        compiled = "default" if self.a.quick else "max-autotune"
        if step("weights", self.make_weights) is None:
            return
        for precision in self.precisions:
            step(f"sam2 {precision}", lambda: self.engine(precision, self.m.env))
        if self.a.device == "cuda":
            step("sam2 bf16 without cuBLASLt", self.engine_without_library)
            step("sam2 bf16 kernels", lambda: self.engine("bf16", self.m.env, profile=True))
        eager = step("PyTorch eager", lambda: self.reference("eager", self.a.eager_limit))
        step("masks", lambda: self.masks(eager))
        if self.size == "t":
            step("first mask", lambda: self.first_mask(eager))
        step("PyTorch tracking", lambda: self.tracking("eager", self.a.eager_limit))
        step("PyTorch compiled", lambda: self.reference(compiled, self.a.compile_limit))
        step("PyTorch tracking compiled", lambda: self.tracking("vos_optimized", self.a.compile_limit))
        if os.path.exists(self.weights):
            os.remove(self.weights)  # a size at a time on the disk

    def make_weights(self):
        return self.m.torch("weights", self.size, limit=300).check().json()

    def engine(self, precision, env, profile=False):
        n = 2 * self.a.repeat
        runs = ["--warmup", "2", "--repeat", "1", "--profile"] if profile else ["--warmup", str(max(n // 10, 1)), "--repeat", str(n)]
        said = self.m.sam2("bench", self.picture, "--model", self.weights, "--device", self.a.device, "--precision", precision,
                           "--clicks", "1,64", "--track", TRACKED[self.a.device], "--track-warmup", "16", "--json", *runs, limit=self.a.engine_limit, env=env).json()
        on_gpu = said["threads"] is None  # threads are a CPU's
        if said["precision"] != precision or on_gpu != (self.a.device == "cuda"):
            raise Failed(f"ran on {said['device']} in {said['precision']}")
        stages = {s.pop("stage"): {k: v for k, v in s.items() if v not in (None, {})} for s in said.pop("stages")}
        return {**{k: v for k, v in said.items() if v is not None}, "stages": stages}

    def engine_without_library(self):
        if not self.m.env:
            raise Skip("cuBLASLt is installed for every program, or not found")
        return self.engine("bf16", {})

    def reference(self, mode, limit):
        self.m.needs_reference()
        args = ["--mode", mode, "--repeat", str(self.a.repeat), "--started", str(time.time())]
        done = self.m.torch("measure", self.size, *args, limit=limit)
        if done.rc is None and mode != "eager":
            raise Skip(f"torch.compile, {mode}: {done.why()}")
        return done.check().json()

    def tracking(self, mode, limit):
        self.m.needs_reference()
        done = self.m.torch("track", self.size, "--mode", mode, "--objects", TRACKED[self.a.device], limit=limit)
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

    def click(self, precision):
        return ["segment", self.picture, "--model", self.weights, "--device", self.a.device, "--precision", precision, "--point", f"{X},{Y}"]

    def first_mask(self, eager):
        """From the start of the process to the first mask, a picture's decoding and loading the model included."""
        runs = [self.m.sam2(*self.click(self.precisions[0]), env=self.m.env).seconds * 1e3 for _ in range(5)]
        return {"p50_ms": statistics.median(runs), "runs_ms": runs, "pytorch_ms": (eager or {}).get("first_mask_ms")}
