"""Image files of every kind that is read, and the pixels that Pillow reads from them.

  pictures.py DIR      NAME.EXT, and beside each NAME.EXT.png: Pillow's convert("RGB"), or of 16-bit gray the upper bytes;
                       of orientN.EXT, upright

Needs only Pillow and numpy, and `tiffcp` for tiles, planes and big TIFFs.
"""
import os, struct, subprocess, sys

import numpy as np
from PIL import Image, ImageOps

here = os.path.dirname(os.path.abspath(__file__))
cat = Image.open(f"{here}/../../demo/pictures/chelsea.png").convert("RGB").crop((90, 40, 300, 200))
rgb = cat.resize((23, 17), Image.Resampling.LANCZOS)
gray, palette = rgb.convert("L"), rgb.quantize(11)
one = gray.point(lambda v: 255 * (v > 110)).convert("1")
rgba = rgb.copy()
rgba.putalpha(Image.fromarray((np.arange(17 * 23) % 256).astype(np.uint8).reshape(17, 23)))
values = np.array(gray).astype(np.uint16)
gray16 = Image.fromarray(values * 257)


def oriented(number):
    exif = Image.Exif()
    exif[0x112] = number
    return exif


def save(image, name, **how):
    image.save(f"{out}/{name}", **how)


def webps():
    save(rgb, "lossy.webp", quality=60)
    save(rgba, "lossy_alpha.webp", quality=90)
    save(rgb, "lossless.webp", lossless=True)
    save(rgba, "lossless_alpha.webp", lossless=True, exact=True)
    save(rgb, "animated.webp", lossless=True, save_all=True, append_images=[gray.convert("RGB")])


def gifs():
    save(rgb, "rgb.gif")
    save(one, "one.gif")
    save(palette, "transparent.gif", transparency=3)
    save(rgb, "animated.gif", save_all=True, append_images=[gray.convert("RGB")])


def bmp(name, bits, compression, data, masks=b"", colours=b"", height=17):
    header = struct.pack("<IiiHHIIiiII", 40, 23, height, 1, bits, compression, len(data), 0, 0, len(colours) // 4, 0)
    start = 14 + len(header) + len(masks) + len(colours)
    head = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    open(f"{out}/{name}", "wb").write(head + header + masks + colours + data)


def bmps():
    for name, image in [("rgb", rgb), ("gray", gray), ("palette", palette), ("one", one), ("rgba", rgba)]:
        save(image, f"{name}.bmp")
    pixels = np.array(rgb).astype(np.uint16)
    rows = lambda words: b"".join(row.astype("<u2").tobytes() + b"\0\0" for row in words)
    five = pixels >> 3
    bmp("555_top_down.bmp", 16, 0, rows(five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]), height=-17)
    words = five[..., 0] << 11 | pixels[..., 1] >> 2 << 5 | five[..., 2]
    bmp("565.bmp", 16, 3, rows(words[::-1]), masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    colours = b"".join(bytes([*colour[::-1], 0]) for colour in np.array(palette.getpalette()[:33]).reshape(11, 3).tolist())
    runs = b"".join(b"".join(bytes([1, i]) for i in row) + b"\0\0" for row in np.array(palette)[::-1].tolist())
    bmp("rle8.bmp", 8, 1, runs + b"\0\1", colours=colours)


def pnms():
    save(rgb, "rgb.ppm")
    save(gray, "gray.pgm")
    save(one, "one.pbm")
    save(gray16, "gray16.pgm")
    text = lambda numbers: " ".join(map(str, numbers.ravel().tolist()))
    open(f"{out}/text.ppm", "w").write(f"P3\n# a comment\n23 17\n255\n{text(np.array(rgb))}\n")
    open(f"{out}/text_of_15.pgm", "w").write(f"P2 23 17 15\n{text(np.array(gray) // 17)}\n")
    open(f"{out}/text.pbm", "w").write(f"P1\n23 17\n{text(np.array(gray) // 128)}\n")
    open(f"{out}/of_4095.pgm", "wb").write(b"P5\n23 17\n4095\n" + (values * 16 + values // 16).astype(">u2").tobytes())
    open(f"{out}/rgb16.ppm", "wb").write(b"P6\n23 17\n65535\n" + (np.array(rgb).astype(int) * 257).astype(">u2").tobytes())


def tiffs():
    kinds = {"rgb": rgb, "gray": gray, "palette": palette, "one": one, "rgba": rgba, "gray_alpha": rgba.convert("LA"),
             "cmyk": rgb.convert("CMYK"), "gray16": gray16}
    for name, image in kinds.items():
        save(image, f"{name}.tif")
    save(rgb, "lzw.tif", compression="tiff_lzw")
    save(rgb, "deflate.tif", compression="tiff_adobe_deflate")
    save(gray, "packbits.tif", compression="packbits")
    save(one, "fax.tif", compression="group4")
    save(rgb, "two_pages.tif", save_all=True, append_images=[gray])
    for name, how in [("tiles", "-t -w 16 -l 16 -c zip"), ("planes", "-p separate"), ("big", "-8"), ("big_endian", "-B")]:
        for kind in ["rgb", "palette"] if name in ("big", "big_endian") else ["rgb"]:
            subprocess.run(["tiffcp", *how.split(), f"{out}/{kind}.tif", f"{out}/{name}_{kind}.tif"], check=True)


def orientations():
    for number in range(1, 9):
        save(rgb, f"orient{number}.png", exif=oriented(number))
        save(rgb, f"orient{number}.jpg", exif=oriented(number), quality=95, subsampling=0)
    save(rgb, "orient6.webp", exif=oriented(6), lossless=True)
    save(rgb, "orient8.tif", tiffinfo={0x112: 8})


out = sys.argv[1]
os.makedirs(out, exist_ok=True)
for make in (webps, gifs, bmps, pnms, tiffs, orientations):
    make()
for name in sorted(os.listdir(out)):
    image = Image.open(f"{out}/{name}")
    if name.startswith("orient"):
        pixels = ImageOps.exif_transpose(image).convert("RGB")
    elif image.mode.startswith("I"):
        pixels = Image.fromarray((np.array(image) >> 8).astype(np.uint8)).convert("RGB")
    else:
        pixels = image.convert("RGB")
    pixels.save(f"{out}/{name}.png", optimize=True)
