// Reads PNG files of 8 bits: grey, palette, RGB and RGBA, not interlaced.
import { inflateSync } from "node:zlib";

/** `{ width, height, channels, data }`; the data of a palette picture are the indices. */
export function readPng(file) {
  let at = 8, width = 0, height = 0, channels = 1;
  const packed = [];
  while (at < file.length) {
    const length = file.readUInt32BE(at), type = file.toString("latin1", at + 4, at + 8);
    const body = file.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") {
      width = body.readUInt32BE(0);
      height = body.readUInt32BE(4);
      channels = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[body[9]];
      if (body[8] !== 8 || body[12] !== 0) return { width, height, channels: 0, data: null };
    } else if (type === "IDAT") packed.push(body);
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(packed));
  const stride = width * channels;
  const data = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const a = x >= channels ? data[y * stride + x - channels] : 0;
      const b = y > 0 ? data[(y - 1) * stride + x] : 0;
      const c = x >= channels && y > 0 ? data[(y - 1) * stride + x - channels] : 0;
      let add = 0;
      if (filter === 1) add = a;
      else if (filter === 2) add = b;
      else if (filter === 3) add = (a + b) >> 1;
      else if (filter === 4) {
        const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c);
        add = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
      }
      data[y * stride + x] = raw[y * (stride + 1) + 1 + x] + add;
    }
  }
  return { width, height, channels, data };
}

/** Width and height of a PNG, JPEG, GIF or WebP file. */
export function sizeOf(file) {
  if (file.toString("latin1", 1, 4) === "PNG") return [file.readUInt32BE(16), file.readUInt32BE(20)];
  if (file.toString("latin1", 0, 3) === "GIF") return [file.readUInt16LE(6), file.readUInt16LE(8)];
  if (file.toString("latin1", 8, 16) === "WEBPVP8X") return [1 + file.readUIntLE(24, 3), 1 + file.readUIntLE(27, 3)];
  if (file[0] === 0xff && file[1] === 0xd8) {
    for (let at = 2; at < file.length - 9; ) {
      const code = file[at + 1];
      if (code >= 0xc0 && code <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(code)) return [file.readUInt16BE(at + 7), file.readUInt16BE(at + 5)];
      at += 2 + file.readUInt16BE(at + 2);
    }
  }
  return null;
}
