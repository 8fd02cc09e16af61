// Pointer events as gestures: click, drag, hover, pan and zoom.

export interface At { readonly x: number; readonly y: number }

export interface Gestures {
  /** What a drag of the first button does now. */
  dragMode(): "box" | "stroke" | "pan";
  click(at: At, negative: boolean, pick: boolean, touch: boolean): void;
  dragStart(at: At): void;
  drag(at: At): void;
  dragEnd(at: At): void;
  dragCancel(): void;
  hover(at: At | null): void;
  pan(dx: number, dy: number): void;
  zoom(factor: number, at: At): void;
}

const slop = 4;
const longPress = 500;

export class Pointer {
  /** True while Space is held. */
  panning = false;
  /** True once the held Space has moved the picture. */
  panned = false;
  private down: { id: number; from: At; last: At; state: "wait" | "drag" | "pan" | "done"; negative: boolean } | null = null;
  private touches = new Map<number, At>();
  private timer = 0;

  constructor(private readonly element: HTMLElement, private readonly to: Gestures) {
    element.addEventListener("pointerdown", this.onDown);
    element.addEventListener("pointermove", this.onMove);
    element.addEventListener("pointerup", this.onUp);
    element.addEventListener("pointercancel", () => this.cancel());
    element.addEventListener("pointerleave", () => this.to.hover(null));
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    element.addEventListener("wheel", this.onWheel, { passive: false });
  }

  /** Drops a drag that has begun; true if there was one. */
  cancel(): boolean {
    clearTimeout(this.timer);
    const dragged = this.down?.state === "drag";
    if (dragged) this.to.dragCancel();
    if (this.down) this.down.state = "done";
    this.touches.clear();
    return dragged;
  }

  private at(event: { clientX: number; clientY: number }): At {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private onDown = (event: PointerEvent): void => {
    const at = this.at(event);
    this.element.focus({ preventScroll: true });
    try { this.element.setPointerCapture(event.pointerId); } catch { /* The pointer is gone already. */ }
    if (event.pointerType === "touch") {
      this.touches.set(event.pointerId, at);
      if (this.touches.size > 1) {
        clearTimeout(this.timer);
        if (this.down?.state === "drag") this.to.dragCancel();
        if (this.down) this.down.state = "done";
        return;
      }
    } else event.preventDefault();
    const pan = event.button === 1 || (event.button === 0 && this.panning);
    this.down = { id: event.pointerId, from: at, last: at, state: pan ? "pan" : "wait", negative: event.button === 2 || event.altKey };
    if (!pan && event.button === 0 && this.to.dragMode() === "stroke") {
      this.down.state = "drag";
      this.to.dragStart(at);
    } else if (event.pointerType === "touch") {
      this.timer = window.setTimeout(() => {
        if (this.down?.state !== "wait") return;
        this.down.state = "done";
        this.to.click(at, true, false, true);
      }, longPress);
    }
  };

  private onMove = (event: PointerEvent): void => {
    const at = this.at(event);
    if (this.touches.size > 1 && this.touches.has(event.pointerId)) return this.pinch(event.pointerId, at);
    const down = this.down;
    if (!down || down.id !== event.pointerId) {
      if (event.pointerType !== "touch") this.to.hover(at);
      return;
    }
    if (down.state === "wait" && Math.hypot(at.x - down.from.x, at.y - down.from.y) > slop) {
      clearTimeout(this.timer);
      const mode = this.to.dragMode();
      down.state = mode === "pan" || down.negative ? "pan" : "drag";
      if (down.state === "drag") this.to.dragStart(down.from);
    }
    if (down.state === "drag") this.to.drag(at);
    if (down.state === "pan") {
      this.panned = true;
      this.to.pan(at.x - down.last.x, at.y - down.last.y);
    }
    down.last = at;
  };

  private onUp = (event: PointerEvent): void => {
    this.touches.delete(event.pointerId);
    const down = this.down;
    if (!down || down.id !== event.pointerId) return;
    clearTimeout(this.timer);
    this.down = null;
    const at = this.at(event);
    if (down.state === "drag") this.to.dragEnd(at);
    else if (down.state === "wait" && this.to.dragMode() !== "pan") {
      this.to.click(at, down.negative, event.ctrlKey || event.metaKey, event.pointerType === "touch");
    }
  };

  private pinch(id: number, at: At): void {
    const other = [...this.touches].find(([key]) => key !== id)?.[1];
    const before = this.touches.get(id);
    if (!other || !before) return;
    this.to.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
    const distance = Math.hypot(at.x - other.x, at.y - other.y), last = Math.hypot(before.x - other.x, before.y - other.y);
    if (last > 0) this.to.zoom(distance / last, { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 });
    this.touches.set(id, at);
  }

  private onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 18 : event.deltaMode === 2 ? 300 : 1;
    if (!event.ctrlKey && (event.shiftKey || event.deltaX !== 0)) {
      this.to.pan(-(event.deltaX || event.deltaY) * unit, event.shiftKey ? 0 : -event.deltaY * unit);
    } else {
      this.to.zoom(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0016)), this.at(event));
    }
  };
}
