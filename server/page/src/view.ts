// Where the picture lies on the stage: zoom and position.
import { clamp } from "./dom";

export interface Padding { readonly top: number; readonly right: number; readonly bottom: number; readonly left: number }

export class View {
  scale = 1;
  x = 0;
  y = 0;
  private fitted = true;
  private fitScale = 1;

  constructor(public width = 1, public height = 1) {}

  /** Shows the whole picture in the middle of the stage. */
  fit(stageWidth: number, stageHeight: number, padding: Padding): void {
    const w = Math.max(40, stageWidth - padding.left - padding.right);
    const h = Math.max(40, stageHeight - padding.top - padding.bottom);
    this.scale = this.fitScale = Math.min(w / this.width, h / this.height, 8);
    this.x = padding.left + (w - this.width * this.scale) / 2;
    this.y = padding.top + (h - this.height * this.scale) / 2;
    this.fitted = true;
  }

  get isFitted(): boolean { return this.fitted; }

  zoom(factor: number, atX: number, atY: number): void {
    const next = clamp(this.scale * factor, this.fitScale * 0.4, Math.max(32, this.fitScale * 8));
    this.x = atX - ((atX - this.x) * next) / this.scale;
    this.y = atY - ((atY - this.y) * next) / this.scale;
    this.scale = next;
    this.fitted = false;
  }

  pan(dx: number, dy: number): void {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
  }

  toImage(x: number, y: number): { x: number; y: number } {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  toStage(x: number, y: number): { x: number; y: number } {
    return { x: x * this.scale + this.x, y: y * this.scale + this.y };
  }
}
