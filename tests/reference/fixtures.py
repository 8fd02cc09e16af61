"""Small inputs cut from the demo pictures, and the mini21 checkpoint in every form that the engine must read.

  fixtures.py inputs DIR            coffee.png (198x131) and chelsea.png (120x160)
  fixtures.py clip DIR              24 frames of 160x96: the view moves over the cat and comes nearer
  fixtures.py jpegs DIR             JPEG files of every kind, and beside them the pixels that Pillow reads
  fixtures.py forms MINI21 DIR      MINI21 as .pt and under Hugging Face's names; a trainer's checkpoint of two tensors
"""
import os, subprocess, sys
import torch
from PIL import Image


def inputs(out):
    here = os.path.dirname(os.path.abspath(__file__))
    pictures = os.path.join(here, "..", "..", "demo", "pictures")
    coffee = Image.open(f"{pictures}/coffee.png").convert("RGB")
    coffee.resize((198, 131), Image.Resampling.LANCZOS).save(f"{out}/coffee.png")
    cat = Image.open(f"{pictures}/chelsea.png").convert("RGB").crop((80, 20, 275, 280))
    cat.resize((120, 160), Image.Resampling.LANCZOS).save(f"{out}/chelsea.png")


def clip(out):
    here = os.path.dirname(os.path.abspath(__file__))
    cat = Image.open(os.path.join(here, "..", "..", "demo", "pictures", "chelsea.png")).convert("RGB")
    for i in range(24):
        w = 300 - 4 * i
        x, y = 20 + 5 * i, 30 + (i * i) // 12
        frame = cat.resize((160, 96), Image.Resampling.LANCZOS, box=(x, y, x + w, y + w * 0.6))
        frame.save(f"{out}/{i:05d}.jpg", quality=95)


def jpegs(out):
    here = os.path.dirname(os.path.abspath(__file__))
    cat = Image.open(os.path.join(here, "..", "..", "demo", "pictures", "chelsea.png")).convert("RGB").crop((90, 40, 300, 200))
    small = lambda w, h, mode="RGB": cat.resize((w, h), Image.Resampling.LANCZOS).convert(mode)
    small(53, 39).save(f"{out}/444.jpg", quality=95, subsampling=0)
    small(53, 39).save(f"{out}/422_restarts.jpg", quality=85, subsampling=1, restart_marker_blocks=3)
    small(53, 39).save(f"{out}/420.jpg", quality=75, subsampling=2)
    small(51, 33).save(f"{out}/420_progressive.jpg", quality=90, subsampling=2, progressive=True)
    small(37, 50).save(f"{out}/422_progressive_restarts.jpg", quality=60, subsampling=1, progressive=True, restart_marker_rows=1)
    small(4, 21).save(f"{out}/420_narrow.jpg", quality=90, subsampling=2)
    small(1, 1).save(f"{out}/420_pixel.jpg", quality=90, subsampling=2)
    small(53, 39).save(f"{out}/coarse.jpg", quality=5)
    small(53, 39, "L").save(f"{out}/gray.jpg", quality=85)
    small(53, 39).save(f"{out}/rgb.jpg", quality=85, keep_rgb=True)
    small(53, 39, "CMYK").save(f"{out}/cmyk.jpg", quality=85)
    # Samplings that Pillow does not write: what 4:2:2 has as two blocks across is two down in 4:4:0, and the four of
    # 4:2:0 stand side by side in 4:1:1.
    for name, progressive in [("440", False), ("440_progressive", True)]:
        small(64, 16).save(f"{out}/{name}.jpg", quality=85, subsampling=1, progressive=progressive)
        rearrange(f"{out}/{name}.jpg", 0x12, 31, 29)
    small(64, 32).save(f"{out}/411.jpg", quality=85, subsampling=2)
    rearrange(f"{out}/411.jpg", 0x41, 125, 15)
    for name in [f[:-4] for f in sorted(os.listdir(out)) if f.endswith(".jpg")]:
        Image.open(f"{out}/{name}.jpg").convert("RGB").save(f"{out}/{name}.png", optimize=True)


def rearrange(file, sampling, width, height):
    """Changes the size of a file and the sampling of its first colour. The blocks do not change."""
    data = bytearray(open(file, "rb").read())
    frame = max(data.find(b"\xff\xc0\x00\x11\x08"), data.find(b"\xff\xc2\x00\x11\x08"))
    data[frame + 5:frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    data[frame + 11] = sampling
    open(file, "wb").write(data)


def forms(mini21, out):
    from safetensors.torch import load_file, save_file
    from keymap import to_hf
    sd = load_file(mini21)
    torch.save({"model": sd}, f"{out}/mini21.pt")
    save_file({k: v.clone() for k, v in to_hf(sd).items()}, f"{out}/mini21_hf.safetensors", metadata={"format": "pt"})
    forms = [f"{out}/mini21.pt", f"{out}/mini21_hf.safetensors"]
    subprocess.run([sys.executable, f"{os.path.dirname(os.path.abspath(__file__))}/patches.py", mini21, *forms], check=True)

    # The form of the reference's trainer: much beside the model, with classes that no reader needs.
    g = torch.Generator().manual_seed(0)
    m = torch.nn.Linear(5, 3)
    m.weight.data, m.bias.data = torch.randn(3, 5, generator=g), torch.randn(3, generator=g)
    o = torch.optim.AdamW(m.parameters(), lr=1e-4)
    m(torch.ones(2, 5)).sum().backward()
    o.step()
    expected = {k: v.detach().clone().contiguous() for k, v in m.state_dict().items()}
    torch.save({"model": m.state_dict(), "optimizer": o.state_dict(), "epoch": 7, "loss": {"core": torch.ones(2, dtype=torch.float64)},
                "steps": {"train": 1 << 40, "val": -3}, "time_elapsed": 1.5, "best_meter_values": {}, "device": torch.device("cpu"),
                "dtype": torch.float16, "size": torch.Size([2, 3]), "frozen": frozenset(["a"]), "raw": b"bytes"}, f"{out}/trainer.pt")
    save_file(expected, f"{out}/trainer.safetensors")


if __name__ == "__main__":
    os.makedirs(sys.argv[-1], exist_ok=True)
    {"inputs": inputs, "clip": clip, "jpegs": jpegs, "forms": forms}[sys.argv[1]](*sys.argv[2:])
