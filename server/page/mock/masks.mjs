// Masks for the mock: bytes of the whole picture, row by row.

export function rleOf(bits, width, height) {
  const runs = [];
  let value = 0, run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const bit = bits[y * width + x] ? 1 : 0;
      if (bit !== value) { runs.push(run); run = 0; value = bit; }
      run++;
    }
  }
  runs.push(run);
  let counts = "";
  runs.forEach((length, i) => {
    let v = i > 2 ? length - runs[i - 2] : length;
    for (let more = true; more; ) {
      let c = v & 31;
      v >>= 5;
      more = c & 16 ? v !== -1 : v !== 0;
      counts += String.fromCharCode(c + (more ? 32 : 0) + 48);
    }
  });
  return { size: [height, width], counts };
}

export function bitsOf({ size: [height, width], counts }) {
  const runs = [];
  for (let at = 0; at < counts.length; ) {
    let v = 0, shift = 0, c;
    do { c = counts.charCodeAt(at++) - 48; v |= (c & 31) << shift; shift += 5; } while (c & 32);
    if (c & 16) v |= -1 << shift;
    runs.push(runs.length > 2 ? v + runs[runs.length - 2] : v);
  }
  const bits = new Uint8Array(width * height);
  let at = 0;
  runs.forEach((run, i) => {
    if (i & 1) for (let n = at; n < at + run; n++) bits[(n % height) * width + Math.floor(n / height)] = 1;
    at += run;
  });
  return bits;
}

export function maskOf(bits, width, height, score) {
  let l = width, t = height, r = -1, b = -1, area = 0;
  for (let i = 0; i < bits.length; i++) {
    if (!bits[i]) continue;
    area++;
    const x = i % width, y = (i / width) | 0;
    l = Math.min(l, x); r = Math.max(r, x); t = Math.min(t, y); b = Math.max(b, y);
  }
  return { rle: rleOf(bits, width, height), box: area ? [l, t, r + 1, b + 1] : null, area, predicted_iou: score };
}

export function ellipse(bits, width, height, cx, cy, rx, ry, value) {
  for (let y = Math.max(0, Math.floor(cy - ry)); y < Math.min(height, cy + ry); y++) {
    for (let x = Math.max(0, Math.floor(cx - rx)); x < Math.min(width, cx + rx); x++) {
      if (((x + 0.5 - cx) / rx) ** 2 + ((y + 0.5 - cy) / ry) ** 2 <= 1) bits[y * width + x] = value;
    }
  }
}

/** Grows or shrinks a mask by some pixels. */
export function grow(bits, width, height, by) {
  const value = by > 0 ? 1 : 0;
  let now = bits;
  for (let n = Math.abs(by); n > 0; n--) {
    const next = now.slice();
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const i = y * width + x;
        if (now[i] === value) continue;
        if ((x > 0 && now[i - 1] === value) || (x < width - 1 && now[i + 1] === value) || (y > 0 && now[i - width] === value) || (y < height - 1 && now[i + width] === value)) next[i] = value;
      }
    }
    now = next;
  }
  return now;
}

/** The pixels around a point whose colours are similar. */
export function flood(picture, px, py, limit) {
  const { width, height, channels, data } = picture;
  const bits = new Uint8Array(width * height);
  const at = Math.floor(py) * width + Math.floor(px);
  const step = Math.min(3, channels);
  const stack = [at];
  bits[at] = 1;
  while (stack.length) {
    const i = stack.pop(), x = i % width;
    for (const n of [x > 0 ? i - 1 : -1, x < width - 1 ? i + 1 : -1, i - width, i + width]) {
      if (n < 0 || n >= bits.length || bits[n]) continue;
      let far = 0;
      for (let c = 0; c < step; c++) far += Math.abs(data[n * channels + c] - data[at * channels + c]);
      if (far > limit) continue;
      bits[n] = 1;
      stack.push(n);
    }
  }
  return bits;
}
