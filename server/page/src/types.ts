// Shapes of the HTTP API.

export interface Point { readonly x: number; readonly y: number; readonly label: 0 | 1 }
export type Box = readonly [number, number, number, number];
export interface Rle { readonly size: readonly [number, number]; readonly counts: string }

export interface Mask {
  readonly rle: Rle;
  readonly box: Box | null;
  readonly area: number;
  readonly predicted_iou: number;
}

export interface FoundMask extends Mask {
  readonly stability_score: number;
  readonly point: readonly [number, number];
}

export interface ImageInfo {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly encoded: boolean;
  readonly encode_ms?: number;
}

export interface VideoInfo {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly fps: number;
  readonly name?: string;
}

export interface SessionInfo { readonly id: string; readonly video: string; readonly frames: number }

export interface TrackedMask {
  readonly object: number;
  readonly rle: Rle;
  readonly box: Box | null;
  readonly area: number;
  readonly score: number;
  readonly lost: boolean;
}

export interface FrameMasks { readonly frame: number; readonly masks: readonly TrackedMask[] }

export interface SystemInfo {
  readonly version: string;
  readonly device: string;
  readonly precision: string;
  readonly model: string;
}

export interface Problem { readonly type: string; readonly title: string; readonly status: number; readonly detail: string }

export type Direction = "forward" | "backward" | "both";
