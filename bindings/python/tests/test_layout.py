"""Compares the declarations for ctypes with the header and the C compiler."""

import ctypes as c
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import ROOT
from sam2_engine import _abi as abi

HEADER = re.sub(r"/\*.*?\*/|//[^\n]*", "", (ROOT / "include/sam2.h").read_text(), flags=re.S)


def python_name(struct):
    return "".join(word.title() for word in struct.removeprefix("sam2_").split("_"))


class Layout(unittest.TestCase):
    def test_structs(self):
        structs = re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", HEADER, flags=re.S)
        lines, want = [], []
        for body, name in structs:
            fields = re.findall(r"(\w+)(?:\[\d+\])?;", body)
            kind = getattr(abi, python_name(name))
            self.assertEqual(fields, [field for field, _ in kind._fields_], name)
            lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
            want.append(f"{name} {c.sizeof(kind)}")
            for field in fields:
                at = getattr(kind, field)
                lines.append(
                    f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));'
                )
                want.append(f"{name}.{field} {at.offset} {at.size}")
        self.assertEqual(len(structs), sum(issubclass(v, c.Structure) for v in vars(abi).values() if isinstance(v, type)) - 2)
        with tempfile.TemporaryDirectory() as folder:
            source, program = Path(folder) / "layout.c", Path(folder) / "layout"
            source.write_text("#include <sam2.h>\n#include <stdio.h>\nint main(void) {" + "\n".join(lines) + "}\n")
            subprocess.check_call([os.environ.get("CC", "cc"), f"-I{ROOT / 'include'}", source, "-o", program])
            said = subprocess.check_output([program], text=True)
        self.assertEqual(said.splitlines(), want)

    def test_functions(self):
        kinds = {"uint32_t": "u32", "int32_t": "i32", "uint64_t": "u64", "int64_t": "i64", "size_t": "size"}
        kinds.update({name: kinds[base] for base, name in re.findall(r"typedef (u?int32_t) (\w+);", HEADER)})

        def kind(parameter):
            words = parameter.replace("*", " * ").replace("const ", "").split()
            return "p" if "*" in words or words[0].endswith("_callback") else kinds[words[0]]

        declared = {
            name: [kind(parameter) for parameter in parameters.split(",")]
            for name, parameters in re.findall(r"\bsam2_status sam2_(\w+)\(([^)]*)\);", HEADER)
        }
        for line in abi.SIGNATURES.split("\n"):
            for name, *takes in [line.split()] if line.strip() else []:
                self.assertEqual(["p" if t == "s" else t for t in takes], declared[name], name)

    def test_numbers(self):
        values = dict(re.findall(r"SAM2_(\w+)(?: = | )(\d+)[,\s]", HEADER))
        for prefix, names in [
            ("FORMAT", {"gray": "GRAY8", **{n: f"{n.upper()}8" for n in ("rgb", "bgr", "rgba", "bgra")}}),
            ("DEVICE", {}),
            ("PRECISION", {}),
            ("MATRIX", {}),
            ("MASK", {}),
        ]:
            table = {"MATRIX": abi.MATRICES, "MASK": abi.MASKS}.get(prefix) or getattr(abi, prefix + "S")
            for number, name in enumerate(table):
                self.assertEqual(int(values[f"{prefix}_{names.get(name, name.upper())}"]), number, name)
        self.assertEqual(abi.RETAIN_EVERYTHING, 2**32 - 1)
        self.assertRegex(HEADER, r"#define SAM2_RETAIN_EVERYTHING UINT32_MAX\s")
        self.assertEqual(int(values["PREDICT_MULTIMASK"]), abi.MULTIMASK)
        self.assertEqual(int(values["PREDICT_NORMALIZED"]), abi.PREDICT_NORMALIZED)
        self.assertEqual(int(values["PROMPT_KEEP_POINTS"]), abi.KEEP_POINTS)
        self.assertEqual(int(values["PROMPT_NORMALIZED"]), abi.PROMPT_NORMALIZED)
        self.assertEqual((int(values["MEMORY_HOST"]), int(values["MEMORY_CUDA"])), (abi.HOST, abi.CUDA))

    def test_every_status_has_its_exception(self):
        from sam2_engine import _errors

        statuses = {int(number) for _, number in re.findall(r"(SAM2_ERROR_\w+) = (\d+),", HEADER)}
        self.assertEqual(statuses, set(_errors._BY_STATUS))


if __name__ == "__main__":
    unittest.main()
