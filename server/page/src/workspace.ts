// What an image and a video have in common: objects, prompts, tools, history and the stage.
import { Stroke } from "./brush";
import { colorOf } from "./colors";
import { emptyDoc, History, keyOf, noPrompt, parseKey, withoutItem, withPrompt, type Doc, type Item, type Prompt } from "./doc";
import { announce, clamp, isTyping } from "./dom";
import { layerOf, type Layer } from "./layer";
import type { MenuItem } from "./menu";
import { Panel, type Choice, type PanelActions } from "./panel";
import type { At, Gestures } from "./pointer";
import type { Shell } from "./shell";
import { Stage, type DrawnMask, type Scene } from "./stage";
import { toast } from "./toast";
import { ToolBar, type Tool } from "./tools";
import type { Box, Point, Rle } from "./types";

export abstract class Workspace implements Gestures, PanelActions {
  doc: Doc = emptyDoc;
  readonly stage: Stage;
  readonly panel: Panel;
  readonly bar: ToolBar;
  protected readonly history = new History();
  protected readonly hidden = new Set<number>();
  protected readonly locked = new Set<number>();
  protected tool: Tool = "point";
  protected cross: At | null = null;
  protected pointerAt: At | null = null;
  private baseline: Doc = emptyDoc;
  private nextId = 1;
  private dragFrom: At | null = null;
  private dragTo: At | null = null;
  private keyCorner: At | null = null;
  private stroke: Stroke | null = null;
  private brush = 0;

  constructor(protected readonly shell: Shell, readonly name: string, hint: string, extra: (self: Workspace) => readonly HTMLElement[]) {
    this.panel = new Panel(this, hint);
    this.bar = new ToolBar((tool) => this.setTool(tool), extra(this));
    this.stage = new Stage(shell.stage, this, () => this.scene());
    shell.stage.append(this.bar.element);
    shell.side.append(this.panel.element);
    this.setTool("point");
  }

  abstract readonly video: boolean;
  /** The frame that is edited; 0 for an image. */
  abstract readonly frame: number;
  /** The picture that is seen. */
  abstract picture(): CanvasImageSource | null;
  /** The mask of an object on the frame that is seen. */
  abstract rleOf(object: number): Rle | null;
  abstract noteOf(object: number): string;
  abstract choicesOf(object: number): readonly Choice[];
  /** Brings what the server knows, and what is seen, from one document to the other. */
  protected abstract sync(before: Doc, after: Doc): void;
  abstract exports(): readonly MenuItem[];
  /** True if prompts can be made now. */
  protected abstract canEdit(): boolean;
  protected extraMasks(): readonly DrawnMask[] { return []; }
  protected preview(): Layer | null { return null; }
  /** A click that is not a prompt; true if it was used. */
  protected intercept(_at: At): boolean { return false; }
  protected stampOf(): string { return ""; }

  close(): void { this.stage.close(); }

  get width(): number { return this.stage.view.width; }
  get height(): number { return this.stage.view.height; }

  // The document.

  protected commit(next: Doc): void {
    this.history.push(this.doc);
    this.replace(next);
  }

  private replace(next: Doc): void {
    const before = this.doc;
    this.doc = next;
    this.sync(before, next);
    this.refresh();
  }

  protected clearAll(): void {
    this.doc = this.baseline = emptyDoc;
    this.history.clear();
    this.hidden.clear();
    this.locked.clear();
    this.refresh();
  }

  undo(): void {
    const doc = this.history.undo(this.doc);
    if (!doc) return;
    this.replace(doc);
    this.baseline = doc;
    announce("Undone");
  }

  redo(): void {
    const doc = this.history.redo(this.doc);
    if (!doc) return;
    this.replace(doc);
    this.baseline = doc;
    announce("Redone");
  }

  promptOf(object: number): Prompt { return this.doc.prompts.get(keyOf(object, this.frame)) ?? noPrompt; }

  protected get active(): Item | null { return this.doc.items.find((item) => item.id === this.doc.active) ?? null; }

  protected newItem(): Item {
    const id = this.nextId++;
    return { id, name: `Object ${id}`, color: colorOf(id - 1) };
  }

  /** The document with an active object, which is made if there is none. */
  private withActive(): [Doc, number] | null {
    const active = this.active;
    if (active) {
      if (!this.locked.has(active.id)) return [this.doc, active.id];
      toast(`${active.name} is locked.`);
      return null;
    }
    this.baseline = this.doc;
    const item = this.newItem();
    return [{ ...this.doc, items: [...this.doc.items, item], active: item.id }, item.id];
  }

  /** The mask that goes along with the next prompt, if the user has chosen or drawn one. */
  private carried(object: number, prompt: Prompt): Rle | null {
    return prompt.drawn ?? (prompt.choice === null ? prompt.mask : this.rleOf(object));
  }

