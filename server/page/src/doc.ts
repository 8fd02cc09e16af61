// What the user has made: objects and their prompts. Values never change; every step makes a new document.
import type { Box, Point, Rle } from "./types";

export interface Item { readonly id: number; readonly name: string; readonly color: string }

export interface Prompt {
  readonly points: readonly Point[];
  readonly box: Box | null;
  /** A mask that is sent along: a chosen or an edited one. */
  readonly mask: Rle | null;
  /** The mask that was chosen of three; null is the best. */
  readonly choice: number | null;
  /** A mask that was drawn or found and is shown as it is. */
  readonly drawn: Rle | null;
}

export interface Doc {
  readonly items: readonly Item[];
  /** By object and frame. */
  readonly prompts: ReadonlyMap<string, Prompt>;
  readonly active: number | null;
}

export const emptyDoc: Doc = { items: [], prompts: new Map(), active: null };
export const noPrompt: Prompt = { points: [], box: null, mask: null, choice: null, drawn: null };

export const keyOf = (object: number, frame: number): string => `${object}:${frame}`;

export function parseKey(key: string): [number, number] {
  const [object, frame] = key.split(":");
  return [Number(object), Number(frame)];
}

export const isEmpty = (prompt: Prompt): boolean => !prompt.points.length && !prompt.box && !prompt.drawn && !prompt.mask;

export function withPrompt(doc: Doc, object: number, frame: number, prompt: Prompt | null): Doc {
  const prompts = new Map(doc.prompts);
  if (prompt && !isEmpty(prompt)) prompts.set(keyOf(object, frame), prompt);
  else prompts.delete(keyOf(object, frame));
  return { ...doc, prompts };
}

export function withoutItem(doc: Doc, object: number): Doc {
  const prompts = new Map([...doc.prompts].filter(([key]) => parseKey(key)[0] !== object));
  return { items: doc.items.filter((item) => item.id !== object), prompts, active: doc.active === object ? null : doc.active };
}

/** Undo and redo of documents. */
export class History {
  private past: Doc[] = [];
  private future: Doc[] = [];

  push(doc: Doc): void {
    this.past.push(doc);
    if (this.past.length > 500) this.past.shift();
    this.future = [];
  }

  undo(now: Doc): Doc | null {
    const doc = this.past.pop();
    if (doc) this.future.push(now);
    return doc ?? null;
  }

  redo(now: Doc): Doc | null {
    const doc = this.future.pop();
    if (doc) this.past.push(now);
    return doc ?? null;
  }

  clear(): void { this.past = []; this.future = []; }
  get canUndo(): boolean { return this.past.length > 0; }
  get canRedo(): boolean { return this.future.length > 0; }
}
