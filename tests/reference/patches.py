"""Stores files that hold the tensors of another file in a different form as patches of that file, which are much
smaller.

    python3 tests/reference/patches.py BASE FILE...    FILE becomes FILE.patch

A patch is pieces of `literal length, literal bytes, position in BASE, length there`, numbers as little-endian u32.
`tests/common/weights.rs` applies it.
"""
import json, os, struct, sys

LEAST = 64  # the least bytes of a tensor that is referenced


def tensors(base):
    """Returns (bytes, position) of each tensor of a safetensors file."""
    size = struct.unpack("<Q", base[:8])[0]
    for name, entry in json.loads(base[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + at for at in entry["data_offsets"])
            if end - begin >= LEAST:
                yield base[begin:end], begin


def patch(base, data):
    found, at = [], {}
    for content, place in tensors(base):
        begin = data.find(content, at.get(content, 0))
        assert begin >= 0, "a tensor that is not there"
        at[content] = begin + len(content)
        found.append((begin, len(content), place))
    out, end = b"", 0
    for begin, size, place in sorted(found):
        assert begin >= end, "tensors that overlap"
        out += struct.pack("<I", begin - end) + data[end:begin] + struct.pack("<II", place, size)
        end = begin + size
    return out + struct.pack("<I", len(data) - end) + data[end:] + struct.pack("<II", 0, 0)


if __name__ == "__main__":
    base = open(sys.argv[1], "rb").read()
    for file in sys.argv[2:]:
        with open(file + ".patch", "wb") as f:
            f.write(patch(base, open(file, "rb").read()))
        os.remove(file)
