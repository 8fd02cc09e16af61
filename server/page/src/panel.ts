// The panel: the objects, the masks to choose from and the view.
import { announce, canvasOf, clamp, h, set } from "./dom";
import { effects, type Effect, type EffectOptions } from "./effects";
import { icon } from "./icons";
import type { Layer } from "./layer";
import type { Item } from "./doc";

export interface Row { readonly item: Item; readonly hidden: boolean; readonly locked: boolean; readonly active: boolean; readonly note: string }

export interface Choice { readonly layer: Layer; readonly score: number; readonly chosen: boolean }

export interface PanelActions {
  pick(id: number): void;
  add(): void;
  rename(id: number, name: string): void;
  hide(id: number): void;
  lock(id: number): void;
  remove(id: number): void;
  choose(index: number): void;
  effect(options: EffectOptions): void;
  refine(): void;
}

export class Panel {
  readonly element: HTMLElement;
  private readonly list = h("ul", { class: "objects" });
  private readonly empty = h("p", { class: "hint empty" });
  private readonly choices = h("div", { class: "choices", role: "radiogroup", "aria-label": "Masks" });
  private readonly choiceSection: HTMLElement;
  private readonly refine: HTMLElement;
  private readonly color = h("input", { type: "color", value: "#1e2a44", "aria-label": "Background colour" });
  private readonly select = h("select", { id: "effect" });
  private readonly where = h("select", { id: "effect-where", "aria-label": "Where the effect applies" });
  private rowKey = "";
  private active: Item | null = null;
  private choiceKey: readonly Layer[] = [];

  constructor(private readonly actions: PanelActions, hint: string) {
    this.empty.textContent = hint;
    this.choiceSection = h("section", { class: "section choice-section", hidden: true }, h("h2", {}, "Masks", h("kbd", {}, "M")), this.choices);
    this.refine = h("section", { class: "section", hidden: true },
      h("button", { class: "button", type: "button", onclick: () => actions.refine() }, "Refine the drawn mask"));
    for (const [value, label] of effects) this.select.append(h("option", { value }, label));
    this.where.append(h("option", { value: "around" }, "Around the objects"), h("option", { value: "on" }, "On the objects"));
    const changed = (): void => { this.actions.effect(this.effect); this.showEffect(); };
    for (const field of [this.select, this.where, this.color]) field.addEventListener("input", changed);
    this.element = h("aside", { class: "panel", "aria-label": "Objects" },
      h("section", { class: "section grow" },
        h("h2", {}, "Objects",
          h("button", { class: "icon-button small", type: "button", "aria-label": "New object", "data-tip": "New object  ·  N", onclick: () => actions.add() }, icon("plus", 16))),
        this.empty, this.list),
      this.choiceSection,
      this.refine,
      h("section", { class: "section view-section" },
        h("label", { for: "effect", class: "label" }, "View"),
        h("div", { class: "fields" }, this.select, this.where, this.color)));
    this.showEffect();
  }

  get effect(): EffectOptions {
    return { effect: this.select.value as Effect, color: this.color.value, onObjects: this.where.value === "on" };
  }

  private showEffect(): void {
    const { effect } = this.effect;
    this.where.hidden = effect === "overlay" || effect === "outline";
    this.color.hidden = effect !== "color";
  }

