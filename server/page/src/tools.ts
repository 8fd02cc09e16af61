// The tools and their bar.
import { h, set } from "./dom";
import { icon, type IconName } from "./icons";

export type Tool = "point" | "negative" | "box" | "brush" | "eraser" | "hand";

const tools: readonly (readonly [Tool, IconName, string, string])[] = [
  ["point", "point", "Add to object", "V"],
  ["negative", "minus", "Take from object", "Shift+V"],
  ["box", "box", "Box", "B"],
  ["brush", "brush", "Brush", "E"],
  ["eraser", "eraser", "Eraser", "Shift+E"],
  ["hand", "hand", "Move picture", "H"],
];

export class ToolBar {
  readonly element = h("div", { class: "tools", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" });
  private readonly buttons = new Map<Tool, HTMLButtonElement>();

  constructor(pick: (tool: Tool) => void, extra: readonly HTMLElement[]) {
    for (const [tool, name, label, keys] of tools) {
      const button = toolButton(name, label, keys, () => pick(tool));
      this.buttons.set(tool, button);
      this.element.append(button);
      if (tool === "box" || tool === "hand") this.element.append(h("span", { class: "rule", role: "presentation" }));
    }
    this.element.append(...extra);
  }

  show(tool: Tool): void {
    for (const [name, button] of this.buttons) set(button, "aria-pressed", name === tool ? "true" : "false");
  }
}

export function toolButton(name: IconName, label: string, keys: string, run: () => void): HTMLButtonElement {
  return h("button", {
    class: "icon-button", type: "button", "aria-label": label, "data-tip": keys ? `${label}  ·  ${keys}` : label, onclick: run,
  }, icon(name));
}
