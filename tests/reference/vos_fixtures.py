"""Small label sets of drawn shapes, predicted masks for them, and the figures of the reference's evaluator.

  vos_fixtures.py SAM2 DIR          SAM2 is a checkout of the reference; DIR is cli/tests/data/eval

Needs opencv-python-headless, scikit-image and tqdm. Every set is DIR/SET/gt and DIR/SET/pred, its figures are in
DIR/figures.json, and beside them the evaluator's own table.
"""
import json, os, shutil, sys
import numpy as np
from PIL import Image

COLOURS = [0, 0, 0, 230, 60, 60, 60, 180, 90, 70, 120, 230, 240, 200, 40, 170, 90, 210, 20, 20, 20]


def disk(h, w, x, y, r):
    yy, xx = np.mgrid[:h, :w]
    return (xx - x) ** 2 + (yy - y) ** 2 <= r * r


def rect(h, w, x0, y0, x1, y1):
    yy, xx = np.mgrid[:h, :w]
    return (xx >= x0) & (xx < x1) & (yy >= y0) & (yy < y1)


def draw(h, w, *objects):
    labels = np.zeros((h, w), np.uint8)
    for number, mask in objects:
        labels[mask] = number
    return labels


def blob(rng, h, w, cells):
    """An uneven shape with holes and islands."""
    coarse = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
    return np.array(coarse.resize((w, h), Image.Resampling.BICUBIC)) > 0.55


def save(path, labels, kind="palette"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    picture = Image.fromarray(labels)
    if kind == "palette":
        picture.putpalette(COLOURS)
    elif kind == "bit":
        picture = Image.fromarray(labels > 0)
    # With few colours, several pixels are packed into a byte.
    bits = {"bits": 2} if kind == "palette" and labels.max() < 4 and labels.shape[1] % 2 else {}
    picture.save(path, optimize=True, **bits)


def moving(i, x=0, y=0, grow=0):
    """A disk and a box that move. From frame 3 on there is a third object, and from frame 5 on there is no box."""
    h, w = 44, 60
    parts = [(1, disk(h, w, 12 + 4 * i + x, 14 + y, 8 + grow))]
    if i < 5:
        parts.append((2, rect(h, w, 34 - 3 * i + x, 20 + y, 50 - 3 * i + x + grow, 38 + y)))
    if i >= 3:
        parts.append((3, disk(h, w, 50 - x, 36, 5)))
    return draw(h, w, *parts)


def davis(root):
    def both(video, frame, true, found, kind="palette"):
        save(f"{root}/gt/{video}/{frame:05d}.png", true)
        save(f"{root}/pred/{video}/{frame:05d}.png", found, kind)

    for i in range(8):
        found = moving(i, x=i % 3, y=1, grow=i % 2)
        if i in (2, 6):
            found[2:6, 50:58] = 4  # label of no object
        both("shapes", i, moving(i), found)

        # Object 2 is never predicted, and object 1 is absent for some frames.
        true = moving(i)
        found = np.where(true == 2, 0, true).astype(np.uint8)
        both("missing", i, true, np.where(found == 1, 0, found).astype(np.uint8) if i in (3, 4) else found)

    # Single pixels: in corners, on edges, slightly off, far off. Also frames without pixels.
    h, w = 30, 41
    places = [[(0, 0), (40, 29)], [(40, 0), (20, 15)], [(0, 29), (20, 29)], [(5, 5)], [], [(40, 15)], [(39, 28)]]
    offs = [(0, 0), (1, 0), (0, -1), (3, 2), (0, 0), (-1, 0), (1, 1)]
    for i, (pixels, (dx, dy)) in enumerate(zip(places, offs)):
        true, found = np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8)
        for k, (x, y) in enumerate(pixels):
            true[y, x] = k + 1
            found[max(y + dy, 0) % h, max(x + dx, 0) % w] = k + 1
        both("specks", i, true, found)

    # Objects as wide and as high as the image, and outlines that fit the disk except for its corners.
    h, w = 150, 260
    for i in range(5):
        true = draw(h, w, (1, rect(h, w, 0, 0, w, 40 + i)), (2, rect(h, w, 200, 0, w, h)), (5, disk(h, w, 100, 95, 30)))
        found = draw(h, w, (1, rect(h, w, 0, 0, w, 38)), (2, rect(h, w, 197 + i, 0, w, h)), (5, disk(h, w, 102 + i, 96 + i, 30)))
        both("edges", i, true, found)

    # Uneven shapes, in gray.
    rng = np.random.default_rng(5)
    for i in range(5):
        h, w = 90, 121
        true = draw(h, w, (1, blob(rng, h, w, 9)), (6, blob(rng, h, w, 7)))
        found = np.roll(true, (i, 2 - i), (0, 1))
        both("blobs", i, true, found, "gray")

    both("short", 0, moving(0), moving(1))  # too short to be scored
    both("short", 1, moving(1), moving(1))
    save(f"{root}/gt/unpredicted/00000.png", moving(0))
    save(f"{root}/pred/unasked/00000.png", moving(0))


