// Work on one image.
import * as api from "./api";
import { keyOf, noPrompt, withPrompt, type Doc, type Prompt } from "./doc";
import { announce } from "./dom";
import { Everything, type Candidate } from "./everything";
import { cocoFile, labelFile, maskFile, pictureFile, save, stem, type Exported } from "./files";
import { bestOf, Hover } from "./hover";
import { layerOf, warmUp, type Layer } from "./layer";
import type { MenuItem } from "./menu";
import type { Choice } from "./panel";
import type { At } from "./pointer";
import type { Shell } from "./shell";
import type { DrawnMask } from "./stage";
import { report, toast } from "./toast";
import { toolButton } from "./tools";
import type { ImageInfo, Mask, Rle } from "./types";
import { Workspace } from "./workspace";

export class ImageWorkspace extends Workspace {
  readonly video = false;
  readonly frame = 0;
  private info: ImageInfo | null = null;
  private ready: Promise<ImageInfo>;
  private readonly results = new WeakMap<Prompt, readonly Mask[]>();
  private readonly shown = new Map<number, { readonly prompt: Prompt; readonly masks: readonly Mask[] }>();
  private hoverer: Hover | null = null;
  private everything: Everything | null = null;
  private closed = false;

  constructor(shell: Shell, name: string, private bitmap: ImageBitmap, file: Blob) {
    super(shell, name, "Click an object to segment it, or drag a box around it.", (self) => [
      toolButton("everything", "Find everything", "G", () => (self as ImageWorkspace).findEverything()),
      toolButton("fit", "Fit to window", "0", () => self.stage.fit()),
    ]);
    this.stage.setSize(bitmap.width, bitmap.height);
    this.title();
    this.ready = this.load(file);
    this.ready.catch((error: unknown) => { shell.status("Failed"); report(error); });
    this.refresh();
  }

  private title(): void { this.shell.title(this.name, `${this.width} × ${this.height}`); }

  private async load(file: Blob): Promise<ImageInfo> {
    this.shell.status("Uploading…", "busy");
    setTimeout(warmUp, 60);
    const info = await api.addImage(file, (part) => {
      if (!this.closed) this.shell.status(part < 1 ? `Uploading ${Math.round(part * 100)} %` : "Encoding…", "busy");
    });
    if (this.closed) return info;
    if (info.width !== info.height && info.width === this.bitmap.height && info.height === this.bitmap.width) {
      // The server reads the pixels as they are stored, so the picture is shown that way too.
      const stored = await createImageBitmap(file, { imageOrientation: "none" });
      this.bitmap.close();
      this.bitmap = stored;
    }
    this.info = info;
    this.stage.setSize(info.width, info.height);
    this.title();
    this.hoverer = new Hover(async (point) => {
      const masks = await api.predict(info.id, { points: [point], multimask: true }, true);
      return masks && masks[bestOf(masks)];
    }, () => this.stage.invalidate());
    this.shell.status(info.encode_ms === undefined ? "Ready" : `Ready · ${Math.round(info.encode_ms)} ms`, "ready");
    if (this.pointerAt) this.hover(this.pointerAt);
    return info;
  }

  override close(): void {
    this.closed = true;
    this.everything?.stop();
    super.close();
    this.bitmap.close();
  }

  override picture(): CanvasImageSource { return this.bitmap; }
  protected override canEdit(): boolean { return true; }

  private index(prompt: Prompt, masks: readonly Mask[]): number {
    return prompt.choice !== null && prompt.choice < masks.length ? prompt.choice : bestOf(masks);
  }

  private maskOf(object: number): Mask | null {
    const entry = this.shown.get(object);
    return entry?.masks[this.index(entry.prompt, entry.masks)] ?? null;
  }

  override rleOf(object: number): Rle | null { return this.maskOf(object)?.rle ?? null; }

  override noteOf(object: number): string {
    const mask = this.maskOf(object);
    if (!mask) return "";
    return this.promptOf(object).drawn && mask.predicted_iou === 1 ? "drawn" : mask.predicted_iou.toFixed(2);
  }

  override choicesOf(object: number): readonly Choice[] {
    const entry = this.shown.get(object);
    if (!entry || entry.masks.length < 2) return [];
    const chosen = this.index(entry.prompt, entry.masks);
    return entry.masks.map((mask, index) => ({ layer: layerOf(mask.rle), score: mask.predicted_iou, chosen: index === chosen }));
  }

  override choose(index: number): void {
    const id = this.doc.active;
    const entry = id === null ? undefined : this.shown.get(id);
    if (id === null || !entry || this.index(entry.prompt, entry.masks) === index) return;
    const prompt: Prompt = { ...this.promptOf(id), choice: index };
    this.results.set(prompt, entry.masks);
    this.commit(withPrompt(this.doc, id, 0, prompt));
  }

  protected override sync(_before: Doc, after: Doc): void {
    if (after.active !== null) this.hoverer?.clear();
    for (const id of [...this.shown.keys()]) if (!after.items.some((item) => item.id === id)) this.shown.delete(id);
    for (const { id } of after.items) {
      const prompt = after.prompts.get(keyOf(id, 0));
      if (!prompt) { this.shown.delete(id); continue; }
      if (prompt.drawn && !this.results.has(prompt)) this.results.set(prompt, [drawnMask(prompt.drawn)]);
      const masks = this.results.get(prompt);
      if (masks) this.shown.set(id, { prompt, masks });
      else void this.predict(id, prompt);
    }
  }

