// Work on one video: a session on the server, frames, masks and the timeline.
import * as api from "./api";
import { parseKey, type Doc, type Prompt } from "./doc";
import { announce, clamp } from "./dom";
import { isOverlay } from "./effects";
import { save, stem } from "./files";
import { ApiError } from "./http";
import { Frames } from "./frames";
import { Hover } from "./hover";
import type { Layer } from "./layer";
import type { At } from "./pointer";
import type { MenuItem } from "./menu";
import type { Choice } from "./panel";
import type { Shell } from "./shell";
import { ranges, Timeline, type Lane } from "./timeline";
import { report, toast } from "./toast";
import { toolButton } from "./tools";
import { Transport } from "./transport";
import type { Direction, FrameMasks, Rle, SessionInfo, TrackedMask, VideoInfo } from "./types";
import { Workspace } from "./workspace";

export class VideoWorkspace extends Workspace {
  readonly video = true;
  private head = 0;
  private seen = 0;
  private readonly frames: Frames;
  private readonly timeline: Timeline;
  private readonly transport: Transport;
  private readonly masks = new Map<number, Map<number, TrackedMask>>();
  /** Requests of the session go one after the other. */
  private queue: Promise<void> = Promise.resolve();
  private tracking: { readonly abort: AbortController; readonly done: Promise<void>; cancelled: boolean } | null = null;
  private playFrom: { readonly time: number; readonly frame: number } | null = null;
  private playAsked = 0;
  private closed = false;
  private epoch = 0;
  private encodeTimer = 0;
  private readonly hoverer = new Hover((point) => api.preview(this.session.id, this.head, { points: [point] }), () => this.stage.invalidate());

  constructor(shell: Shell, name: string, private readonly info: VideoInfo, private session: SessionInfo) {
    super(shell, name, "Click an object on any frame, then track it.", (self) => [toolButton("fit", "Fit to window", "0", () => self.stage.fit())]);
    this.frames = new Frames(info.id, info.frames, info.width, info.height, (index) => this.arrived(index));
    this.transport = new Transport(this);
    this.timeline = new Timeline(info.frames, (frame) => { this.pause(); this.seek(frame); }, (object) => this.pick(object));
    shell.foot.append(this.transport.element, this.timeline.element);
    this.stage.setSize(info.width, info.height);
    shell.title(name, `${info.width} × ${info.height}, ${info.frames} frames`);
    shell.status("Ready", "ready");
    this.seek(0);
    this.refresh();
  }

  override close(): void {
    this.closed = true;
    clearTimeout(this.encodeTimer);
    this.pause();
    this.tracking?.abort.abort();
    this.frames.close();
    this.timeline.close();
    super.close();
    api.close(this.session.id).catch(() => undefined);
  }

  override get frame(): number { return this.head; }
  override picture(): CanvasImageSource | null { return this.frames?.get(this.seen) ?? null; }
  protected override stampOf(): string { return String(this.seen); }

  private maskOf(object: number): TrackedMask | undefined { return this.masks?.get(this.seen)?.get(object); }
  override rleOf(object: number): Rle | null { return this.maskOf(object)?.rle ?? null; }

  override noteOf(object: number): string {
    const mask = this.maskOf(object);
    if (!mask) return "";
    return mask.lost ? "lost" : mask.score.toFixed(2);
  }

  override choicesOf(): readonly Choice[] { return []; }
  override choose(): void { /* A session gives one mask. */ }

  protected override canEdit(): boolean {
    if (this.seen !== this.head) return false;
    this.pause();
    return true;
  }

  // Frames and playing.

  seek(frame: number): void {
    const next = clamp(frame, 0, this.info.frames - 1);
    this.frames.seek(next, next < this.head ? -1 : 1);
    this.head = next;
    this.hoverer.clear();
    if (this.frames.get(next)) this.seen = next;
    this.cross = null;
    this.refresh();
    this.encodeSoon();
  }

  /** Has the server encode the frame on which the user stays, so that the first click on it is quick. */
  private encodeSoon(): void {
    clearTimeout(this.encodeTimer);
    this.encodeTimer = window.setTimeout(() => {
      if (this.closed || this.playFrom || this.tracking) return;
      // A click encodes the frame anyway.
      api.encode(this.session.id, this.head).catch(() => undefined);
    }, 150);
  }

  private arrived(index: number): void {
    if (index !== this.head || this.closed) return;
    this.seen = index;
    this.refresh();
  }

  step(frames: number): void {
    this.pause();
    this.seek(this.head + frames);
  }

  toggle(): void { if (this.playFrom) this.pause(); else this.play(); }

