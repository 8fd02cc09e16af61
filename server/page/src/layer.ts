// A mask that is ready to be drawn.
import { contour } from "./contour";
import { canvasOf } from "./dom";
import { decode, encode, type Bits } from "./rle";
import type { Rle } from "./types";

let count = 0;

export class Layer {
  readonly id = ++count;
  readonly bits: Bits;
  private path: Path2D | null = null;
  private tinted: HTMLCanvasElement | null = null;
  private tint = "";

  constructor(readonly rle: Rle) {
    this.bits = decode(rle);
  }

  get empty(): boolean { return this.bits.area === 0; }

  get outline(): Path2D { return (this.path ??= contour(this.bits)); }

  /** True if the pixel is on the object. */
  has(x: number, y: number): boolean {
    const b = this.bits;
    const column = Math.floor(x) - b.x, row = Math.floor(y) - b.y;
    return column >= 0 && row >= 0 && column < b.w && row < b.h && b.data[row * b.w + column] === 1;
  }

  /** The mask as a picture of one colour, as large as its box. */
  picture(color: string): HTMLCanvasElement {
    if (this.tinted && this.tint === color) return this.tinted;
    const { w, h, data } = this.bits;
    const [canvas, ctx] = canvasOf(w, h);
    if (w > 0) {
      const pixels = ctx.createImageData(w, h);
      const words = new Uint32Array(pixels.data.buffer);
      const word = packed(color);
      for (let i = 0; i < data.length; i++) if (data[i]) words[i] = word;
      ctx.putImageData(pixels, 0, 0);
    }
    this.tinted = canvas;
    this.tint = color;
    return canvas;
  }

  draw(ctx: CanvasRenderingContext2D, color: string): void {
    if (!this.empty) ctx.drawImage(this.picture(color), this.bits.x, this.bits.y);
  }
}

/** "#rrggbb" as a word of image data on a little-endian machine. */
function packed(color: string): number {
  const n = parseInt(color.slice(1), 16);
  return ((255 << 24) | ((n & 255) << 16) | (n & 0xff00) | (n >> 16)) >>> 0;
}

const known = new WeakMap<Rle, Layer>();

/** The layer of a mask; made once for each answer. */
export function layerOf(rle: Rle): Layer {
  let layer = known.get(rle);
  if (!layer) known.set(rle, (layer = new Layer(rle)));
  return layer;
}

/** Runs the code for masks a few times, so that the browser has compiled it before the first click. */
export function warmUp(): void {
  const size = 320;
  const data = new Uint8Array(size * size).map((_, i) => (Math.hypot((i % size) - size / 2, Math.floor(i / size) - size / 2) < size / 2 ? 1 : 0));
  const rle = encode({ x: 0, y: 0, w: size, h: size, data, area: size * size, width: size, height: size });
  const [, ctx] = canvasOf(8, 8);
  for (let i = 0; i < 4; i++) {
    const layer = new Layer(rle);
    layer.draw(ctx, "#ffffff");
    ctx.stroke(layer.outline);
  }
}
