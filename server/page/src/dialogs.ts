// The list of keys and the question for the API key.
import { h } from "./dom";
import { icon } from "./icons";

function open(title: string, body: HTMLElement, onclose: () => void = () => undefined): HTMLDialogElement {
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
    h("header", {},
      h("h2", { id: "dialog-title" }, title),
      h("button", { class: "icon-button", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close", 16))),
    body);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { dialog.remove(); onclose(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export const isDialogOpen = (): boolean => document.querySelector("dialog[open]") !== null;

export interface KeyGroup { readonly title: string; readonly keys: readonly (readonly [string, string])[] }

export function showKeys(groups: readonly KeyGroup[]): void {
  if (isDialogOpen()) return;
  const body = h("div", { class: "key-groups", tabindex: 0, role: "group", "aria-label": "Keys" }, ...groups.map((group) =>
    h("section", {}, h("h3", {}, group.title), h("dl", {}, ...group.keys.map(([keys, text]) =>
      h("div", {}, h("dt", {}, text), h("dd", {}, ...keys.split(" ").map((key) =>
        key === "or" || key === "to" ? h("span", { class: "hint" }, ` ${key} `) : h("kbd", {}, key)))))))));
  open("Keys", body);
}

/** Asks for the API key; rejects if the dialog is closed. */
export function askKey(again: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const field = h("input", { type: "password", id: "api-key", autocomplete: "off", required: true });
    const form = h("form", { class: "key-form" },
      h("label", { for: "api-key" }, again ? "The server did not accept the key. Enter the API key of this server." : "Enter the API key of this server."),
      field,
      h("p", { class: "hint" }, "The key stays in this tab until you close it."),
      h("button", { class: "button primary", type: "submit" }, "Continue"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const value = field.value.trim();
      if (!value) return;
      resolve(value);
      dialog.close();
    });
    const dialog = open("API key", form, () => reject(new Error("The server needs an API key.")));
    field.focus();
  });
}
