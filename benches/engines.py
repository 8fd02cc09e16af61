"""The engines that `against_engines.py` asks, each a process that answers lines.

  engines.py NAME FOLDER SIZE THREADS

A line names a part, and the answer is a line of JSON. The first time, the part is loaded and run once, and its results
are kept. Later the part is run and timed, and the answer has the milliseconds. `FOLDER` has the exports, and gets the
masks of one click.
"""
import json, os, sys, time
import parts


class PyTorch:
    """The reference itself, with `bf16` under autocast."""

    def __init__(self, folder, size, threads, bf16):
        import torch
        torch.set_num_threads(threads)
        self.torch, self.size, self.bf16 = torch, size, bf16

    def load(self, part, arrays):
        torch, module = self.torch, parts.module(part, self.size)
        tensors = [torch.from_numpy(x) for x in arrays]

        def run():
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                found = module(*tensors)
                return found if isinstance(found, tuple) else (found,)

        return run, lambda found: [x.float().numpy() for x in found]


class OnnxRuntime:
    def __init__(self, folder, size, threads):
        import onnxruntime
        self.api, self.model = onnxruntime, lambda part: parts.path(folder, size, part, "onnx")
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads, self.options.inter_op_num_threads = threads, 1

    def load(self, part, arrays):
        session = self.api.InferenceSession(self.model(part), self.options, providers=["CPUExecutionProvider"])
        given = {x.name: array for x, array in zip(session.get_inputs(), arrays, strict=True)}
        return lambda: session.run(None, given), lambda found: found


class OpenVino:
    def __init__(self, folder, size, threads, precision, **settings):
        import openvino
        self.api, self.model = openvino, lambda part: parts.path(folder, size, part, "onnx")
        self.precision = precision
        self.settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                         "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False, **settings}

    def load(self, part, arrays):
        model = self.api.Core().compile_model(self.model(part), "CPU", self.settings)
        got = model.get_property("INFERENCE_PRECISION_HINT").to_string()
        if got != self.precision:
            sys.exit(f"OpenVINO computes in {got} here, asked for {self.precision}")
        request = model.create_infer_request()
        for i, array in enumerate(arrays):
            request.set_input_tensor(i, self.api.Tensor(array))
        return request.infer, lambda _: [request.get_output_tensor(i).data.copy() for i in range(len(model.outputs))]


ENGINES = {
    "PyTorch f32": lambda *a: PyTorch(*a, bf16=False),
    "PyTorch bf16": lambda *a: PyTorch(*a, bf16=True),
    "ONNX Runtime f32": OnnxRuntime,
    "OpenVINO f32": lambda *a: OpenVino(*a, "f32"),
    "OpenVINO bf16": lambda *a: OpenVino(*a, "bf16"),
    "OpenVINO bf16 tuned": lambda *a: OpenVino(*a, "bf16", SNIPPETS_MODE="DISABLE"),
}


def masks_of_click(folder, size, name):
    """The file to which an engine writes the masks of one click, bytes (3, 256, 256)."""
    return os.path.join(folder, f"{size} {name}.npy")


def main():
    import numpy as np
    name, folder, size, threads = sys.argv[1:]
    engine = ENGINES[name](folder, size, int(threads))
    runs, features = {}, []
    for part in map(str.strip, sys.stdin):
        if part in runs:
            start = time.perf_counter()
            runs[part]()
            print(json.dumps({part: (time.perf_counter() - start) * 1e3}), flush=True)
            continue
        arrays = list(np.load(parts.path(folder, size, part, "npz")).values())
        run, arrays_of = engine.load(part, features + arrays if "click" in part else arrays)
        found, runs[part] = arrays_of(run()), run
        if part == "encode":
            features = found
        if part == "1 click":
            np.save(masks_of_click(folder, size, name), found[0][0] > 0)
        print("{}", flush=True)


if __name__ == "__main__":
    main()