  private play(): void {
    if (this.tracking) return;
    if (this.head === this.info.frames - 1) this.seek(0);
    this.playFrom = { time: performance.now(), frame: this.head };
    this.transport.showPlaying(true);
    const tick = (): void => {
      if (!this.playFrom) return;
      const wanted = Math.min(this.info.frames - 1, this.playFrom.frame + Math.floor(((performance.now() - this.playFrom.time) / 1000) * this.info.fps));
      if (wanted !== this.head) {
        // Where a frame is late, the clock waits for it.
        if (this.frames.get(wanted)) this.seek(wanted);
        else {
          this.frames.seek(wanted);
          this.playFrom = { time: performance.now(), frame: wanted };
          this.head = wanted;
        }
      } else if (this.seen !== this.head) this.playFrom = { time: performance.now(), frame: this.head };
      if (this.head === this.info.frames - 1 && this.seen === this.head) return this.pause();
      this.playAsked = requestAnimationFrame(tick);
    };
    this.playAsked = requestAnimationFrame(tick);
  }

  private pause(): void {
    if (!this.playFrom) return;
    this.playFrom = null;
    cancelAnimationFrame(this.playAsked);
    this.transport.showPlaying(false);
  }

  protected override tapSpace(): void { this.toggle(); }

  // The preview.

  override hover(at: At | null): void {
    super.hover(at);
    const still = !this.playFrom && !this.tracking && this.seen === this.head;
    const p = at !== null && still && this.stage?.isOn(at) ? this.stage.inside(at) : null;
    if (p && this.tool === "point" && this.doc.active === null) this.hoverer?.move({ x: Math.round(p.x), y: Math.round(p.y) });
    else this.hoverer?.clear();
  }

  protected override preview(): Layer | null { return this.hoverer?.layer ?? null; }

  // Prompts.

  private store(answer: FrameMasks): void {
    const known = new Set(this.doc.items.map((item) => item.id));
    this.masks.set(answer.frame, new Map(answer.masks.filter((mask) => known.has(mask.object)).map((mask) => [mask.object, mask])));
  }

  private enqueue(job: () => Promise<void>): void {
    const epoch = this.epoch;
    this.queue = this.queue.then(async () => {
      if (this.tracking) await this.stop();
      if (this.closed || epoch !== this.epoch) return;
      try {
        await job();
      } catch (error) {
        await this.failed(error);
      }
      this.stage.draw();
      this.refresh();
    });
  }

  /** Where the server has dropped the session, begins a new one and sends the prompts again. */
  private async failed(error: unknown): Promise<void> {
    if (!(error instanceof ApiError) || error.status !== 404 || this.closed) return report(error);
    try {
      this.session = await api.addSession(this.info.id);
      this.masks.clear();
      for (const [key, prompt] of this.doc.prompts) {
        const [object, frame] = parseKey(key);
        this.store(await api.setPrompts(this.session.id, frame, object, wire(prompt)));
      }
      toast("The session had ended. A new one has your prompts; track again.");
    } catch (again) {
      report(again);
    }
  }

  protected override sync(before: Doc, after: Doc): void {
    if (after.active !== null) this.hoverer.clear();
    const kept = new Set(after.items.map((item) => item.id));
    const gone = before.items.filter((item) => !kept.has(item.id));
    for (const item of gone) {
      for (const masks of this.masks.values()) masks.delete(item.id);
      // An object without prompts is not known to the server.
      if (![...before.prompts.keys()].some((key) => parseKey(key)[0] === item.id)) continue;
      this.enqueue(async () => { for (const answer of (await api.removeObject(this.session.id, item.id)).frames) this.store(answer); });
    }
    for (const key of new Set([...before.prompts.keys(), ...after.prompts.keys()])) {
      const prompt = after.prompts.get(key);
      const [object, frame] = parseKey(key);
      if (prompt === before.prompts.get(key) || !kept.has(object)) continue;
      this.enqueue(async () => {
        // Only the newest state of the prompts is sent.
        if (this.doc.prompts.get(key) !== prompt) return;
        const answer = prompt ? await api.setPrompts(this.session.id, frame, object, wire(prompt)) : await api.clearPrompts(this.session.id, frame, object);
        this.store(answer);
        const mask = answer.masks.find((one) => one.object === object);
        if (mask) announce(mask.area ? `Mask of ${mask.area} pixels` : "The mask is empty");
      });
    }
  }

  startOver(): void {
    if (!this.doc.items.length) return;
    this.epoch++;
    this.queue = this.queue.then(async () => {
      if (this.tracking) await this.stop();
      try {
        await api.reset(this.session.id);
        this.masks.clear();
        this.clearAll();
        announce("Started over");
      } catch (error) {
        report(error);
      }
    });
  }

  // Tracking.