  showRows(rows: readonly Row[]): void {
    // The notes change with every frame; the rows stay, so that a click on them is not lost.
    const key = JSON.stringify(rows.map(({ item, hidden, locked, active }) => [item, hidden, locked, active]));
    if (key === this.rowKey) return this.showNotes(rows);
    this.rowKey = key;
    this.active = rows.find((row) => row.active)?.item ?? null;
    if (this.list.querySelector("input")) return;
    const focused = document.activeElement?.getAttribute("data-focus") ?? null;
    const hadFocus = focused !== null && this.list.contains(document.activeElement);
    this.empty.hidden = rows.length > 0;
    this.list.hidden = rows.length === 0;
    this.list.replaceChildren(...rows.map((row, index) => this.row(row, index)));
    if (hadFocus) this.list.querySelector<HTMLElement>(`[data-focus="${focused}"]`)?.focus();
    this.list.querySelector('[aria-current="true"]')?.closest("li")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  private showNotes(rows: readonly Row[]): void {
    rows.forEach((row, index) => {
      const note = this.list.children[index]?.querySelector(".note");
      if (note && note.textContent !== row.note) note.textContent = row.note;
    });
  }

  private row(row: Row, index: number): HTMLElement {
    const { id, name, color } = row.item;
    const dot = h("span", { class: "dot" });
    dot.style.backgroundColor = color;
    const small = (kind: string, glyph: Parameters<typeof icon>[0], label: string, on: boolean, run: () => void): HTMLElement =>
      h("button", { class: `icon-button small ${on ? "on" : ""}`, type: "button", "aria-label": `${label} ${name}`, "data-focus": `${kind}${id}`, onclick: run }, icon(glyph, 16));
    const pick = h("button", {
      class: "pick", type: "button", "data-focus": `pick${id}`, onclick: () => this.actions.pick(id), ondblclick: () => this.edit(row.item),
    }, dot, h("span", { class: "name" }, name), h("span", { class: "note" }, row.note), index < 9 ? h("kbd", { "aria-hidden": "true" }, String(index + 1)) : null);
    const element = h("li", { class: `object ${row.hidden ? "is-hidden" : ""}` }, pick,
      h("span", { class: "actions" },
        small("hide", row.hidden ? "eyeOff" : "eye", row.hidden ? "Show" : "Hide", row.hidden, () => this.actions.hide(id)),
        small("lock", row.locked ? "lock" : "unlock", row.locked ? "Unlock" : "Lock", row.locked, () => this.actions.lock(id)),
        small("remove", "trash", "Delete", false, () => this.actions.remove(id))));
    if (row.active) set(pick, "aria-current", "true");
    return element;
  }

  /** Lets the user rename the chosen object. */
  editActive(): void { if (this.active) this.edit(this.active); }

  private edit(item: Item): void {
    const pick = this.list.querySelector(`[data-focus="pick${item.id}"]`);
    if (!pick) return;
    const field = h("input", { class: "rename", value: item.name, maxlength: 80, "aria-label": `Name of ${item.name}` });
    let done = false;
    const end = (keep: boolean): void => {
      if (done) return;
      done = true;
      field.replaceWith(pick);
      if (document.activeElement === document.body) document.querySelector<HTMLElement>(".stage-canvas")?.focus();
      this.rowKey = "";
      const name = field.value.trim();
      this.actions.rename(item.id, keep && name ? name : item.name);
    };
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") end(false);
    });
    field.addEventListener("blur", () => end(true));
    pick.replaceWith(field);
    field.select();
  }

  showChoices(choices: readonly Choice[], color: string, width: number, height: number): void {
    this.choiceSection.hidden = choices.length < 2;
    const same = choices.length === this.choiceKey.length && choices.every((choice, i) => choice.layer === this.choiceKey[i]);
    if (!same) {
      this.choiceKey = choices.map((choice) => choice.layer);
      this.choices.replaceChildren(...choices.map((choice, index) => {
        const button = h("button", {
          class: "choice", type: "button", role: "radio", "aria-checked": "false",
          "aria-label": `Mask ${index + 1}, score ${choice.score.toFixed(2)}`,
          onclick: () => { this.actions.choose(index); announce(`Mask ${index + 1}`); },
          onkeydown: (event: KeyboardEvent) => this.step(event, index, choices.length),
        }, thumbnail(choice.layer, color, width, height), h("span", {}, choice.score.toFixed(2)));
        return button;
      }));
    }
    choices.forEach((choice, index) => {
      const button = this.choices.children[index];
      if (!button) return;
      set(button, "aria-checked", choice.chosen ? "true" : "false");
      set(button, "tabindex", choice.chosen ? 0 : -1);
    });
  }

  private step(event: KeyboardEvent, index: number, count: number): void {
    const step = event.key === "ArrowRight" || event.key === "ArrowDown" ? 1 : event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (index + step + count) % count;
    this.actions.choose(next);
    (this.choices.children[next] as HTMLElement | undefined)?.focus();
  }

  showRefine(shown: boolean): void { this.refine.hidden = !shown; }
}

function thumbnail(layer: Layer, color: string, width: number, height: number): HTMLCanvasElement {
  const w = 144, hh = clamp(Math.round((w * height) / width), 72, 144);
  const [canvas, ctx] = canvasOf(w, hh);
  const scale = Math.min(w / width, hh / height);
  ctx.translate((w - width * scale) / 2, (hh - height * scale) / 2);
  ctx.scale(scale, scale);
  layer.draw(ctx, color);
  return canvas;
}
