"""Tests of image files and Pillow images."""

import unittest

import numpy as np

import sam2_engine as s
from sam2_engine import _picture
from support import ROOT, Case, demo

try:
    from PIL import Image, ImageOps
except ImportError:
    Image = None

GOLDEN = ROOT / "tests/data/golden"


def rgb(pixels):
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


def gray16(values):
    """Writes a PNG of 16-bit gray."""
    import struct
    import zlib

    height, width = values.shape
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Files(Case):
    def test_formats(self):
        for name in ("lossy.webp", "rgb.gif", "palette.tif", "gray16.pgm", "rle8.bmp", "text.ppm"):
            file = GOLDEN / "pictures" / name
            self.same(rgb(s.read_picture(file)), rgb(s.read_picture(f"{file}.png")))

    def test_upright(self):
        for name in ("orient6.jpg", "orient5.png", "orient6.webp"):
            file = GOLDEN / "pictures" / name
            with self.assertLogs("sam2_engine", "WARNING") as logged:
                self.assertEqual(s.read_picture(file).shape, (17, 23, 3))
            self.assertIn(f"EXIF orientation {name[6]}", logged.output[0])
            self.same(s.read_picture(file, upright=True), s.read_picture(f"{file}.png"))

    def test_bit_depth(self):
        import tempfile

        values = np.array([[0, 15, 16], [2048, 4095, 1]], np.uint16)
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(gray16(values))
            file.flush()
            with self.assertLogs("sam2_engine", "WARNING") as logged:
                self.same(s.read_picture(file.name), (values >> 8).astype(np.uint8))
            self.assertIn("largest value is 4095", logged.output[0])
            self.same(s.read_picture(file.name, bit_depth=12), (values >> 4).astype(np.uint8))
            with self.assertRaises(s.FileError):
                s.read_picture(file.name, bit_depth=11)
        with self.assertRaises(ValueError):
            s.read_picture(GOLDEN / "pictures/rgb.bmp", bit_depth=17)

    def test_arrays_of_16_bits(self):
        with self.assertRaisesRegex(ValueError, "scale it to uint8"):
            s.SAM2ImagePredictor(demo()).set_image(np.zeros((20, 30, 3), np.uint16))


@unittest.skipIf(Image is None, "no Pillow")
class Pillow(Case):
    def test_16_bits_are_as_in_the_file(self):
        values = (np.arange(30 * 40).reshape(30, 40) * 54).astype(np.uint16)
        for mode in ("I;16", "I;16B"):
            image = Image.frombytes(mode, (40, 30), values.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
            self.same(_picture.of_pillow(image), (values >> 8).astype(np.uint8))
        predictor = s.SAM2ImagePredictor(demo())
        embeddings = []
        for image in (image, (values >> 8).astype(np.uint8)):
            predictor.set_image(image)
            embeddings.append(predictor.get_image_embedding())
        self.same(*embeddings)
        dark = Image.frombytes("I;16", (40, 30), (values >> 4).astype("<u2").tobytes())
        with self.assertLogs("sam2_engine", "WARNING") as logged:
            _picture.of_pillow(dark)
        self.assertIn("largest value is 4046", logged.output[0])

    def test_modes(self):
        colour = Image.open(GOLDEN / "pictures/lossy_alpha.webp").convert("RGBA")
        for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"):
            through = {"PA": "P", "LA": "L"}.get(mode, "RGB")
            image = colour.convert("RGB").convert(through).convert(mode)
            self.same(_picture.of_pillow(image), np.asarray(image.convert("RGB")))
        for mode in ("I", "F"):
            with self.assertRaisesRegex(ValueError, f"mode {mode}, whose values have no fixed range: scale"):
                _picture.of_pillow(colour.convert("L").convert(mode))
        # Older versions of Pillow do not convert it.
        lab = Image.new("LAB", (4, 4))
        try:
            expected = np.asarray(lab.convert("RGB"))
        except ValueError:
            with self.assertRaisesRegex(ValueError, "mode LAB"):
                _picture.of_pillow(lab)
        else:
            self.same(_picture.of_pillow(lab), expected)

    def test_orientation(self):
        for name in ("orient6.jpg", "orient3.png"):
            with Image.open(GOLDEN / "pictures" / name) as image:
                with self.assertLogs("sam2_engine", "WARNING") as logged:
                    stored = _picture.of_pillow(image)
                self.assertIn(f"EXIF orientation {name[6]}", logged.output[0])
                self.same(stored, np.asarray(image.convert("RGB")))
                upright = _picture.of_pillow(ImageOps.exif_transpose(image))
            self.same(upright, s.read_picture(GOLDEN / "pictures" / name, upright=True))


if __name__ == "__main__":
    unittest.main()