  track(direction: Direction): void {
    if (this.tracking) return;
    this.hoverer.clear();
    if (!this.doc.prompts.size) return toast("Mark an object first.");
    this.pause();
    this.queue = this.queue.then(() => {
      if (this.tracking || this.closed) return;
      const abort = new AbortController();
      this.tracking = { abort, cancelled: false, done: this.follow(direction, abort.signal) };
      this.refresh();
    });
  }

  private async follow(direction: Direction, signal: AbortSignal): Promise<void> {
    let end = "Tracked", whole = false;
    try {
      for await (const item of api.propagate(this.session.id, this.head, direction, signal)) {
        if (item.event === "frame") {
          this.store(item.data);
          this.seek(item.data.frame);
        } else if (item.event === "progress") this.transport.progress(item.data.done, item.data.total);
        else if (item.event === "done") whole = true;
      }
      if (this.tracking?.cancelled) end = "Tracking cancelled";
      else if (!whole && !this.closed) toast("The server has ended the tracking early.", "error");
    } catch (error) {
      end = "Tracking ended";
      await this.failed(error);
    }
    this.tracking = null;
    if (this.closed) return;
    announce(end);
    this.refresh();
  }

  /** Cancels the tracking; the stream ends after the current frame. */
  async stop(): Promise<void> {
    const tracking = this.tracking;
    if (!tracking) return;
    tracking.cancelled = true;
    await api.cancel(this.session.id).catch(report);
    const timer = setTimeout(() => tracking.abort.abort(), 5000);
    await tracking.done;
    clearTimeout(timer);
  }

  override cancel(): void { if (this.tracking) void this.stop(); else super.cancel(); }

  // Keys and exports.

  override key(event: KeyboardEvent): boolean {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const inGroup = event.target instanceof HTMLElement && event.target.closest('[role="radiogroup"], select, input') !== null;
    if (plain && !inGroup) {
      const far = event.shiftKey ? 10 : 1;
      switch (event.key) {
        case "ArrowLeft": this.step(-far); return true;
        case "ArrowRight": this.step(far); return true;
        case "Home": this.step(-this.head); return true;
        case "End": this.step(this.info.frames); return true;
        case "t": case "T": this.track(event.shiftKey ? "both" : "forward"); return true;
      }
    }
    return super.key(event);
  }

  override exports(): readonly MenuItem[] {
    const base = stem(this.name);
    const effects: Record<string, string> = { color: "cutout" };
    const { effect } = this.panel.effect;
    const seen = isOverlay(effect) ? effect : (effects[effect] ?? effect);
    const item = (label: string, hint: string, format: string, suffix: string, withEffect = false): MenuItem => ({
      label, hint, disabled: !this.masks.size,
      run: () => {
        this.shell.status("Exporting…", "busy");
        api.exported(this.session.id, format, withEffect ? seen : null)
          .then((blob) => { save(blob, base + suffix); toast(`Saved ${base}${suffix}.`); }, report)
          .finally(() => this.shell.status("Ready", "ready"));
      },
    });
    return [
      item("Masks", "PNG per object, ZIP", "png", "-masks.zip"), item("Label maps", "PNG per frame, ZIP", "labels", "-labels.zip"),
      item("Annotations", "COCO JSON", "coco", "-coco.json"), item("SA-V", "JSON", "sav", "-sav.json"), item("YouTube-VIS", "JSON", "ytvis", "-ytvis.json"),
      item("Video", "MP4 with the view", "mp4", ".mp4", true), item("Animation", "GIF with the view", "gif", ".gif", true),
    ];
  }

  override refresh(): void {
    super.refresh();
    if (!this.timeline) return;
    this.transport.showFrame(this.head, this.info.frames, this.info.fps);
    this.transport.showTracking(this.tracking !== null, this.doc.prompts.size > 0);
    this.timeline.show(this.lanes(), this.head);
  }

  private lanes(): Lane[] {
    const tracked = new Map<number, number[]>(), lost = new Map<number, number[]>();
    for (const [frame, masks] of this.masks) {
      for (const mask of masks.values()) {
        const map = mask.lost || mask.area === 0 ? lost : tracked;
        const list = map.get(mask.object);
        if (list) list.push(frame);
        else map.set(mask.object, [frame]);
      }
    }
    return this.doc.items.map((item) => ({
      item, active: item.id === this.doc.active, tracked: ranges(tracked.get(item.id) ?? []), lost: ranges(lost.get(item.id) ?? []),
      prompts: [...this.doc.prompts.keys()].map(parseKey).filter(([object]) => object === item.id).map(([, frame]) => frame),
    }));
  }
}

function wire(prompt: Prompt): api.VideoPrompt {
  if (prompt.drawn) return { mask: { rle: prompt.drawn } };
  return { ...(prompt.points.length ? { points: prompt.points } : {}), ...(prompt.box ? { box: prompt.box } : {}) };
}
