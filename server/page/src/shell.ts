// The frame of the page: the header, and the places for the stage, the panel and the timeline.
import { h, set } from "./dom";
import { icon, type IconName } from "./icons";
import { menuButton, type MenuItem } from "./menu";
import { nextTheme, onTheme, theme } from "./theme";

export interface ShellActions {
  open(): void;
  home(): void;
  undo(): void;
  redo(): void;
  keys(): void;
  exports(): readonly MenuItem[];
}

export class Shell {
  readonly stage = h("div", { class: "stage" });
  readonly side = h("div", { class: "side" });
  readonly foot = h("div", { class: "foot" });
  readonly body = h("main", { class: "body" }, this.stage, this.side, this.foot);
  private readonly file = h("h1", { class: "file" });
  private readonly state = h("span", { class: "state", role: "status" });
  private readonly undoButton: HTMLButtonElement;
  private readonly redoButton: HTMLButtonElement;
  private readonly exportButton: HTMLButtonElement;
  private readonly work: HTMLElement;

  constructor(actions: ShellActions) {
    const button = (name: IconName, label: string, keys: string, run: () => void): HTMLButtonElement =>
      h("button", { class: "icon-button", type: "button", "aria-label": label, "data-tip": keys ? `${label}  ·  ${keys}` : label, onclick: run }, icon(name));
    this.undoButton = button("undo", "Undo", "Z", () => actions.undo());
    this.redoButton = button("redo", "Redo", "Shift+Z", () => actions.redo());
    this.exportButton = h("button", { class: "button export", type: "button", "aria-label": "Export" }, icon("download", 16), h("span", { class: "wide" }, "Export"));
    const menu = menuButton(this.exportButton, () => actions.exports());
    const themeButton = button("screen", "Theme", "", () => nextTheme());
    const showTheme = (): void => {
      const value = theme();
      themeButton.replaceChildren(icon(value === "light" ? "sun" : value === "dark" ? "moon" : "screen"));
      set(themeButton, "aria-label", `Theme: ${value}`);
      set(themeButton, "data-tip", `Theme: ${value}`);
    };
    onTheme(showTheme);
    showTheme();
    this.work = h("div", { class: "work" }, this.undoButton, this.redoButton, menu);
    const header = h("header", { class: "header" },
      h("button", { class: "brand", type: "button", "aria-label": "SAM 2, start page", onclick: () => actions.home() }, h("span", { class: "mark" }), h("span", { class: "wide" }, "SAM 2")),
      h("button", { class: "button", type: "button", "aria-label": "Open", onclick: () => actions.open() }, icon("open", 16), h("span", { class: "wide" }, "Open")),
      h("div", { class: "title" }, this.file, this.state),
      this.work,
      h("div", { class: "extra" }, themeButton, button("keys", "Keys", "?", () => actions.keys())));
    document.body.append(header, this.body);
    this.idle();
  }

  /** The page without a picture. */
  idle(): void {
    this.title("", "");
    this.status("");
    this.history(false, false);
    this.work.hidden = true;
    this.body.dataset["mode"] = "start";
    for (const place of [this.stage, this.side, this.foot]) place.replaceChildren();
  }

  begin(mode: "image" | "video"): void {
    for (const place of [this.stage, this.side, this.foot]) place.replaceChildren();
    this.work.hidden = false;
    this.body.dataset["mode"] = mode;
  }

  title(name: string, note: string): void {
    this.file.replaceChildren(h("span", { class: "file-name" }, name || "SAM 2"), note ? h("span", { class: "file-note" }, note) : "");
    this.file.classList.toggle("hidden-text", !name);
    document.title = name ? `${name} · SAM 2` : "SAM 2";
  }

  status(text: string, kind: "busy" | "ready" | "" = ""): void {
    this.state.dataset["kind"] = kind;
    this.state.replaceChildren(text ? h("span", { class: "state-text" }, text) : "");
  }

  history(undo: boolean, redo: boolean): void {
    this.undoButton.disabled = !undo;
    this.redoButton.disabled = !redo;
  }
}
