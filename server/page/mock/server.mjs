// A stand-in for the server: it speaks the API with made-up masks, and serves dist/ with the same headers.
// node mock/server.mjs [--port 7264] [--key SECRET] [--delay MS]
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bitsOf, ellipse, flood, grow, maskOf } from "./masks.mjs";
import { readPng, sizeOf } from "./png.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const option = (name, value) => { const at = process.argv.indexOf(`--${name}`); return at < 0 ? value : process.argv[at + 1]; };
const port = Number(option("port", "7264")), key = option("key", ""), delay = Number(option("delay", "8"));
const dist = join(here, "../dist"), samples = join(here, "../../../demo/samples");
const clip = join(samples, "video1");
const clipFrames = existsSync(join(clip, "frames")) ? readdirSync(join(clip, "frames")).sort() : [];

const images = new Map(), videos = new Map(), sessions = new Map();
const newId = () => [...randomBytes(26)].map((b) => "abcdefghijklmnopqrstuvwxyz234567"[b & 31]).join("");
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

class Problem extends Error {
  constructor(status, word, detail) { super(detail); Object.assign(this, { status, word }); }
}

// What the mock knows of the sample images: their object masks, by the hash of the file.
const truths = new Map();
for (const name of existsSync(join(samples, "images")) ? readdirSync(join(samples, "images")) : []) {
  if (!/^image\d+\.png$/.test(name)) continue;
  const mask = join(samples, "images", name.replace(".png", "_mask.png"));
  if (existsSync(mask)) truths.set(hash(readFileSync(join(samples, "images", name))), readPng(readFileSync(mask)).data);
}

function hash(bytes) { return createHash("sha256").update(bytes).digest("hex"); }

