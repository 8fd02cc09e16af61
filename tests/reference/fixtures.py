"""Small inputs cut from the demo pictures, and the mini21 checkpoint in every form an engine must read.

  fixtures.py inputs DIR            coffee.png (198x131) and chelsea.png (120x160)
  fixtures.py clip DIR              24 frames of 160x96: a walk over the cat, nearer and nearer
  fixtures.py forms MINI21 DIR      MINI21 as .pt and under Hugging Face's names; a trainer's checkpoint of two tensors
"""
import os, sys
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


def forms(mini21, out):
    from safetensors.torch import load_file, save_file
    from keymap import to_hf
    sd = load_file(mini21)
    torch.save({"model": sd}, f"{out}/mini21.pt")
    save_file({k: v.clone() for k, v in to_hf(sd).items()}, f"{out}/mini21_hf.safetensors", metadata={"format": "pt"})

    # As the reference's trainer saves: much beside the model, of classes that no reader needs.
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
    {"inputs": inputs, "clip": clip, "forms": forms}[sys.argv[1]](*sys.argv[2:])