  addPoint(point: Point): void {
    if (!this.canEdit()) return;
    if (!point.label && !this.active) return toast("Mark an object first.");
    const target = this.withActive();
    if (!target) return;
    const [doc, id] = target;
    const prompt = this.promptOf(id);
    const next = { ...noPrompt, box: prompt.box, points: [...prompt.points, point], mask: this.carried(id, prompt) };
    this.commit(withPrompt(doc, id, this.frame, next));
  }

  private removePoint(index: number): void {
    const id = this.doc.active;
    if (id === null || !this.canEdit()) return;
    const prompt = this.promptOf(id);
    const points = prompt.points.filter((_, i) => i !== index);
    const rest = points.length || prompt.box ? { ...noPrompt, box: prompt.box, points, mask: prompt.mask } : null;
    this.commit(withPrompt(this.doc, id, this.frame, rest));
  }

  setBox(box: Box): void {
    if (!this.canEdit()) return;
    const target = this.withActive();
    if (!target) return;
    const [doc, id] = target;
    this.commit(withPrompt(doc, id, this.frame, { ...noPrompt, points: this.promptOf(id).points, box }));
  }

  protected setDrawn(rle: Rle): void {
    const target = this.withActive();
    if (!target) return;
    const [doc, id] = target;
    this.commit(withPrompt(doc, id, this.frame, { ...noPrompt, drawn: rle }));
  }

  // The actions of the panel.

  pick(id: number): void {
    if (!this.doc.items.some((item) => item.id === id)) return;
    this.doc = { ...this.doc, active: id };
    this.baseline = this.doc;
    this.refresh();
    announce(`${this.active?.name ?? ""} chosen`);
  }

  add(): void {
    this.doc = { ...this.doc, active: null };
    this.baseline = this.doc;
    this.refresh();
    announce("Mark the new object");
  }

  accept(): void {
    const active = this.active;
    if (!active) return;
    this.add();
    announce(`${active.name} accepted`);
  }

  /** Gives up the changes to the active object since it was chosen. */
  cancel(): void {
    const id = this.doc.active;
    if (id === null) return;
    const old = this.baseline;
    let next = withoutItem(this.doc, id);
    if (old.items.some((item) => item.id === id)) {
      const prompts = new Map(next.prompts);
      for (const [key, prompt] of old.prompts) if (parseKey(key)[0] === id) prompts.set(key, prompt);
      next = { items: this.doc.items, prompts, active: null };
    }
    const key = (doc: Doc): unknown[] => [...doc.prompts].filter(([k]) => parseKey(k)[0] === id).flat();
    const same = next.items.length === this.doc.items.length && key(next).every((value, i) => value === key(this.doc)[i]) && key(next).length === key(this.doc).length;
    if (same) return this.add();
    this.commit(next);
    this.baseline = this.doc;
    announce("Cancelled");
  }

  rename(id: number, name: string): void {
    const item = this.doc.items.find((one) => one.id === id);
    if (item && item.name !== name) this.commit({ ...this.doc, items: this.doc.items.map((one) => (one.id === id ? { ...one, name } : one)) });
    else this.refresh();
  }

  hide(id: number): void { toggle(this.hidden, id); this.refresh(); }
  lock(id: number): void { toggle(this.locked, id); this.refresh(); }

  remove(id: number): void {
    const item = this.doc.items.find((one) => one.id === id);
    if (!item) return;
    if (this.locked.has(id)) return toast(`${item.name} is locked.`);
    this.commit(withoutItem(this.doc, id));
    announce(`${item.name} removed`);
  }

  abstract choose(index: number): void;
  refine(): void { /* Only images refine. */ }
  effect(): void { this.stage.invalidate(); }

  // Tools and gestures.

  setTool(tool: Tool): void {
    this.tool = tool;
    this.keyCorner = null;
    this.bar.show(tool);
    this.stage.canvas.dataset["tool"] = tool;
    this.hover(this.pointerAt);
    this.stage.invalidate();
  }

  dragMode(): "box" | "stroke" | "pan" {
    return this.tool === "hand" ? "pan" : this.tool === "brush" || this.tool === "eraser" ? "stroke" : "box";
  }

  click(at: At, negative: boolean, pick: boolean, touch: boolean): void {
    if (!this.stage.isOn(at)) return;
    const p = this.stage.inside(at);
    this.cross = null;
    if (pick) return this.pickAt(p);
    if (this.intercept(p)) return;
    const id = this.doc.active;
    const reach = (touch ? 16 : 9) / this.stage.view.scale;
    const hit = id === null ? -1 : this.promptOf(id).points.findIndex((point) => Math.hypot(point.x - p.x, point.y - p.y) < reach);
    if (hit >= 0) return this.removePoint(hit);
    this.addPoint({ ...round(p), label: negative || this.tool === "negative" ? 0 : 1 });
  }

