// Everything mode: masks come in one by one, and the user keeps some of them.
import * as api from "./api";
import { colorOf } from "./colors";
import { h } from "./dom";
import { layerOf, type Layer } from "./layer";
import { report } from "./toast";
import type { FoundMask } from "./types";

export interface Candidate { readonly mask: FoundMask; readonly layer: Layer; readonly color: string }

export class Everything {
  readonly candidates: Candidate[] = [];
  readonly element: HTMLElement;
  /** The one under the pointer. */
  hovered: Candidate | null = null;
  private readonly abort = new AbortController();
  private readonly text = h("span", { role: "status", class: "banner-text" }, "Finding everything…");
  private readonly bar = h("progress", { max: 1, value: 0, "aria-label": "Progress" });
  private readonly keepButton: HTMLButtonElement;
  private readonly stopButton: HTMLButtonElement;
  private running = true;
  /** Whether lower thresholds are needed. */
  private weak = false;

  constructor(private readonly image: string, private readonly changed: () => void, keepAll: () => void, close: () => void) {
    this.keepButton = h("button", { class: "button primary", type: "button", disabled: true, onclick: keepAll }, "Keep all");
    this.stopButton = h("button", { class: "button", type: "button", onclick: () => (this.running ? this.stop() : close()) }, "Stop");
    this.element = h("div", { class: "banner" }, this.text, this.bar, this.keepButton, this.stopButton);
    void this.run();
  }

  /** Ends the work on the server; what was found stays. */
  stop(): void { this.abort.abort(); }

  get isRunning(): boolean { return this.running; }

  private async run(): Promise<void> {
    try {
      await this.find({});
      // A small model may not reach the usual scores at all.
      if (!this.candidates.length && !this.abort.signal.aborted) {
        this.weak = true;
        await this.find({ pred_iou_thresh: 0.4, stability_score_thresh: 0.4 });
      }
    } catch (error) {
      report(error);
    }
    this.running = false;
    this.bar.hidden = true;
    this.stopButton.textContent = "Close";
    this.show();
    this.changed();
  }

  private async find(thresholds: api.Thresholds): Promise<void> {
    for await (const item of api.everything(this.image, thresholds, this.abort.signal)) {
      if (item.event === "progress") this.bar.value = item.data.done / Math.max(1, item.data.total);
      if (item.event === "mask") {
        const index = this.candidates.length;
        this.candidates.push({ mask: item.data, layer: layerOf(item.data.rle), color: colorOf(index) });
        this.show();
        this.changed();
      }
    }
  }

  private show(): void {
    const n = this.candidates.length;
    const what = `${n}${this.weak ? " weak" : ""} ${n === 1 ? "mask" : "masks"}`;
    this.text.textContent = this.running ? `Finding everything… ${what}` : n ? `${what}. Click one to keep it.` : "No masks.";
    this.keepButton.disabled = n === 0;
  }

  /** The smallest mask under a pixel. */
  at(x: number, y: number): Candidate | null {
    let best: Candidate | null = null;
    for (const one of this.candidates) {
      if (one.layer.has(x, y) && (!best || one.layer.bits.area < best.layer.bits.area)) best = one;
    }
    return best;
  }

  take(one: Candidate): void {
    const index = this.candidates.indexOf(one);
    if (index >= 0) this.candidates.splice(index, 1);
    this.hovered = null;
    this.show();
  }
}
