// COCO's compressed run lengths: runs down the columns, first of the background, as text of six bits a character.
import type { Rle } from "./types";

/** The run lengths of the text. */
export function parseCounts(text: string): number[] {
  const runs: number[] = [];
  let at = 0;
  while (at < text.length) {
    let value = 0;
    let shift = 0;
    let code: number;
    do {
      code = text.charCodeAt(at++) - 48;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32 && at < text.length);
    if (code & 16 && shift < 32) value |= -1 << shift;
    // From the third run on, the text holds the difference to the run before the last.
    if (runs.length > 2) value += runs[runs.length - 2]!;
    runs.push(value);
  }
  return runs;
}

/** The text of the run lengths. */
export function formatCounts(runs: readonly number[]): string {
  let text = "";
  for (let i = 0; i < runs.length; i++) {
    let value = i > 2 ? runs[i]! - runs[i - 2]! : runs[i]!;
    let more: boolean;
    do {
      let code = value & 31;
      value >>= 5;
      more = code & 16 ? value !== -1 : value !== 0;
      if (more) code |= 32;
      text += String.fromCharCode(code + 48);
    } while (more);
  }
  return text;
}

/** A mask cut to its box: one byte a pixel, row by row, 1 on the object. */
export interface Bits {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
  readonly data: Uint8Array;
  readonly area: number;
  /** Size of the whole picture. */
  readonly width: number;
  readonly height: number;
}

export function decode(rle: Rle): Bits {
  const [height, width] = rle.size;
  const runs = parseCounts(rle.counts);
  let left = width, right = -1, top = height, bottom = -1, area = 0;
  for (let i = 0, at = 0; i < runs.length; i++) {
    const run = runs[i]!;
    if (i & 1 && run > 0) {
      const first = Math.floor(at / height), last = Math.floor((at + run - 1) / height);
      left = Math.min(left, first);
      right = Math.max(right, last);
      top = first === last ? Math.min(top, at - first * height) : 0;
      bottom = first === last ? Math.max(bottom, at + run - 1 - first * height) : height - 1;
      area += run;
    }
    at += run;
  }
  if (area === 0) return { x: 0, y: 0, w: 0, h: 0, data: new Uint8Array(0), area, width, height };
  right = Math.min(right, width - 1);
  const w = right - left + 1, h = bottom - top + 1;
  const data = new Uint8Array(w * h);
  for (let i = 0, at = 0; i < runs.length; i++) {
    const run = runs[i]!;
    if (i & 1) {
      let column = Math.floor(at / height), row = at - column * height;
      for (let n = run; n > 0 && column < width; n--) {
        data[(row - top) * w + column - left] = 1;
        if (++row === height) { row = 0; column++; }
      }
    }
    at += run;
  }
  return { x: left, y: top, w, h, data, area, width, height };
}

export function encode(bits: Bits): Rle {
  const { x, y, w, h, data, width, height } = bits;
  const runs: number[] = [];
  let value = 0;
  let run = w > 0 ? x * height : width * height;
  for (let column = 0; column < w; column++) {
    if (value === 1 && y > 0) { runs.push(run); run = 0; value = 0; }
    run += y;
    for (let row = 0; row < h; row++) {
      const bit = data[row * w + column]!;
      if (bit !== value) { runs.push(run); run = 0; value = bit; }
      run++;
    }
    const rest = height - y - h;
    if (rest > 0) {
      if (value === 1) { runs.push(run); run = 0; value = 0; }
      run += rest;
    }
  }
  if (w > 0) {
    const rest = (width - x - w) * height;
    if (rest > 0) {
      if (value === 1) { runs.push(run); run = 0; }
      run += rest;
    }
  }
  runs.push(run);
  return { size: [height, width], counts: formatCounts(runs) };
}
