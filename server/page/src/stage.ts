// The stage: one canvas with the picture, the masks and the marks over it.
import { canvasOf, clamp, context, h } from "./dom";
import { apply, isOverlay, type EffectOptions } from "./effects";
import type { Layer } from "./layer";
import { Pointer, type Gestures } from "./pointer";
import type { Box, Point } from "./types";
import { View, type Padding } from "./view";

export interface DrawnMask { readonly layer: Layer; readonly color: string; readonly strength: "low" | "normal" | "high" }

export interface Scene {
  readonly picture: CanvasImageSource | null;
  readonly masks: readonly DrawnMask[];
  readonly preview: { readonly layer: Layer; readonly color: string } | null;
  readonly points: readonly Point[];
  readonly box: Box | null;
  readonly color: string;
  readonly cross: { readonly x: number; readonly y: number } | null;
  readonly brush: { readonly x: number; readonly y: number; readonly radius: number } | null;
  /** The mask that is being drawn. */
  readonly live: HTMLCanvasElement | null;
  readonly effect: EffectOptions;
  /** Changes when the masks or the picture have changed. */
  readonly stamp: string;
}

export class Stage {
  readonly canvas = h("canvas", {
    class: "stage-canvas", tabindex: 0, role: "application",
    "aria-label": "Picture. Click to mark an object, drag to draw a box. Press question mark for the keys.",
  });
  readonly view = new View();
  readonly pointer: Pointer;
  private readonly ctx = context(this.canvas);
  private readonly watcher: ResizeObserver;
  private asked = 0;
  private width = 1;
  private height = 1;
  private effectKey = "";
  private effectPicture: HTMLCanvasElement | null = null;
  private base: { canvas: HTMLCanvasElement; key: string; picture: CanvasImageSource } | null = null;
  private checks: CanvasPattern | null = null;

  constructor(private readonly host: HTMLElement, gestures: Gestures, private readonly scene: () => Scene) {
    host.prepend(this.canvas);
    this.pointer = new Pointer(this.canvas, gestures);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(host);
    this.resize();
  }

  close(): void {
    this.watcher.disconnect();
    cancelAnimationFrame(this.asked);
    this.canvas.remove();
  }

  setSize(width: number, height: number): void {
    if (this.view.width === width && this.view.height === height) return;
    this.view.width = width;
    this.view.height = height;
    this.fit();
  }

  fit(): void {
    this.view.fit(this.width, this.height, this.padding());
    this.draw();
  }

  zoomBy(factor: number): void {
    this.view.zoom(factor, this.width / 2, this.height / 2);
    this.draw();
  }

  /** Draws before the next frame of the screen. */
  invalidate(): void {
    this.asked ||= requestAnimationFrame(() => this.draw());
  }

  private padding(): Padding {
    return this.width < 620 ? { top: 8, right: 8, bottom: 8, left: 8 } : { top: 24, right: 24, bottom: 24, left: 76 };
  }

  private resize(): void {
    const ratio = devicePixelRatio || 1;
    this.width = Math.max(1, this.host.clientWidth);
    this.height = Math.max(1, this.host.clientHeight);
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    if (this.view.isFitted) this.view.fit(this.width, this.height, this.padding());
    this.draw();
  }

