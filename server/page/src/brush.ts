// A stroke of the brush or the eraser on a mask.
import { canvasOf } from "./dom";
import type { Layer } from "./layer";
import { encode } from "./rle";
import type { Rle } from "./types";

/** The mask at full size while it is being edited. */
export class Stroke {
  /** What is seen while the stroke is drawn. */
  readonly canvas: HTMLCanvasElement;
  private readonly ctx: CanvasRenderingContext2D;
  private readonly data: Uint8Array;
  private lastX: number | null = null;
  private lastY = 0;

  constructor(
    private readonly width: number, private readonly height: number, layer: Layer | null, color: string,
    private readonly value: 0 | 1, private readonly radius: number,
  ) {
    this.data = new Uint8Array(width * height);
    [this.canvas, this.ctx] = canvasOf(width, height);
    layer?.draw(this.ctx, color);
    this.ctx.globalCompositeOperation = value ? "source-over" : "destination-out";
    this.ctx.strokeStyle = color;
    this.ctx.lineWidth = radius * 2;
    this.ctx.lineCap = "round";
    if (layer) {
      const from = layer.bits;
      for (let row = 0; row < from.h; row++) {
        this.data.set(from.data.subarray(row * from.w, (row + 1) * from.w), (row + from.y) * width + from.x);
      }
    }
  }

  to(x: number, y: number): void {
    const fromX = this.lastX ?? x, fromY = this.lastX === null ? y : this.lastY;
    const steps = Math.max(1, Math.ceil(Math.hypot(x - fromX, y - fromY) / Math.max(1, this.radius / 3)));
    for (let i = 1; i <= steps; i++) this.disc(fromX + ((x - fromX) * i) / steps, fromY + ((y - fromY) * i) / steps);
    this.ctx.beginPath();
    this.ctx.moveTo(fromX, fromY);
    this.ctx.lineTo(x, y);
    this.ctx.stroke();
    this.lastX = x;
    this.lastY = y;
  }

  private disc(x: number, y: number): void {
    const r = this.radius;
    for (let row = Math.max(0, Math.floor(y - r)); row <= Math.min(this.height - 1, Math.ceil(y + r)); row++) {
      const dy = row + 0.5 - y;
      const half = Math.sqrt(Math.max(0, r * r - dy * dy));
      const first = Math.max(0, Math.round(x - half)), last = Math.min(this.width, Math.round(x + half));
      if (last > first) this.data.fill(this.value, row * this.width + first, row * this.width + last);
    }
  }

  rle(): Rle {
    const { width, height, data } = this;
    let left = width, right = -1, top = height, bottom = -1, area = 0;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!data[i]) continue;
        area++;
        if (x < left) left = x;
        if (x > right) right = x;
        if (y < top) top = y;
        bottom = y;
      }
    }
    if (!area) return encode({ x: 0, y: 0, w: 0, h: 0, data: new Uint8Array(0), area, width, height });
    const w = right - left + 1, h = bottom - top + 1;
    const cut = new Uint8Array(w * h);
    for (let row = 0; row < h; row++) cut.set(data.subarray((row + top) * width + left, (row + top) * width + right + 1), row * w);
    return encode({ x: left, y: top, w, h, data: cut, area, width, height });
  }
}
