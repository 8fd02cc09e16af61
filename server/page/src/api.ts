// The calls of the API that the page uses.
import { json, send, upload } from "./http";
import { events } from "./sse";
import type {
  Box, Direction, FoundMask, FrameMasks, ImageInfo, Mask, Point, Problem, Rle, SessionInfo, SystemInfo, TrackedMask, VideoInfo,
} from "./types";
import { ApiError } from "./http";

export interface ImagePrompt {
  readonly points?: readonly Point[];
  readonly box?: Box;
  readonly mask?: { readonly rle: Rle };
  readonly multimask?: boolean;
}

export interface VideoPrompt {
  readonly points?: readonly Point[];
  readonly box?: Box;
  readonly mask?: { readonly rle: Rle };
}

export const system = (): Promise<SystemInfo> => json("/system");

export const addImage = (file: Blob, progress: (part: number) => void): Promise<ImageInfo> =>
  upload("/images?wait=1", file, progress);

/** The masks of one prompt; null if a later hover request has overtaken this one. */
export async function predict(image: string, prompt: ImagePrompt, hover = false): Promise<readonly Mask[] | null> {
  const response = await send(`/images/${image}/masks`, { json: hover ? { prompts: [prompt], hover } : { prompts: [prompt] } });
  if (response.status === 204) return null;
  const body = (await response.json()) as { results: { masks: Mask[] }[] };
  return body.results[0]?.masks ?? [];
}

export type Found =
  | { readonly event: "progress"; readonly data: { readonly done: number; readonly total: number } }
  | { readonly event: "mask"; readonly data: FoundMask }
  | { readonly event: "done"; readonly data: { readonly count: number } };

export interface Thresholds { readonly pred_iou_thresh?: number; readonly stability_score_thresh?: number }

export async function* everything(image: string, thresholds: Thresholds, signal: AbortSignal): AsyncGenerator<Found> {
  const response = await send(`/images/${image}/everything`, { json: thresholds, accept: "text/event-stream", signal });
  for await (const item of events(response)) {
    if (item.event === "error") throw failed(item.data);
    yield item as Found;
  }
}

export const addVideo = (file: Blob, progress: (part: number) => void, signal: AbortSignal): Promise<VideoInfo> =>
  upload("/videos", file, progress, signal);

export const addSession = (video: string): Promise<SessionInfo> => json("/sessions", { json: { video } });

export async function frame(video: string, index: number, signal?: AbortSignal): Promise<Blob> {
  return (await send(`/videos/${video}/frames/${index}.jpg`, signal ? { signal } : {})).blob();
}

/** Encodes a frame ahead of its first prompt. */
export const encode = (session: string, at: number): Promise<Response> => send(`/sessions/${session}/encode`, { json: { frame: at } });

export const setPrompts = (session: string, at: number, object: number, prompt: VideoPrompt): Promise<FrameMasks> =>
  json(`/sessions/${session}/prompts`, { json: { frame: at, object, clear: true, ...prompt } });

/** The mask that a prompt would give to a new object; null if a later request has overtaken this one. */
export async function preview(session: string, at: number, prompt: VideoPrompt): Promise<TrackedMask | undefined | null> {
  const response = await send(`/sessions/${session}/prompts`, { json: { frame: at, object: 1e9, hover: true, ...prompt } });
  return response.status === 204 ? null : ((await response.json()) as FrameMasks).masks[0];
}

export const clearPrompts = (session: string, at: number, object: number): Promise<FrameMasks> =>
  json(`/sessions/${session}/prompts?frame=${at}&object=${object}`, { method: "DELETE" });

export const removeObject = (session: string, object: number): Promise<{ readonly frames: readonly FrameMasks[] }> =>
  json(`/sessions/${session}/objects/${object}`, { method: "DELETE" });

export const reset = (session: string): Promise<Response> => send(`/sessions/${session}/reset`, { method: "POST" });

export const cancel = (session: string): Promise<Response> => send(`/sessions/${session}/cancel`, { method: "POST" });

export const close = (session: string): Promise<Response> => send(`/sessions/${session}`, { method: "DELETE", keepalive: true });

export type Tracked =
  | { readonly event: "frame"; readonly data: FrameMasks }
  | { readonly event: "progress"; readonly data: { readonly done: number; readonly total: number } }
  | { readonly event: "done"; readonly data: unknown };

export async function* propagate(session: string, start: number, direction: Direction, signal: AbortSignal): AsyncGenerator<Tracked> {
  const response = await send(`/sessions/${session}/propagate`, { json: { start, direction }, accept: "text/event-stream", signal });
  for await (const item of events(response)) {
    if (item.event === "error") throw failed(item.data);
    yield item as Tracked;
  }
}

export const exported = async (session: string, format: string, effect: string | null): Promise<Blob> =>
  (await send(`/sessions/${session}/export?format=${format}${effect ? `&effect=${effect}` : ""}`)).blob();

function failed(data: unknown): ApiError {
  const problem = data as Partial<Problem>;
  return new ApiError(problem.status ?? 500, "", problem.detail ?? problem.title ?? "The work ended with an error.");
}
