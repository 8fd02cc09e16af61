// A button that opens a list of actions.
import { h, set } from "./dom";

export interface MenuItem { readonly label: string; readonly hint?: string; readonly run: () => void; readonly disabled?: boolean }

export function menuButton(button: HTMLButtonElement, items: () => readonly MenuItem[]): HTMLElement {
  const list = h("div", { class: "menu", role: "menu", hidden: true });
  set(list, "aria-label", button.getAttribute("aria-label") ?? button.textContent);
  const root = h("div", { class: "menu-root" }, button, list);
  set(button, "aria-haspopup", "menu");
  set(button, "aria-expanded", "false");

  const close = (focus: boolean): void => {
    list.hidden = true;
    set(button, "aria-expanded", "false");
    document.removeEventListener("pointerdown", outside, true);
    if (focus) button.focus();
  };
  const outside = (event: Event): void => { if (!root.contains(event.target as Node)) close(false); };
  const move = (step: number): void => {
    const all = [...list.querySelectorAll<HTMLButtonElement>("button:not(:disabled)")];
    const at = all.indexOf(document.activeElement as HTMLButtonElement);
    all[(at + step + all.length) % all.length]?.focus();
  };

  button.addEventListener("click", () => {
    if (!list.hidden) return close(false);
    list.replaceChildren(...items().map((item) =>
      h("button", { role: "menuitem", type: "button", tabindex: -1, disabled: item.disabled ?? false, onclick: () => { close(true); item.run(); } },
        h("span", {}, item.label), item.hint ? h("span", { class: "hint" }, item.hint) : null)));
    list.hidden = false;
    set(button, "aria-expanded", "true");
    document.addEventListener("pointerdown", outside, true);
    move(1);
  });
  root.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "Escape") close(true);
    else if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Tab") return close(false);
    else if (event.key === "Enter" || event.key === " ") { event.stopPropagation(); return; }
    event.preventDefault();
    event.stopPropagation();
  });
  return root;
}