  private pickAt(p: At): void {
    const found = [...this.doc.items].reverse().find((item) => {
      const rle = this.hidden.has(item.id) ? null : this.rleOf(item.id);
      return rle !== null && layerOf(rle).has(p.x, p.y);
    });
    if (found) this.pick(found.id);
  }

  dragStart(at: At): void {
    const p = this.stage.inside(at);
    this.cross = null;
    if (this.dragMode() === "stroke") {
      if (!this.canEdit() || (this.active && this.locked.has(this.active.id)) || (this.tool === "eraser" && !this.active)) {
        if (this.active && this.locked.has(this.active.id)) toast(`${this.active.name} is locked.`);
        return;
      }
      const item = this.active;
      const rle = item && this.rleOf(item.id);
      this.stroke = new Stroke(this.width, this.height, rle ? layerOf(rle) : null, item?.color ?? colorOf(this.nextId - 1), this.tool === "brush" ? 1 : 0, this.radius);
      this.stroke.to(p.x, p.y);
      this.stage.invalidate();
    } else if (this.stage.isOn(at, 24)) this.dragFrom = this.dragTo = p;
  }

  drag(at: At): void {
    this.pointerAt = at;
    const p = this.stage.inside(at);
    this.stroke?.to(this.stage.view.toImage(at.x, at.y).x, this.stage.view.toImage(at.x, at.y).y);
    if (this.dragFrom) this.dragTo = p;
    this.stage.invalidate();
  }

  dragEnd(at: At): void {
    this.drag(at);
    const stroke = this.stroke, box = this.draggedBox();
    this.dragCancel();
    if (stroke) this.setDrawn(stroke.rle());
    if (box && box[2] - box[0] >= 1 && box[3] - box[1] >= 1) this.setBox(box);
  }

  dragCancel(): void {
    this.dragFrom = this.dragTo = null;
    this.stroke = null;
    this.stage.invalidate();
  }

  hover(at: At | null): void {
    this.pointerAt = at;
    if (this.dragMode() === "stroke") this.stage.invalidate();
  }

  pan(dx: number, dy: number): void { this.stage.view.pan(dx, dy); this.stage.invalidate(); }
  zoom(factor: number, at: At): void { this.stage.view.zoom(factor, at.x, at.y); this.stage.invalidate(); }

  private draggedBox(): Box | null {
    const from = this.dragFrom ?? this.keyCorner, to = this.dragFrom ? this.dragTo : this.cross;
    if (!from || !to) return null;
    const a = round(from), b = round(to);
    return [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
  }

  private get radius(): number { return this.brush || Math.max(2, Math.round(Math.max(this.width, this.height) / 48)); }

  // Keys.

  /** Uses a key; true if it was one of ours. */
  key(event: KeyboardEvent): boolean {
    if (isTyping(event.target)) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      if (key !== "z" && key !== "y") return false;
      if (key === "y" || event.shiftKey) this.redo();
      else this.undo();
      return true;
    }
    if (event.altKey) return false;
    const shift = event.shiftKey;
    const onControl = event.target instanceof HTMLElement && event.target.closest("button, select, input, [role=slider]") !== null;
    if (onControl && (key === "Enter" || key === " ")) return false;
    if (/^[1-9]$/.test(key)) { const item = this.doc.items[Number(key) - 1]; if (item) this.pick(item.id); return true; }
    switch (key) {
      case "v": this.setTool(shift ? "negative" : "point"); return true;
      case "b": this.setTool("box"); return true;
      case "e": this.setTool(shift ? "eraser" : "brush"); return true;
      case "h": this.setTool("hand"); return true;
      case "z": if (shift) this.redo(); else this.undo(); return true;
      case "n": this.add(); return true;
      case "F2": this.panel.editActive(); return true;
      case "m": this.nextChoice(shift ? -1 : 1); return true;
      case "[": case "]": this.brush = clamp(this.radius * (key === "[" ? 0.8 : 1.25), 1, Math.max(this.width, this.height) / 4); this.stage.invalidate(); return true;
      case "+": case "=": this.stage.zoomBy(1.25); return true;
      case "-": this.stage.zoomBy(0.8); return true;
      case "0": this.stage.fit(); return true;
      case "x": this.mark(shift); return true;
      case "w": case "a": case "s": case "d": return this.moveCross(key, shift);
      case "ArrowUp": case "ArrowDown": case "ArrowLeft": case "ArrowRight":
        return !this.video && !onControl && this.moveCross(key, shift);
      case "Enter": this.accept(); return true;
      case "Delete": case "Backspace": if (this.doc.active !== null) this.remove(this.doc.active); return true;
      case "Escape":
        if (this.stage.pointer.cancel()) return true;
        if (this.keyCorner || this.cross) { this.keyCorner = this.cross = null; this.stage.invalidate(); if (this.doc.active === null) return true; }
        this.cancel();
        return true;
      case " ":
        this.stage.pointer.panned = event.repeat && this.stage.pointer.panned;
        this.stage.pointer.panning = true;
        this.stage.canvas.classList.add("grab");
        return true;
      default: return false;
    }
  }

