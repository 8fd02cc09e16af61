"""Goldens of Pillow's bicubic resize of 8-bit images, by which the reference resizes the frames of a video.

  python3 bicubic.py OUT_FOLDER    (tests/data/golden)
"""
import os, sys
from PIL import Image

PHOTO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../demo/pictures/chelsea.png")


def main():
    photo = Image.open(PHOTO).convert("RGB")
    for w, h, side in [(*photo.size, 64), (23, 17, 96), (photo.size[0], 9, 64)]:
        small = photo.crop((0, 0, w, h)).resize((side, side))
        small.save(os.path.join(sys.argv[1], f"bicubic_{w}x{h}_to_{side}.png"), optimize=True)


main()
