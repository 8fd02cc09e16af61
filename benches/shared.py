"""Shared by the comparisons: a Python with the other engines, processes in turn, weights, program, image and clicks."""
import json, os, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = os.path.join(ROOT, "target", "pytorch")
CLICKS = 64
SIZE = (1280, 720)

sys.path[:0] = [os.path.join(ROOT, "tests", "reference"), os.path.join(ROOT, "bindings", "python")]


class Child:
    """A process that executes a line and answers with a line of JSON."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        try:
            print(line, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # it printed the reason
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} ended with {self.process.wait()}, asked for: {line}")
        return json.loads(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def enter(*packages):
    """Continues in the Python of `HOME`, which has PyTorch, the reference and `packages`. Installs it if necessary."""
    python = os.path.join(HOME, "bin", "python")
    find = "import sys, importlib.metadata as m; list(map(m.version, sys.argv[1:]))"
    has = lambda *names: subprocess.run([python, "-c", find, *names], stderr=subprocess.DEVNULL).returncode == 0
    pip = [python, "-m", "pip", "install", "-q"]
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
    if not has("torch", "sam2"):
        needed = ["torchvision", "numpy", "pillow", "safetensors", "wheel", "setuptools", "hydra-core", "iopath", "tqdm"]
        subprocess.run(pip + ["torch==2.11.0", *needed], check=True)
        subprocess.run(pip + ["--no-build-isolation", "--no-deps", "sam2==1.1.0"], check=True, env={**os.environ, "SAM2_BUILD_CUDA": "0"})
    if packages and not has(*packages):
        subprocess.run(pip + list(packages), check=True)
    if os.path.realpath(sys.prefix) != os.path.realpath(HOME):
        os.execv(python, [python, *sys.argv])


def program():
    """The path of `sam2`, built."""
    subprocess.run(["cargo", "build", "--release"], check=True, cwd=ROOT)
    return os.path.join(ROOT, "target/release/sam2")


def library():
    """The path of `libsam2.so`, built. `SAM2_LIBRARY` gives it to the Python package."""
    prefix = os.path.join(ROOT, "target", "benches")
    subprocess.run([os.path.join(ROOT, "ffi", "install"), prefix], check=True, stdout=sys.stderr)
    return os.path.join(prefix, "lib", "libsam2.so")


def bind(threads):
    """Binds this process and its child processes to as many CPUs as there are threads."""
    cpus = sorted(os.sched_getaffinity(0))
    if not 1 <= threads <= len(cpus):
        sys.exit(f"--threads is 1 to {len(cpus)} here")
    os.sched_setaffinity(0, cpus[:threads])


def peak_memory(process):
    """Returns the peak memory of a process, in MiB."""
    with open(f"/proc/{process}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def cpu_name():
    with open("/proc/cpuinfo") as info:
        return next((line.split(": ")[1].strip() for line in info if line.startswith("model name")), os.uname().machine)


def write_json(path, report):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        json.dump(report, file, indent=1)


def weights(size):
    """Random weights of a published model, drawn on first use."""
    path = os.path.join(HOME, size + ".safetensors")
    if not os.path.exists(path):
        script = os.path.join(ROOT, "tests/reference/make_weights.py")
        subprocess.run([sys.executable, script, size, "--obj-bias", "6", "--name", size, "--out", HOME], check=True)
    return path


def picture():
    """A photograph enlarged to `SIZE`, as PNG."""
    path = os.path.join(HOME, "picture.png")
    if not os.path.exists(path):
        from PIL import Image
        Image.open(os.path.join(ROOT, "demo/pictures/coffee.png")).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(path)
    return path


def clicks(n):
    """The clicks of `sam2 bench`."""
    at = lambda i: ((i * 7919 + 4001) % 10007) / 10007
    return [[at(2 * i) * SIZE[0], at(2 * i + 1) * SIZE[1]] for i in range(n)]


def iou(masks, reference):
    """Intersection over union of each pair of masks."""
    return [float((m & r).sum() / max((m | r).sum(), 1)) for m, r in zip(masks, reference)]