/** A mask from prompts. `labels` holds the known objects, `picture` the colours; both may be missing. */
function segment(width, height, labels, picture, { points = [], box, mask }) {
  let bits = mask ? bitsOf(mask.rle) : new Uint8Array(width * height);
  const pick = (label) => { for (let i = 0; i < bits.length; i++) if (labels[i] === label) bits[i] = 1; };
  if (box) {
    const [l, t, r, b] = box, counts = new Map();
    if (labels) for (let y = Math.ceil(t); y < b; y++) for (let x = Math.ceil(l); x < r; x++) {
      const label = labels[y * width + x];
      if (label) counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    const best = [...counts].sort((a, b2) => b2[1] - a[1])[0];
    if (best && best[1] > 0.1 * (r - l) * (b - t)) {
      pick(best[0]);
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (x < l - 4 || x > r + 4 || y < t - 4 || y > b + 4) bits[y * width + x] = 0;
    } else ellipse(bits, width, height, (l + r) / 2, (t + b) / 2, (r - l) / 2, (b - t) / 2, 1);
  }
  const size = Math.max(width, height);
  for (const { x, y, label } of points) {
    if (x < 0 || y < 0 || x >= width || y >= height) throw new Problem(422, "input", `The point (${x}, ${y}) is outside of the image.`);
    if (!label) continue;
    const known = labels?.[Math.floor(y) * width + Math.floor(x)];
    if (known) pick(known);
    else if (picture) flood(picture, x, y, 54).forEach((bit, i) => { if (bit) bits[i] = 1; });
    else ellipse(bits, width, height, x, y, size / 9, size / 11, 1);
  }
  for (const { x, y, label } of points) if (!label) ellipse(bits, width, height, x, y, size / 14, size / 14, 0);
  return bits;
}

function predict(image, prompt) {
  const { width, height, labels, picture } = image;
  if (!prompt.points?.length && !prompt.box && !prompt.mask) throw new Problem(422, "input", "The prompt has no points, no box and no mask.");
  const bits = segment(width, height, labels, picture, prompt);
  const multi = prompt.multimask ?? (prompt.points?.length === 1 && !prompt.box);
  const masks = multi
    ? [[grow(bits, width, height, -5), 0.81], [bits, 0.95], [grow(bits, width, height, 7), 0.88]].map(([b, s]) => maskOf(b, width, height, s))
    : [maskOf(bits, width, height, 0.97)];
  return { masks, object_score: 9.5 };
}

// Videos: the frames of a sample clip, forward and backward in turn.
const clipIndex = (n) => { const last = clipFrames.length - 1, at = n % (2 * last || 1); return at <= last ? at : 2 * last - at; };
const frameFile = (n) => readFileSync(join(clip, "frames", clipFrames[clipIndex(n)]));
const labelCache = new Map();
function frameLabels(n) {
  const i = clipIndex(n);
  if (!labelCache.has(i)) labelCache.set(i, readPng(readFileSync(join(clip, "masks", clipFrames[i].replace(".jpg", ".png")))).data);
  return labelCache.get(i);
}

function trackedMask(session, object, frame) {
  const { width, height } = session;
  const own = session.prompts.get(`${object}:${frame}`);
  const entry = session.objects.get(object);
  let bits;
  if (own) bits = own.mask ? bitsOf(own.mask.rle) : segment(width, height, frameLabels(frame), null, own);
  else if (entry.label) bits = frameLabels(frame).map((label) => (label === entry.label ? 1 : 0));
  else {
    bits = new Uint8Array(width * height);
    const far = frame - entry.frame;
    if (Math.abs(far) % 40 < 26) ellipse(bits, width, height, entry.x + far * 1.5, entry.y + Math.sin(far / 6) * 12, entry.r, entry.r * 0.8, 1);
  }
  const { rle, box, area } = maskOf(bits, width, height, 0);
  return { object, rle, box, area, score: area ? 0.93 : 0.1, lost: area === 0 };
}

function frameMasks(session, frame) {
  const known = session.tracked.get(frame) ?? new Set();
  const masks = [...session.objects.keys()].filter((o) => known.has(o) || session.prompts.has(`${o}:${frame}`)).map((o) => trackedMask(session, o, frame));
  return { frame, masks };
}

function addPrompt(session, { frame, object, points = [], box, mask, clear, hover }) {
  if (hover) {
    // A preview changes nothing.
    const trial = { ...session, objects: new Map(session.objects), prompts: new Map(session.prompts) };
    const found = addPrompt(trial, { frame, object, points, box, mask, clear });
    return { frame, masks: found.masks.filter((one) => one.object === object) };
  }
  if (session.tracking) throw new Problem(409, "busy", "The session is tracking.");
  if (!(frame >= 0 && frame < session.frames)) throw new Problem(422, "input", `There is no frame ${frame}.`);
  const before = session.prompts.get(`${object}:${frame}`);
  session.prompts.set(`${object}:${frame}`, { points: clear ? points : [...(before?.points ?? []), ...points], box, mask });
  const seed = points.find((p) => p.label) ?? (box && { x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2 });
  if (seed && !session.objects.get(object)?.label) {
    const label = frameLabels(frame)[Math.floor(seed.y) * session.width + Math.floor(seed.x)];
    session.objects.set(object, { label, frame, x: seed.x, y: seed.y, r: session.width / 10 });
  } else if (!session.objects.has(object)) session.objects.set(object, { label: 0, frame, x: session.width / 2, y: session.height / 2, r: session.width / 10 });
  return frameMasks(session, frame);
}

function zip(files) {
  const table = [...Array(256).keys()].map((n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0; });
  const parts = [], index = [];
  let at = 0;
  for (const [name, body] of files) {
    let c = 0xffffffff;
    for (const byte of body) c = table[(c ^ byte) & 255] ^ (c >>> 8);
    const head = Buffer.alloc(26);
    head.writeUInt16LE(20, 0);
    head.writeUInt32LE((c ^ 0xffffffff) >>> 0, 10);
    head.writeUInt32LE(body.length, 14);
    head.writeUInt32LE(body.length, 18);
    head.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), head, Buffer.from(name), body]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(at, 10);
    index.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), head, tail, Buffer.from(name)]));
    parts.push(local);
    at += local.length;
  }
  const directory = Buffer.concat(index), end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, directory, end]);
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const bytes = Buffer.concat(parts);
  const boundary = /boundary="?([^";]+)/.exec(request.headers["content-type"] ?? "")?.[1];
  if (!boundary) return { bytes, name: "" };
  const start = bytes.indexOf("\r\n\r\n") + 4;
  return { bytes: bytes.subarray(start, bytes.lastIndexOf(`\r\n--${boundary}`)), name: /filename="([^"]*)"/.exec(bytes.toString("latin1", 0, start))?.[1] ?? "" };
}

const headers = {
  "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
};
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8" };

function answer(response, status, value, extra = {}) {
  const raw = Buffer.isBuffer(value);
  response.writeHead(status, { ...headers, ...(value === undefined ? {} : { "Content-Type": raw ? "application/octet-stream" : "application/json" }), ...extra });
  response.end(value === undefined ? undefined : raw ? value : JSON.stringify(value));
}

