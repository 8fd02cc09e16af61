// The preview under the pointer: at most one request in 30 ms, and the latest wins.
import { layerOf, type Layer } from "./layer";
import { ApiError } from "./http";
import type { Mask, Point, Rle } from "./types";

const every = 30;

/** Asks for the mask of a point: none if the point has no mask, null if a later request has overtaken this one. */
export type Ask = (point: Point) => Promise<{ readonly rle: Rle; readonly area: number } | undefined | null>;

export class Hover {
  layer: Layer | null = null;
  private wanted: { x: number; y: number } | null = null;
  private number = 0;
  private shownNumber = 0;
  private timer = 0;
  private last = 0;
  private pausedUntil = 0;

  constructor(private readonly maskOf: Ask, private readonly changed: () => void) {}

  move(at: { x: number; y: number }): void {
    this.wanted = at;
    const wait = Math.max(0, this.last + every - performance.now());
    this.timer ||= window.setTimeout(() => { this.timer = 0; void this.ask(); }, wait);
  }

  clear(): void {
    clearTimeout(this.timer);
    this.timer = 0;
    this.wanted = null;
    this.shownNumber = ++this.number;
    if (this.layer) {
      this.layer = null;
      this.changed();
    }
  }

  private async ask(): Promise<void> {
    const at = this.wanted;
    if (!at || performance.now() < this.pausedUntil) return;
    this.last = performance.now();
    const number = ++this.number;
    let mask: Awaited<ReturnType<Ask>>;
    try {
      mask = await this.maskOf({ x: at.x, y: at.y, label: 1 });
    } catch (error) {
      // A busy server gets no more previews for a while.
      if (error instanceof ApiError) this.pausedUntil = performance.now() + 2000;
      return;
    }
    if (mask === null || number < this.shownNumber) return;
    this.shownNumber = number;
    this.layer = mask && mask.area > 0 ? layerOf(mask.rle) : null;
    this.changed();
  }
}

export function bestOf(masks: readonly Mask[]): number {
  return masks.reduce((best, mask, index) => (mask.predicted_iou > (masks[best]?.predicted_iou ?? -1) ? index : best), 0);
}
