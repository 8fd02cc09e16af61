// Quiet messages at the foot of the page.
import { h } from "./dom";
import { icon } from "./icons";
import { ApiError } from "./http";

const list = h("div", { class: "toasts", role: "region", "aria-label": "Messages" });

export function toast(text: string, kind: "info" | "error" = "info"): void {
  if (!list.isConnected) document.body.append(list);
  for (const old of list.children) if (old.getAttribute("data-text") === text) old.remove();
  const close = (): void => item.remove();
  const item = h("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status", "data-text": text },
    h("span", {}, text),
    h("button", { class: "icon-button small", "aria-label": "Close message", onclick: close }, icon("close", 14)));
  list.append(item);
  while (list.children.length > 3) list.firstElementChild?.remove();
  setTimeout(close, kind === "error" ? 9000 : 4000);
}

export function report(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  toast(error instanceof ApiError || error instanceof Error ? error.message : "Something went wrong.", "error");
}