  /** Draws now. */
  draw(): void {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    const { ctx, view } = this;
    const scene = this.scene();
    const ratio = devicePixelRatio || 1;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, this.width, this.height);
    if (!scene.picture) return;
    ctx.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
    ctx.imageSmoothingEnabled = view.scale < 5;
    ctx.imageSmoothingQuality = "high";
    const overlay = isOverlay(scene.effect.effect) || !scene.masks.length;
    if (overlay) this.drawPicture(scene.picture, ratio);
    else this.drawEffect(scene);
    const px = 1 / view.scale;
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, 0, view.width, view.height);
    ctx.clip();
    for (const mask of scene.masks) this.drawMask(mask, overlay, scene.effect.effect === "outline", px);
    if (scene.live) {
      ctx.globalAlpha = 0.55;
      ctx.drawImage(scene.live, 0, 0);
      ctx.globalAlpha = 1;
    }
    if (scene.preview) {
      ctx.globalAlpha = 0.42;
      scene.preview.layer.draw(ctx, scene.preview.color);
      ctx.globalAlpha = 1;
      this.stroke(scene.preview.layer.outline, scene.preview.color, 1.5 * px);
    }
    ctx.restore();
    this.drawMarks(scene, px);
  }

  /** Draws the picture as it was scaled before, if nothing has moved: scaling a large picture takes time. */
  private drawPicture(picture: CanvasImageSource, ratio: number): void {
    const { ctx, view, canvas } = this;
    const key = [view.scale, view.x, view.y, canvas.width, canvas.height].join();
    if (this.base?.picture !== picture || this.base.key !== key) {
      if (this.base?.canvas.width !== canvas.width || this.base.canvas.height !== canvas.height) {
        this.base = { canvas: canvasOf(canvas.width, canvas.height)[0], key, picture };
      } else this.base = { canvas: this.base.canvas, key, picture };
      const base = context(this.base.canvas);
      base.setTransform(1, 0, 0, 1, 0, 0);
      base.clearRect(0, 0, canvas.width, canvas.height);
      base.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
      base.imageSmoothingEnabled = ctx.imageSmoothingEnabled;
      base.imageSmoothingQuality = "high";
      base.drawImage(picture, 0, 0, view.width, view.height);
    }
    ctx.save();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.drawImage(this.base.canvas, 0, 0);
    ctx.restore();
  }

  private drawEffect(scene: Scene): void {
    const { view, ctx } = this;
    const { effect, color, onObjects } = scene.effect;
    const key = `${scene.stamp} ${effect} ${color} ${onObjects}`;
    if (key !== this.effectKey || !this.effectPicture) {
      this.effectKey = key;
      this.effectPicture = scene.picture && apply(scene.picture, view.width, view.height, scene.effect, (mask) => {
        for (const { layer } of scene.masks) layer.draw(mask, "#ffffff");
      });
    }
    if (effect === "cutout") {
      ctx.save();
      ctx.fillStyle = this.checkered();
      ctx.beginPath();
      ctx.rect(0, 0, view.width, view.height);
      ctx.clip();
      ctx.scale(1 / view.scale, 1 / view.scale);
      ctx.fillRect(0, 0, view.width * view.scale, view.height * view.scale);
      ctx.restore();
    }
    if (this.effectPicture) ctx.drawImage(this.effectPicture, 0, 0);
  }

  private checkered(): CanvasPattern | string {
    if (!this.checks) {
      const [tile, ctx] = canvasOf(16, 16);
      ctx.fillStyle = "#e9e9ee";
      ctx.fillRect(0, 0, 16, 16);
      ctx.fillStyle = "#d3d3db";
      ctx.fillRect(0, 0, 8, 8);
      ctx.fillRect(8, 8, 8, 8);
      this.checks = this.ctx.createPattern(tile, "repeat");
    }
    return this.checks ?? "#e9e9ee";
  }

  private drawMask(mask: DrawnMask, filled: boolean, outlineOnly: boolean, px: number): void {
    if (mask.layer.empty) return;
    const high = mask.strength === "high", low = mask.strength === "low";
    if (filled && !outlineOnly) {
      this.ctx.globalAlpha = high ? 0.5 : low ? 0.3 : 0.4;
      mask.layer.draw(this.ctx, mask.color);
      this.ctx.globalAlpha = 1;
    }
    if (filled || high) this.stroke(mask.layer.outline, mask.color, (high || outlineOnly ? 2.2 : 1.4) * px);
  }

  private stroke(path: Path2D, color: string, width: number): void {
    const { ctx } = this;
    ctx.lineJoin = "round";
    ctx.lineWidth = width;
    ctx.strokeStyle = color;
    ctx.stroke(path);
  }

  private drawMarks(scene: Scene, px: number): void {
    const { ctx } = this;
    if (scene.box) {
      const [l, t, r, b] = scene.box;
      ctx.lineWidth = 3.5 * px;
      ctx.strokeStyle = "rgba(0, 0, 0, 0.45)";
      ctx.strokeRect(l, t, r - l, b - t);
      ctx.lineWidth = 1.75 * px;
      ctx.strokeStyle = scene.color;
      ctx.strokeRect(l, t, r - l, b - t);
    }
    for (const point of scene.points) {
      ctx.beginPath();
      ctx.arc(point.x, point.y, 7.5 * px, 0, Math.PI * 2);
      ctx.fillStyle = point.label ? scene.color : "#ffffff";
      ctx.shadowColor = "rgba(0, 0, 0, 0.45)";
      ctx.shadowBlur = 6;
      ctx.fill();
      ctx.shadowColor = "transparent";
      ctx.lineWidth = 2 * px;
      ctx.strokeStyle = point.label ? "#ffffff" : "#d4313b";
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(point.x - 3 * px, point.y);
      ctx.lineTo(point.x + 3 * px, point.y);
      if (point.label) {
        ctx.moveTo(point.x, point.y - 3 * px);
        ctx.lineTo(point.x, point.y + 3 * px);
      }
      ctx.stroke();
    }
    if (scene.brush) {
      ctx.beginPath();
      ctx.arc(scene.brush.x, scene.brush.y, scene.brush.radius, 0, Math.PI * 2);
      this.twice(px);
    }
    if (scene.cross) {
      const { x, y } = scene.cross;
      ctx.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
        ctx.moveTo(x + dx * 4 * px, y + dy * 4 * px);
        ctx.lineTo(x + dx * 14 * px, y + dy * 14 * px);
      }
      this.twice(px);
    }
  }

  /** A light line on a dark one, which is seen on every picture. */
  private twice(px: number): void {
    this.ctx.lineWidth = 3.5 * px;
    this.ctx.strokeStyle = "rgba(0, 0, 0, 0.6)";
    this.ctx.stroke();
    this.ctx.lineWidth = 1.5 * px;
    this.ctx.strokeStyle = "#ffffff";
    this.ctx.stroke();
  }

  /** A point of the stage in pixels of the picture, kept inside. */
  inside(at: { readonly x: number; readonly y: number }): { x: number; y: number } {
    const p = this.view.toImage(at.x, at.y);
    return { x: clamp(p.x, 0, this.view.width - 1e-3), y: clamp(p.y, 0, this.view.height - 1e-3) };
  }

  /** True if the point of the stage is on the picture, or close to it. */
  isOn(at: { readonly x: number; readonly y: number }, slack = 0): boolean {
    const p = this.view.toImage(at.x, at.y);
    const s = slack / this.view.scale;
    return p.x >= -s && p.y >= -s && p.x < this.view.width + s && p.y < this.view.height + s;
  }
}
