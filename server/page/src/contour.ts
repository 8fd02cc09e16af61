// The outline of a mask as a smooth path.
import type { Bits } from "./rle";

/**
 * Follows the borders of the mask with the object on the right hand. The rings go through the middles of the
 * pixels' edges and are smoothed a little, which rounds the steps. Coordinates are of the whole picture.
 */
export function contour(bits: Bits): Path2D {
  const { w, h, data, x: left, y: top } = bits;
  const path = new Path2D();
  const on = (x: number, y: number): boolean => x >= 0 && y >= 0 && x < w && y < h && data[y * w + x] === 1;
  const seen = new Uint8Array(w * h);
  for (let y0 = 0; y0 < h; y0++) {
    for (let x0 = 0; x0 < w; x0++) {
      const at = y0 * w + x0;
      if (!data[at] || seen[at] || on(x0, y0 - 1)) continue;
      const ring: number[] = [];
      let x = x0, y = y0, dx = 1, dy = 0;
      do {
        if (dx === 1) seen[y * w + x] = 1;
        ring.push(left + x + dx / 2, top + y + dy / 2);
        x += dx;
        y += dy;
        // The two pixels ahead of the corner, to the right and to the left of the heading.
        const rx = x + (dx - dy - 1) / 2, ry = y + (dy + dx - 1) / 2;
        const lx = x + (dx + dy - 1) / 2, ly = y + (dy - dx - 1) / 2;
        if (!on(rx, ry)) [dx, dy] = [-dy, dx];
        else if (on(lx, ly)) [dx, dy] = [dy, -dx];
      } while (x !== x0 || y !== y0 || dx !== 1);
      add(path, ring);
    }
  }
  return path;
}

const weights = [1, 2, 3, 2, 1];

function add(path: Path2D, ring: readonly number[]): void {
  const count = ring.length / 2;
  for (let i = 0; i < count; i++) {
    let x = ring[2 * i]!, y = ring[2 * i + 1]!;
    if (count >= 12) {
      x = y = 0;
      for (let k = -2; k <= 2; k++) {
        const at = 2 * ((i + k + count) % count), weight = weights[k + 2]! / 9;
        x += ring[at]! * weight;
        y += ring[at + 1]! * weight;
      }
    }
    if (i) path.lineTo(x, y);
    else path.moveTo(x, y);
  }
  path.closePath();
}