  private async predict(id: number, prompt: Prompt): Promise<void> {
    const { points, box, mask } = prompt;
    try {
      const info = await this.ready;
      const masks = await api.predict(info.id, {
        ...(points.length ? { points } : {}), ...(box ? { box } : {}), ...(mask ? { mask: { rle: mask } } : {}),
        multimask: points.length === 1 && !box && !mask,
      });
      if (!masks) return;
      this.results.set(prompt, masks);
      if (this.doc.prompts.get(keyOf(id, 0)) !== prompt) return;
      this.shown.set(id, { prompt, masks });
      this.stage.draw();
      this.refresh();
      const best = masks[this.index(prompt, masks)];
      if (best) announce(best.area ? `Mask of ${best.area} pixels, score ${best.predicted_iou.toFixed(2)}` : "The mask is empty");
    } catch (error) {
      report(error);
    }
  }

  /** Sends the drawn mask as a prompt. */
  override refine(): void {
    const id = this.doc.active;
    const drawn = id === null ? null : this.promptOf(id).drawn;
    if (id !== null && drawn) this.commit(withPrompt(this.doc, id, 0, { ...noPrompt, mask: drawn }));
  }

  // The preview.

  override hover(at: At | null): void {
    super.hover(at);
    const on = at !== null && this.stage?.isOn(at);
    const p = on ? this.stage.inside(at) : null;
    if (this.everything) {
      const found = p && this.everything.at(p.x, p.y);
      if (found !== this.everything.hovered) {
        this.everything.hovered = found;
        this.stage.invalidate();
      }
      return;
    }
    if (p && this.tool === "point" && this.doc.active === null) this.hoverer?.move({ x: Math.round(p.x), y: Math.round(p.y) });
    else this.hoverer?.clear();
  }

  protected override preview(): Layer | null { return this.everything ? null : (this.hoverer?.layer ?? null); }

  // Everything mode.

  findEverything(): void {
    const info = this.info;
    if (!info) return toast("The image is still being encoded.");
    if (this.everything) return this.endEverything();
    this.add();
    this.hoverer?.clear();
    this.everything = new Everything(info.id, () => this.stage.invalidate(), () => this.keepAll(), () => this.endEverything());
    this.shell.stage.append(this.everything.element);
  }

  private endEverything(): void {
    this.everything?.stop();
    this.everything?.element.remove();
    this.everything = null;
    this.stage.canvas.focus();
    this.stage.invalidate();
  }

  private keep(found: readonly Candidate[]): void {
    let doc = this.doc;
    for (const { mask } of found) {
      const item = this.newItem();
      const prompt: Prompt = { ...noPrompt, drawn: mask.rle };
      this.results.set(prompt, [mask]);
      doc = withPrompt({ ...doc, items: [...doc.items, item] }, item.id, 0, prompt);
    }
    this.commit(doc);
  }

  private keepAll(): void {
    const found = [...(this.everything?.candidates ?? [])];
    this.endEverything();
    this.keep(found);
  }

  protected override intercept(at: At): boolean {
    if (!this.everything) return false;
    const found = this.everything.at(at.x, at.y);
    if (found) {
      this.everything.take(found);
      this.keep([found]);
    }
    return true;
  }

  override cancel(): void {
    if (this.everything?.isRunning) this.everything.stop();
    else if (this.everything) this.endEverything();
    else super.cancel();
  }

  protected override extraMasks(): readonly DrawnMask[] {
    // Small masks are drawn over large ones.
    return [...(this.everything?.candidates ?? [])].sort((a, b) => b.layer.bits.area - a.layer.bits.area).map((one) => ({
      layer: one.layer, color: one.color, strength: one === this.everything?.hovered ? "high" : "low",
    }));
  }

  override key(event: KeyboardEvent): boolean {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && event.key.toLowerCase() === "g") {
      this.findEverything();
      return true;
    }
    return super.key(event);
  }

  // Exports.

  override exports(): readonly MenuItem[] {
    const all: Exported[] = this.doc.items.flatMap((item) => {
      const mask = this.maskOf(item.id);
      return mask ? [{ name: item.name, color: item.color, layer: layerOf(mask.rle), score: mask.predicted_iou }] : [];
    });
    const active = this.active;
    const one = active ? all.filter((object) => object.layer.rle === this.rleOf(active.id)) : all;
    const base = stem(this.name);
    const { width, height } = this;
    const none = !all.length;
    const item = (label: string, hint: string, make: () => Promise<Blob> | Blob, name: string, disabled = none): MenuItem => ({
      label, hint, disabled,
      run: () => { Promise.resolve().then(make).then((blob) => { save(blob, name); toast(`Saved ${name}.`); }, report); },
    });
    const cut = { effect: "cutout", color: "", onObjects: false } as const;
    return [
      item("Mask", active ? `${active.name}, PNG` : "all objects, PNG", () => maskFile(one, width, height), `${base}-mask.png`, !one.length),
      item("Cut-out", active ? `${active.name}, PNG` : "all objects, PNG", () => pictureFile(this.bitmap, one, width, height, cut), `${base}-cutout.png`, !one.length),
      item("Label map", "PNG, a value per object", () => labelFile(all, width, height), `${base}-labels.png`, none || all.length > 255),
      item("Annotations", "COCO JSON", () => cocoFile(all, width, height, this.name), `${base}.json`),
      item("Picture as seen", "PNG", () => pictureFile(this.bitmap, all, width, height, this.panel.effect), `${base}-view.png`),
    ];
  }
}

function drawnMask(rle: Rle): Mask {
  const { x, y, w, h, area } = layerOf(rle).bits;
  return { rle, box: area ? [x, y, x + w, y + h] : null, area, predicted_iou: 1 };
}