function stream(response) {
  response.writeHead(200, { ...headers, "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write(":\n\n");
  return (event, data, id) => response.write(`event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
}

const found = (map, id) => map.get(id) ?? (() => { throw new Problem(404, "not-found", "There is nothing with this id."); })();
const imageInfo = ({ id, width, height }) => ({ id, width, height, encoded: true });

async function everything(image, request, response) {
  const { width, height, labels } = image;
  const seeds = [];
  for (let y = 0; y < 8; y++) for (let x = 0; x < 8; x++) seeds.push([Math.floor(((x + 0.5) * width) / 8), Math.floor(((y + 0.5) * height) / 8)]);
  const send = stream(response), seen = new Set();
  let open = true, count = 0;
  response.on("close", () => { open = false; });
  for (let i = 0; i < seeds.length && open; i++) {
    const [x, y] = seeds[i];
    const label = labels?.[y * width + x];
    const bits = segment(width, height, labels, image.picture, { points: [{ x, y, label: 1 }] });
    const mask = maskOf(bits, width, height, 0.9 - (i % 7) / 50);
    const mark = label ? `label ${label}` : `${mask.box} ${mask.area}`;
    if (!seen.has(mark) && mask.area > width * height * 0.002 && mask.area < width * height * 0.6) {
      seen.add(mark);
      count++;
      send("mask", { ...mask, stability_score: 0.96, point: [x, y] });
    }
    send("progress", { done: i + 1, total: seeds.length });
    await wait(delay * 3);
  }
  if (open) send("done", { count });
  response.end();
}

async function propagate(session, options, response) {
  if (session.tracking) throw new Problem(409, "busy", "The session is tracking.");
  if (!session.objects.size) throw new Problem(422, "input", "There are no objects to track.");
  const start = options.start ?? 0, order = [];
  if (options.direction !== "backward") for (let f = start; f < session.frames; f++) order.push(f);
  if (options.direction === "backward" || options.direction === "both") for (let f = start - (options.direction === "both" ? 1 : 0); f >= 0; f--) order.push(f);
  session.tracking = true;
  session.cancelled = false;
  const send = stream(response);
  let open = true;
  response.on("close", () => { open = false; });
  for (let i = 0; i < order.length && open && !session.cancelled; i++) {
    await wait(delay * 4);
    session.tracked.set(order[i], new Set(session.objects.keys()));
    send("frame", frameMasks(session, order[i]), order[i]);
    send("progress", { done: i + 1, total: order.length });
  }
  session.tracking = false;
  if (open) send("done", {});
  response.end();
}

function exported(session, format) {
  const frames = [...session.tracked.keys()].sort((a, b) => a - b);
  if (format === "png" || format === "labels") return zip(frames.map((f) => [`${String(f).padStart(5, "0")}.png`, readFileSync(join(clip, "masks", clipFrames[clipIndex(f)].replace(".jpg", ".png")))]));
  if (format === "mp4") return Buffer.from("\0\0\0\x18ftypisom\0\0\x02\0isomiso2", "latin1");
  if (format === "gif") return Buffer.from("GIF89a\x01\0\x01\0\0\0\0;", "latin1");
  return { videos: [{ id: 1, width: session.width, height: session.height, length: session.frames }], annotations: frames.flatMap((f) => frameMasks(session, f).masks.map((m) => ({ frame: f, ...m }))) };
}

async function api(request, response, url) {
  if (key && request.headers.authorization !== `Bearer ${key}`) throw new Problem(401, "key", "The API key is missing or wrong.");
  const method = request.method, path = url.pathname.slice("/api/v1".length);
  const [, kind, id, action, last] = path.split("/");
  const json = async () => { try { return JSON.parse((await body(request)).bytes.toString() || "{}"); } catch { throw new Problem(400, "request", "The body is not JSON."); } };
  if (path === "/system") return answer(response, 200, { version: "0.1.0", device: "mock", precision: "none", isa: "none", model: "mock masks", image_size: 1024, limits: {}, memory_bytes: 0 });

  if (kind === "images") {
    if (!id && method === "POST") {
      const { bytes } = await body(request);
      const size = sizeOf(bytes);
      if (!size) throw new Problem(415, "media-type", "The file is not an image that the engine reads.");
      const digest = hash(bytes);
      let image = [...images.values()].find((one) => one.digest === digest);
      if (!image) {
        const picture = bytes.toString("latin1", 1, 4) === "PNG" ? readPng(bytes) : null;
        image = { id: newId(), digest, bytes, width: size[0], height: size[1], labels: truths.get(digest) ?? null, picture: picture?.data ? picture : null, newest: 0 };
        images.set(image.id, image);
      }
      await wait(delay * 30);
      return answer(response, 201, { ...imageInfo(image), encode_ms: delay * 30 }, { Location: `/api/v1/images/${image.id}` });
    }
    if (!id) return answer(response, 200, { images: [...images.values()].map(imageInfo) });
    const image = found(images, id);
    if (method === "DELETE") { images.delete(id); return answer(response, 204); }
    if (action === "file") return answer(response, 200, image.bytes, { "Content-Type": "image/png" });
    if (action === "masks") {
      const { prompts = [], hover } = await json();
      const number = ++image.newest;
      await wait(delay);
      if (hover && number !== image.newest) return answer(response, 204);
      return answer(response, 200, { results: prompts.map((prompt) => predict(image, prompt)) });
    }
    if (action === "everything") { await json(); return everything(image, request, response); }
    return answer(response, 200, imageInfo(image));
  }

  if (kind === "videos") {
    if (!id && method === "POST") {
      const { bytes, name } = await body(request);
      if (bytes.length < 16) throw new Problem(422, "input", "The video has no frames.");
      const labels = readPng(readFileSync(join(clip, "masks", clipFrames[0].replace(".jpg", ".png"))));
      const video = { id: newId(), width: labels.width, height: labels.height, frames: clipFrames.length * 3, fps: 24, name };
      videos.set(video.id, video);
      return answer(response, 201, video, { Location: `/api/v1/videos/${video.id}` });
    }
    if (!id) return answer(response, 200, { videos: [...videos.values()] });
    const video = found(videos, id);
    if (method === "DELETE") { videos.delete(id); return answer(response, 204); }
    if (action === "frames") {
      const n = parseInt(last, 10);
      if (!(n >= 0 && n < video.frames)) throw new Problem(404, "not-found", "There is no such frame.");
      await wait(delay);
      return answer(response, 200, frameFile(n), { "Content-Type": "image/jpeg", "Cache-Control": "private, max-age=31536000, immutable" });
    }
    return answer(response, 200, video);
  }

  if (kind === "sessions") {
    if (!id && method === "POST") {
      const video = found(videos, (await json()).video);
      const session = { id: newId(), video: video.id, width: video.width, height: video.height, frames: video.frames, objects: new Map(), prompts: new Map(), tracked: new Map(), tracking: false };
      sessions.set(session.id, session);
      return answer(response, 201, { id: session.id, video: video.id, width: video.width, height: video.height, frames: video.frames });
    }
    if (!id) return answer(response, 200, { sessions: [...sessions.keys()] });
    const session = found(sessions, id);
    if (action === "prompts" && method === "POST") { const prompt = await json(); await wait(delay); return answer(response, 200, addPrompt(session, prompt)); }
    if (action === "prompts") {
      const frame = Number(url.searchParams.get("frame"));
      session.prompts.delete(`${url.searchParams.get("object")}:${frame}`);
      return answer(response, 200, frameMasks(session, frame));
    }
    if (action === "objects") {
      session.objects.delete(Number(last));
      for (const name of [...session.prompts.keys()]) if (name.startsWith(`${last}:`)) session.prompts.delete(name);
      return answer(response, 200, { frames: [...session.tracked.keys()].map((f) => frameMasks(session, f)) });
    }
    if (action === "propagate") return propagate(session, await json(), response);
    if (action === "cancel") { session.cancelled = true; return answer(response, 204); }
    if (action === "encode") { await json(); return answer(response, 204); }
    if (action === "reset") { session.objects.clear(); session.prompts.clear(); session.tracked.clear(); return answer(response, 204); }
    if (action === "export") return answer(response, 200, exported(session, url.searchParams.get("format")));
    if (action === "masks") return answer(response, 200, { frames: [...session.tracked.keys()].map((f) => frameMasks(session, f)) });
    if (method === "DELETE") { sessions.delete(id); return answer(response, 204); }
    const prompts = [...session.prompts].map(([name, p]) => ({ object: Number(name.split(":")[0]), frame: Number(name.split(":")[1]), points: p.points, box: p.box ?? null }));
    return answer(response, 200, { id, video: session.video, objects: [...session.objects.keys()], prompts, tracked: [], state: session.tracking ? "tracking" : "idle" });
  }
  throw new Problem(404, "not-found", "There is no such path.");
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  try {
    if (url.pathname.startsWith("/api/v1/")) return await api(request, response, url);
    const name = url.pathname === "/" ? "index.html" : url.pathname.slice(1);
    const file = join(dist, name);
    if (!/^[\w.-]+$/.test(name) || !existsSync(file)) throw new Problem(404, "not-found", "There is no such path.");
    answer(response, 200, readFileSync(file), { "Content-Type": types[extname(name)] ?? "application/octet-stream", "Cache-Control": "no-cache" });
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem(500, "internal", "The mock has failed.");
    if (problem.status === 500) console.error(error);
    if (response.headersSent) return response.end();
    const value = { type: `/problems/${problem.word}`, title: problem.word, status: problem.status, detail: problem.message };
    answer(response, problem.status, value, { "Content-Type": "application/problem+json" });
  }
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