  keyUp(event: KeyboardEvent): void {
    if (event.key !== " " || !this.stage.pointer.panning) return;
    this.stage.pointer.panning = false;
    this.stage.canvas.classList.remove("grab");
    if (!this.stage.pointer.panned) this.tapSpace();
  }

  protected tapSpace(): void { /* Only videos play. */ }

  private moveCross(key: string, shift: boolean): true {
    const step = Math.max(1, (Math.max(this.width, this.height) / 100) * (shift ? 6 : 1));
    const at = this.cross ?? { x: this.width / 2, y: this.height / 2 };
    const dx = key === "a" || key === "ArrowLeft" ? -step : key === "d" || key === "ArrowRight" ? step : 0;
    const dy = key === "w" || key === "ArrowUp" ? -step : key === "s" || key === "ArrowDown" ? step : 0;
    this.cross = { x: clamp(at.x + (this.cross ? dx : 0), 0, this.width - 1), y: clamp(at.y + (this.cross ? dy : 0), 0, this.height - 1) };
    announce(`${Math.round(this.cross.x)}, ${Math.round(this.cross.y)}`);
    this.stage.invalidate();
    return true;
  }

  private mark(negative: boolean): void {
    const at = (this.cross ??= { x: this.width / 2, y: this.height / 2 });
    if (this.tool === "box") {
      const box = this.draggedBox();
      if (this.keyCorner && box && box[2] > box[0] && box[3] > box[1]) { this.keyCorner = null; this.setBox(box); } else this.keyCorner = at;
      this.stage.invalidate();
    } else if (!this.intercept(at)) {
      this.addPoint({ ...round(at), label: negative || this.tool === "negative" ? 0 : 1 });
    }
  }

  private nextChoice(step: number): void {
    const id = this.doc.active;
    const choices = id === null ? [] : this.choicesOf(id);
    if (choices.length < 2) return;
    const next = (choices.findIndex((choice) => choice.chosen) + step + choices.length) % choices.length;
    this.choose(next);
    announce(`Mask ${next + 1} of ${choices.length}`);
  }

  // What is seen.

  refresh(): void {
    const active = this.active;
    this.panel.showRows(this.doc.items.map((item) => ({
      item, hidden: this.hidden.has(item.id), locked: this.locked.has(item.id), active: item.id === this.doc.active, note: this.noteOf(item.id),
    })));
    this.panel.showChoices(active ? this.choicesOf(active.id) : [], active?.color ?? "#000000", this.width, this.height);
    this.panel.showRefine(!this.video && active !== null && this.promptOf(active.id).drawn !== null);
    this.shell.history(this.history.canUndo, this.history.canRedo);
    this.stage.invalidate();
  }

  private scene(): Scene {
    const active = this.active;
    const masks: DrawnMask[] = [];
    for (const item of this.doc.items) {
      if (this.hidden.has(item.id) || (this.stroke && item.id === active?.id)) continue;
      const rle = this.rleOf(item.id);
      if (rle) masks.push({ layer: layerOf(rle), color: item.color, strength: item.id === active?.id ? "high" : "normal" });
    }
    masks.push(...this.extraMasks());
    const color = active?.color ?? colorOf(this.nextId - 1);
    const preview = this.preview();
    const prompt = active && !this.hidden.has(active.id) ? this.promptOf(active.id) : noPrompt;
    const brushAt = this.dragMode() === "stroke" && this.pointerAt ? this.stage.view.toImage(this.pointerAt.x, this.pointerAt.y) : null;
    return {
      picture: this.picture(), masks, color, points: prompt.points, box: this.draggedBox() ?? prompt.box, cross: this.cross,
      preview: preview ? { layer: preview, color } : null, brush: brushAt && { ...brushAt, radius: this.radius },
      live: this.stroke?.canvas ?? null, effect: this.panel.effect,
      stamp: `${this.stampOf()} ${masks.map((mask) => mask.layer.id).join()}`,
    };
  }
}

const round = (p: At): At => ({ x: Math.round(p.x * 10) / 10, y: Math.round(p.y * 10) / 10 });

function toggle(set: Set<number>, id: number): void { if (!set.delete(id)) set.add(id); }
