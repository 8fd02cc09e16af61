// Small helpers to build and watch the document.

type Value = string | number | boolean | null | undefined | ((event: never) => void);
export type Child = Node | string | null | false;

/** Makes an element. Keys that start with "on" add listeners, the others set attributes. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Record<string, Value> = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value as EventListener);
    else set(element, key, value);
  }
  for (const child of children) if (child !== null && child !== false) element.append(child);
  return element;
}

/** Sets an attribute, or removes it for null, undefined and false. */
export function set(element: Element, key: string, value: string | number | boolean | null | undefined): void {
  if (value === null || value === undefined || value === false) element.removeAttribute(key);
  else element.setAttribute(key, value === true ? "" : String(value));
}

export function canvasOf(width: number, height: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return [canvas, context(canvas)];
}

export function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const ctx = canvas.getContext("2d");
  if (!ctx) throw new Error("This browser has no 2D canvas.");
  return ctx;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

export function cssColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** True where typing goes into a field. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.matches("input:not([type=range]):not([type=radio]), textarea, select"));
}

/** Keeps a text for screen readers, without a visible change. */
const live = h("div", { class: "hidden-text", role: "status", "aria-live": "polite" });
export function announce(text: string): void {
  if (!live.isConnected) (document.querySelector("main") ?? document.body).append(live);
  live.textContent = text;
}
