// The timeline: a lane per object with its tracked frames, its prompts and where it is lost.
import { clamp, context, cssColor, h, set } from "./dom";
import { onTheme } from "./theme";
import type { Item } from "./doc";

export interface Lane {
  readonly item: Item;
  readonly active: boolean;
  /** First and last frame. */
  readonly tracked: readonly (readonly [number, number])[];
  readonly lost: readonly (readonly [number, number])[];
  readonly prompts: readonly number[];
}

const ruler = 26;
const laneHeight = 24;
const inset = 10;

export class Timeline {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas", { class: "lanes-canvas", "aria-hidden": "true" });
  private readonly slider = h("div", { class: "lanes-slider", role: "slider", tabindex: 0, "aria-label": "Frame", "aria-valuemin": 1, "aria-orientation": "horizontal" });
  private readonly labels = h("div", { class: "lanes-labels" });
  private readonly area: HTMLElement;
  private readonly watcher: ResizeObserver;
  private readonly unwatchTheme: () => void;
  private lanes: readonly Lane[] = [];
  private at = 0;
  private asked = 0;
  private labelKey = "";

  constructor(private readonly count: number, private readonly seek: (frame: number) => void, private readonly pick: (object: number) => void) {
    set(this.slider, "aria-valuemax", count);
    this.area = h("div", { class: "lanes-area" }, this.canvas, this.slider);
    this.element = h("div", { class: "lanes", role: "group", "aria-label": "Timeline" }, this.labels, this.area);
    const scrub = (event: PointerEvent): void => {
      const box = this.area.getBoundingClientRect();
      const part = (event.clientX - box.left - inset) / Math.max(1, box.width - 2 * inset);
      this.seek(clamp(Math.round(part * (count - 1)), 0, count - 1));
    };
    this.slider.addEventListener("pointerdown", (event) => { this.slider.setPointerCapture(event.pointerId); scrub(event); });
    this.slider.addEventListener("pointermove", (event) => { if (this.slider.hasPointerCapture(event.pointerId)) scrub(event); });
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.area);
    this.unwatchTheme = onTheme(() => this.draw());
  }

  close(): void { this.watcher.disconnect(); this.unwatchTheme(); cancelAnimationFrame(this.asked); }

  show(lanes: readonly Lane[], at: number): void {
    this.lanes = lanes;
    this.at = at;
    set(this.slider, "aria-valuenow", at + 1);
    set(this.slider, "aria-valuetext", `Frame ${at + 1} of ${this.count}`);
    const key = JSON.stringify(lanes.map(({ item, active }) => [item, active]));
    if (key !== this.labelKey) {
      this.labelKey = key;
      this.labels.replaceChildren(...lanes.map(({ item, active }) => {
        const dot = h("span", { class: "dot" });
        dot.style.backgroundColor = item.color;
        return h("button", { class: "lane-label", type: "button", tabindex: -1, "aria-current": active ? "true" : null, onclick: () => this.pick(item.id) },
          dot, h("span", { class: "name" }, item.name));
      }));
    }
    this.asked ||= requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    const ratio = devicePixelRatio || 1;
    const width = this.area.clientWidth, height = ruler + Math.max(1, this.lanes.length) * laneHeight;
    if (!width) return;
    const wanted = [Math.round(width * ratio), Math.round(height * ratio)] as const;
    if (this.canvas.width !== wanted[0]) this.canvas.width = wanted[0];
    if (this.canvas.height !== wanted[1]) this.canvas.height = wanted[1];
    this.canvas.style.height = `${height}px`;
    this.area.style.height = `${height}px`;
    const ctx = context(this.canvas);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    const step = (width - 2 * inset) / Math.max(1, this.count - 1);
    const x = (frame: number): number => inset + frame * step;
    this.drawRuler(ctx, x, step);
    const surface = cssColor("--surface"), track = cssColor("--track");
    this.lanes.forEach((lane, index) => {
      const y = ruler + index * laneHeight + laneHeight / 2;
      bar(ctx, inset - 3, width - inset + 3, y, 6, track);
      ctx.globalAlpha = lane.active ? 1 : 0.7;
      for (const [from, to] of lane.tracked) {
        // A range that begins at a dot begins in its middle.
        const left = lane.prompts.includes(from) ? x(from) : Math.max(inset - 3, x(from) - step / 2);
        bar(ctx, left, Math.min(width - inset + 3, Math.max(x(to) + step / 2, left + 4)), y, 6, lane.item.color);
      }
      ctx.globalAlpha = 1;
      for (const [from, to] of lane.lost) {
        const left = x(from) - step / 2, right = x(to) + step / 2;
        bar(ctx, left, Math.max(right, left + 3), y, 6, track);
        ctx.strokeStyle = lane.item.color;
        ctx.lineWidth = 1.5;
        ctx.setLineDash([2, 3]);
        ctx.beginPath();
        ctx.moveTo(left, y);
        ctx.lineTo(Math.max(right, left + 3), y);
        ctx.stroke();
        ctx.setLineDash([]);
      }
      for (const frame of lane.prompts) {
        ctx.beginPath();
        ctx.arc(x(frame), y, 5.5, 0, Math.PI * 2);
        ctx.fillStyle = lane.item.color;
        ctx.fill();
        ctx.lineWidth = 2;
        ctx.strokeStyle = surface;
        ctx.stroke();
      }
    });
    const accent = cssColor("--accent"), at = x(this.at);
    ctx.fillStyle = accent;
    ctx.fillRect(at - 0.75, 12, 1.5, height - 12);
    ctx.beginPath();
    ctx.roundRect(at - 5, 4, 10, 10, [3, 3, 5, 5]);
    ctx.fill();
  }

  private drawRuler(ctx: CanvasRenderingContext2D, x: (frame: number) => number, step: number): void {
    const every = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000].find((n) => n * step >= 52) ?? 5000;
    ctx.fillStyle = cssColor("--text-2");
    ctx.font = `10.5px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "middle";
    ctx.strokeStyle = cssColor("--line");
    ctx.lineWidth = 1;
    for (let frame = 0; frame < this.count; frame += every) {
      const left = Math.round(x(frame)) + 0.5;
      ctx.beginPath();
      ctx.moveTo(left, ruler - 6);
      ctx.lineTo(left, ruler - 1);
      ctx.stroke();
      const text = String(frame + 1), half = ctx.measureText(text).width / 2;
      if (left + half < x(this.count - 1) + inset && Math.abs(x(this.at) - left) > half + 8) ctx.fillText(text, Math.max(0, left - half), 10);
    }
  }
}

function bar(ctx: CanvasRenderingContext2D, left: number, right: number, y: number, height: number, color: string): void {
  ctx.fillStyle = color;
  ctx.beginPath();
  ctx.roundRect(left, y - height / 2, Math.max(1, right - left), height, height / 2);
  ctx.fill();
}

/** Frames in a row as ranges. */
export function ranges(frames: readonly number[]): [number, number][] {
  const out: [number, number][] = [];
  for (const frame of [...frames].sort((a, b) => a - b)) {
    const last = out[out.length - 1];
    if (last && frame <= last[1] + 1) last[1] = frame;
    else out.push([frame, frame]);
  }
  return out;
}
