"""The reference's network in parts that other engines can run, the inputs of these parts, and their exports.

A part has inputs and outputs of fixed shapes. Weights and position encodings are constants of the part. The parts equal
the reference's predictors without the steps around the network: images are resized before, and masks enlarged
afterwards.
"""
import functools, os, subprocess, sys
import shared

PARTS = ["encode", "1 click", f"{shared.CLICKS} clicks", "memory attention", "memory encoder"]
SIDE, TOKENS = 1024, 4096  # of the input, and of a frame's features
MEMORIES, POINTER_TOKENS = 7, 16 * 4  # the most of a tracked object


@functools.cache
def reference(size, exportable):
    """The reference's model; `exportable`: without complex numbers, which ONNX lacks, for a batch of one."""
    from common import build
    from sam2.modeling.sam.transformer import RoPEAttention
    model = build(size, shared.weights(size), video=True)
    model.requires_grad_(False)
    for attention in (m for m in model.modules() if exportable and isinstance(m, RoPEAttention)):
        attention.forward = functools.partial(real_rope, attention)
        attention.register_buffer("cos", attention.freqs_cis.real.clone())
        attention.register_buffer("sin", attention.freqs_cis.imag.clone())
    table = model.image_encoder.trunk._get_pos_embed((SIDE // 4,) * 2)
    model.image_encoder.trunk._get_pos_embed = lambda _: table
    return model


def module(part, size, exportable=False):
    """A part of the reference."""
    import torch
    model = reference(size, exportable)

    class Part(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model
            self.register_buffer("dense", model.sam_prompt_encoder.get_dense_pe())

    class Encode(Part):
        def forward(self, picture):
            high0, high1, embed = self.model.forward_image(picture)["backbone_fpn"]
            return high0, high1, embed + self.model.no_mem_embed.view(1, -1, 1, 1)

    class Click(Part):
        def forward(self, high0, high1, embed, points):
            labels = torch.ones(points.shape[0], 1, dtype=torch.int32)
            sparse, dense = self.model.sam_prompt_encoder(points=(points, labels), boxes=None, masks=None)
            masks, ious, _, score = self.model.sam_mask_decoder(
                image_embeddings=embed, image_pe=self.dense, sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense,
                multimask_output=True, repeat_image=True, high_res_features=[high0, high1])
            return masks, ious, score

    class MemoryAttention(Part):
        def forward(self, current, memory, current_pos, memory_pos):
            return self.model.memory_attention([current], memory, [current_pos], memory_pos, POINTER_TOKENS)

    class MemoryEncoder(Part):
        def forward(self, embed, mask):
            return self.model.memory_encoder(embed, mask, skip_mask_sigmoid=True)["vision_features"]

    kinds = {"encode": Encode, "memory attention": MemoryAttention, "memory encoder": MemoryEncoder}
    return kinds.get(part, Click)().eval()


def real_rope(self, q, k, v, num_k_exclude_rope=0):
    """RoPEAttention.forward in real numbers."""
    import torch
    q, k, v = (self._separate_heads(f(x), self.num_heads) for f, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v)))

    def turned(x):
        a, b = x.reshape(1, -1, *self.cos.shape, 2).unbind(-1)
        return torch.stack((a * self.cos - b * self.sin, a * self.sin + b * self.cos), -1).reshape(1, 1, -1, x.shape[-1])

    n = int(k.shape[-2]) - num_k_exclude_rope
    k = torch.cat((turned(k[:, :, :n]), k[:, :, n:]), 2)
    out = torch.nn.functional.scaled_dot_product_attention(turned(q), k, v)
    return self.out_proj(self._recombine_heads(out))


def given(part):
    """Inputs of a part other than the features of the image, which each engine's encoder computes for its clicks."""
    import numpy as np
    from PIL import Image
    from sam2.utils.transforms import SAM2Transforms
    rng = np.random.default_rng(0)
    random = lambda *dims: rng.standard_normal(dims, np.float32)
    if part == "encode":
        return [SAM2Transforms(SIDE, 0)(np.array(Image.open(shared.picture())))[None].numpy()]
    if part == "memory attention":
        keys = MEMORIES * TOKENS + POINTER_TOKENS
        return [random(TOKENS, 1, 256), random(keys, 1, 64), random(TOKENS, 1, 256), random(keys, 1, 64)]
    if part == "memory encoder":
        return [random(1, 256, 64, 64), np.where(random(1, 1, SIDE, SIDE) > 0, np.float32(10), np.float32(-10))]
    points = np.float32(shared.clicks(int(part.split()[0])))[:, None]
    return [points * (np.float32(SIDE) / np.float32(shared.SIZE))]


def path(folder, size, part, kind):
    return os.path.join(folder, f"{size}_{part.replace(' ', '_')}.{kind}")


def export(folder, size, part):
    """Writes a part as ONNX, and its inputs as .npz, in a process of its own, unless the files exist."""
    if not os.path.exists(path(folder, size, part, "onnx")):
        print(f"exporting {part}", file=sys.stderr)
        subprocess.run([sys.executable, os.path.abspath(__file__), folder, size, part], check=True)


def main():
    import numpy as np, torch, warnings
    warnings.filterwarnings("ignore")
    folder, size, part = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    arrays = given(part)
    np.savez(path(folder, size, part, "npz"), *arrays)
    features = [torch.randn(1, 32, 256, 256), torch.randn(1, 64, 128, 128), torch.randn(1, 256, 64, 64)] if "click" in part else []
    whole = path(folder, size, part, "onnx")
    with torch.no_grad():
        inputs = (*features, *map(torch.from_numpy, arrays))
        torch.onnx.export(module(part, size, exportable=True), inputs, whole + ".part", opset_version=17, dynamo=False)
    os.rename(whole + ".part", whole)


if __name__ == "__main__":
    main()
