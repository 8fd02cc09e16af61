// Requests with the API key, problems as errors, and uploads with progress.
import type { Problem } from "./types";

const base = "/api/v1";
const storage = "sam2-key";

export class ApiError extends Error {
  constructor(readonly status: number, readonly kind: string, detail: string) {
    super(detail);
  }
}

let askForKey: (again: boolean) => Promise<string> = () => Promise.reject(new ApiError(401, "key", "The server asks for a key."));
let asking: Promise<void> | null = null;

/** Sets the dialog that asks for the API key. */
export function onKeyNeeded(ask: (again: boolean) => Promise<string>): void { askForKey = ask; }

function key(): string | null { return sessionStorage.getItem(storage); }

/** Asks once, even if several requests fail together. */
async function renewKey(used: string | null): Promise<void> {
  if (key() !== used) return;
  asking ??= askForKey(used !== null)
    .then((value) => sessionStorage.setItem(storage, value))
    .finally(() => { asking = null; });
  await asking;
}

function headers(extra: Record<string, string>): Record<string, string> {
  const value = key();
  return value ? { ...extra, Authorization: `Bearer ${value}` } : extra;
}

function problem(status: number, text: string): ApiError {
  try {
    const body = JSON.parse(text) as Partial<Problem>;
    return new ApiError(status, (body.type ?? "").split("/").pop() ?? "", body.detail || body.title || `Status ${status}.`);
  } catch {
    return new ApiError(status, "", text.slice(0, 200) || `The server answered with status ${status}.`);
  }
}

export interface Options {
  readonly method?: string;
  readonly json?: unknown;
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** Lets the request outlive the page. */
  readonly keepalive?: boolean;
}

/** How often a request is sent again where the server has no room for it. */
const retries = 3;

export async function send(path: string, options: Options = {}): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    const used = key();
    const extra: Record<string, string> = {};
    if (options.accept) extra["Accept"] = options.accept;
    if (options.json !== undefined) extra["Content-Type"] = "application/json";
    const init: RequestInit = { method: options.method ?? (options.json === undefined ? "GET" : "POST"), headers: headers(extra) };
    if (options.json !== undefined) init.body = JSON.stringify(options.json);
    if (options.signal) init.signal = options.signal;
    if (options.keepalive) init.keepalive = true;
    let response: Response;
    try {
      response = await fetch(base + path, init);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new ApiError(0, "network", "The server cannot be reached.");
    }
    if (response.ok) return response;
    if (response.status === 401) { await renewKey(used); continue; }
    const wait = Number(response.headers.get("Retry-After"));
    if (response.status === 429 && attempt < retries && wait > 0 && wait <= 10) {
      await new Promise((done) => setTimeout(done, wait * 1000));
      options.signal?.throwIfAborted();
      continue;
    }
    throw problem(response.status, await response.text());
  }
}

export async function json<T>(path: string, options: Options = {}): Promise<T> {
  return (await (await send(path, options)).json()) as T;
}

/** Sends a file; fetch cannot report the progress of an upload. */
export async function upload<T>(path: string, file: Blob, progress: (part: number) => void, signal?: AbortSignal): Promise<T> {
  for (;;) {
    const used = key();
    const [status, text] = await new Promise<[number, string]>((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", base + path);
      for (const [name, value] of Object.entries(headers({}))) request.setRequestHeader(name, value);
      request.upload.onprogress = (event) => { if (event.lengthComputable) progress(event.loaded / event.total); };
      request.upload.onload = () => progress(1);
      request.onload = () => resolve([request.status, request.responseText]);
      request.onerror = () => reject(new ApiError(0, "network", "The server cannot be reached."));
      request.onabort = () => reject(new DOMException("Aborted", "AbortError"));
      signal?.addEventListener("abort", () => request.abort(), { once: true });
      const form = new FormData();
      form.append("file", file);
      request.send(form);
    });
    if (status >= 200 && status < 300) return JSON.parse(text) as T;
    if (status !== 401) throw problem(status, text);
    await renewKey(used);
  }
}
