// The frames of a video, fetched from the server around the playhead.
import * as api from "./api";
import { clamp } from "./dom";

const parallel = 4;

export class Frames {
  private readonly ready = new Map<number, ImageBitmap>();
  private readonly loading = new Map<number, Promise<void>>();
  private readonly failed = new Set<number>();
  private readonly room: number;
  private readonly abort = new AbortController();
  private center = 0;
  private ahead = 1;

  constructor(private readonly video: string, readonly count: number, width: number, height: number, private readonly arrived: (index: number) => void) {
    this.room = clamp(Math.floor((384 << 20) / (width * height * 4)), 16, 600);
  }

  get(index: number): ImageBitmap | undefined { return this.ready.get(index); }

  /** Puts the playhead on a frame: it is fetched first, then those after it, then those before it. */
  seek(index: number, direction: 1 | -1 = 1): void {
    this.center = index;
    this.ahead = direction;
    this.fill();
  }

  close(): void {
    this.abort.abort();
    for (const bitmap of this.ready.values()) bitmap.close();
    this.ready.clear();
  }

  private fill(): void {
    if (this.abort.signal.aborted) return;
    const half = Math.floor(this.room * 0.7);
    const wanted: number[] = [this.center];
    for (let i = 1; i <= Math.min(half, 48); i++) {
      wanted.push(this.center + i * this.ahead);
      if (i <= 8) wanted.push(this.center - i * this.ahead);
    }
    for (const index of wanted) {
      if (this.loading.size >= parallel && index !== this.center) return;
      if (index < 0 || index >= this.count || this.ready.has(index) || this.loading.has(index) || this.failed.has(index)) continue;
      this.loading.set(index, this.load(index));
    }
  }

  private async load(index: number): Promise<void> {
    try {
      const bitmap = await createImageBitmap(await api.frame(this.video, index, this.abort.signal));
      if (this.abort.signal.aborted) return bitmap.close();
      this.ready.set(index, bitmap);
      this.evict();
      this.arrived(index);
    } catch {
      if (!this.abort.signal.aborted) {
        this.failed.add(index);
        setTimeout(() => this.failed.delete(index), 3000);
      }
    } finally {
      this.loading.delete(index);
      this.fill();
    }
  }

  /** Drops the frames that are farthest from the playhead. */
  private evict(): void {
    while (this.ready.size > this.room) {
      let far = -1;
      for (const index of this.ready.keys()) if (far < 0 || Math.abs(index - this.center) > Math.abs(far - this.center)) far = index;
      this.ready.get(far)?.close();
      this.ready.delete(far);
    }
  }
}
