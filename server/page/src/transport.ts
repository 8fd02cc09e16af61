// The row over the timeline: playing, tracking and starting over.
import { h, set } from "./dom";
import { icon, type IconName } from "./icons";
import type { Direction } from "./types";

export interface TransportActions {
  step(frames: number): void;
  toggle(): void;
  track(direction: Direction): void;
  stop(): void;
  startOver(): void;
}

export class Transport {
  readonly element: HTMLElement;
  private readonly play: HTMLButtonElement;
  private readonly time = h("span", { class: "time" });
  private readonly buttons: HTMLElement;
  private readonly running: HTMLElement;
  private readonly bar = h("progress", { max: 1, value: 0, "aria-label": "Tracking" });
  private readonly text = h("span", { class: "time", role: "status" });
  private readonly trackButtons: HTMLButtonElement[];

  constructor(actions: TransportActions) {
    const small = (name: IconName, label: string, keys: string, run: () => void): HTMLButtonElement =>
      h("button", { class: "icon-button", type: "button", "aria-label": label, "data-tip": `${label}  ·  ${keys}`, onclick: run }, icon(name));
    this.play = small("play", "Play", "Space", () => actions.toggle());
    this.play.classList.add("play");
    const track = (name: IconName, label: string, tip: string, direction: Direction, main: boolean): HTMLButtonElement =>
      h("button", { class: main ? "button primary" : "icon-button", type: "button", "aria-label": label, "data-tip": tip, onclick: () => actions.track(direction) },
        icon(name, main ? 16 : 18), main ? h("span", {}, "Track") : null);
    this.trackButtons = [
      track("backward", "Track backward", "Track backward", "backward", false),
      track("both", "Track both ways", "Track both ways  ·  Shift+T", "both", false),
      track("forward", "Track forward", "Track forward  ·  T", "forward", true),
    ];
    this.buttons = h("div", { class: "row" },
      h("button", { class: "icon-button", type: "button", "aria-label": "Start over", "data-tip": "Start over", onclick: () => actions.startOver() }, icon("reset")),
      ...this.trackButtons);
    this.running = h("div", { class: "row running", hidden: true }, this.text, this.bar,
      h("button", { class: "button", type: "button", onclick: () => actions.stop() }, "Cancel", h("kbd", {}, "Esc")));
    this.element = h("div", { class: "transport" },
      h("div", { class: "row" },
        small("previous", "Previous frame", "←", () => actions.step(-1)), this.play, small("next", "Next frame", "→", () => actions.step(1)), this.time),
      h("div", { class: "row end" }, this.buttons, this.running));
  }

  showFrame(frame: number, count: number, fps: number): void {
    const seconds = frame / fps;
    const minutes = Math.floor(seconds / 60);
    this.time.replaceChildren(h("strong", {}, String(frame + 1)), ` / ${count}`, h("span", { class: "clock" }, `${minutes}:${(seconds - minutes * 60).toFixed(2).padStart(5, "0")}`));
  }

  showPlaying(playing: boolean): void {
    this.play.replaceChildren(icon(playing ? "pause" : "play"));
    set(this.play, "aria-label", playing ? "Pause" : "Play");
  }

  showTracking(tracking: boolean, canTrack: boolean): void {
    this.buttons.hidden = tracking;
    this.running.hidden = !tracking;
    for (const button of this.trackButtons) button.disabled = !canTrack;
    if (tracking) return;
    this.bar.value = 0;
    this.text.textContent = "Tracking…";
  }

  progress(done: number, total: number): void {
    this.bar.value = done / Math.max(1, total);
    this.text.textContent = `${done} / ${total}`;
  }
}