def sav(root):
    """A PNG per object, every fourth frame. Predictions are on every frame, which is more than needed."""
    h, w = 64, 36
    for i in range(0, 25, 4):
        masks = {"000": disk(h, w, 8 + i, 20, 7), "001": disk(h, w, 8 + i, 20, 3), "002": rect(h, w, 4, 40, 20, 60) & (i >= 12)}
        if i == 16:
            masks["001"] = np.zeros((h, w), bool)  # hidden
        for k, (name, mask) in enumerate(masks.items()):
            if name == "002" and i == 0:
                continue  # annotated from a later frame on
            value, kind = [(255, "gray"), (1, "palette"), (1, "bit")][k]
            save(f"{root}/gt/one/{name}/{i:05d}.png", (mask * value).astype(np.uint8), kind)
    for i in range(0, 25, 2):
        found = {"000": disk(h, w, 9 + i, 21, 7), "001": disk(h, w, 8 + i, 20, 4), "002": rect(h, w, 4, 40, 20, 58) & (i >= 8)}
        for name, mask in found.items():
            save(f"{root}/pred/one/{name}/{i:05d}.png", mask.astype(np.uint8))
            if name == "000":
                save(f"{root}/gt/two/{name}/{i:05d}.png", mask.astype(np.uint8))
                save(f"{root}/pred/two/{name}/{i:05d}.png", np.zeros((h, w), np.uint8))


def figures(benchmark, root, skip):
    jf, j, f, objects = benchmark([f"{root}/gt"], [f"{root}/pred"], False, 1, verbose=False, skip_first_and_last=skip)
    table = open(f"{root}/pred/results.csv").read()
    os.remove(f"{root}/pred/results.csv")
    name = lambda o: o if isinstance(o, str) else f"{o:03d}"
    videos = {v: {name(o): {"J": float(js[o]), "F": float(fs[o])} for o in js} for v, (js, fs) in objects[0].items()}
    return {"J&F": float(jf[0]), "J": float(j[0]), "F": float(f[0]), "videos": videos}, table


if __name__ == "__main__":
    checkout, out = sys.argv[1:]
    sys.path.insert(0, f"{checkout}/sav_dataset")
    from utils.sav_benchmark import benchmark

    shutil.rmtree(out, ignore_errors=True)
    davis(f"{out}/davis")
    sav(f"{out}/sav")
    made = {}
    for name in ("davis", "sav"):
        for skip in (True, False):
            got, table = figures(benchmark, f"{out}/{name}", skip)
            key = name if skip else f"{name}_all_frames"
            made[key] = got
            with open(f"{out}/{key}.csv", "w") as file:
                file.write(table)
    with open(f"{out}/figures.json", "w") as file:
        json.dump(made, file, indent=1)
