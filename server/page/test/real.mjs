// Drives the page against the program in Chromium: node test/real.mjs [PROGRAM [FOLDER]]. With BROWSER=firefox in Firefox,
// whose driver has no touch and does not tell what requests contain.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bitsOf } from "../mock/masks.mjs";
import { readPng } from "../mock/png.mjs";
import { answered, clean, click, colorAt, download, drag, openImage, rows, sent, where } from "./acts.mjs";
import { closeBrowser, inFirefox, openPage, sample } from "./harness.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const program = process.argv[2] ?? `${here}../../../target/release/sam2`;
const folder = await mkdtemp(join(tmpdir(), "sam2-page-"));
const clip = join(folder, "clip.mp4");
execFileSync("ffmpeg", ["-loglevel", "error", "-framerate", "12", "-i", sample("video1/frames/%05d.jpg"), "-c:v", "mpeg4", "-q:v", "2", clip]);
const frames = 24;

const server = spawn(program, ["serve", "--model", `${here}../../../demo`, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
const url = await new Promise((resolve, reject) => {
  server.on("exit", (code) => reject(new Error(`the program ended with ${code}`)));
  server.stdout.once("data", (data) => resolve(String(data).trim()));
});
server.removeAllListeners("exit");
process.on("exit", () => server.kill("SIGKILL"));

let failed = 0;
async function test(name, options, run) {
  const opened = await openPage(url, options);
  const others = [];
  opened.page.on("request", (request) => { if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) others.push(request.url()); });
  const start = Date.now();
  try {
    await run(opened.page, opened);
    assert.deepEqual(opened.messages.filter((text) => !/willReadFrequently/.test(text)), [], "the console has messages");
    assert.deepEqual(others, [], "the page asks another host");
    console.log(`ok    ${name} (${Date.now() - start} ms)`);
  } catch (error) {
    failed++;
    console.error(`FAIL  ${name}\n${error.stack}`);
    await opened.page.screenshot({ path: "shots/failed.png" }).catch(() => undefined);
  }
  await opened.close();
}

const ring = [148, 208], other = [423, 236];
const now = (page) => page.locator("[role=slider]").getAttribute("aria-valuenow").then(Number);
const at = (page, frame) => page.waitForFunction((wanted) => document.querySelector("[role=slider]").getAttribute("aria-valuenow") === String(wanted), frame);

async function openClip(page) {
  await page.setInputFiles("#file", clip);
  await page.waitForSelector(".transport");
  await page.waitForFunction(() => document.querySelector(".stage-canvas").getContext("2d").getImageData(500, 300, 1, 1).data[3] === 255);
}

await test("an image: click, hover, negative, box, undo, everything, exports", {}, async (page) => {
  await openImage(page);
  const plain = await colorAt(page, ring);
  const p = await where(page, ring);
  await page.mouse.move(p.x - 2, p.y - 2);
  await page.mouse.move(p.x, p.y, { steps: 3 });
  await page.waitForTimeout(400);
  assert.notEqual(await colorAt(page, ring), plain, "a preview is shown");
  let response = await answered(page, () => click(page, ring));
  assert.equal(response.status(), 200);
  assert.equal(await page.locator(".choice").count(), 3);
  response = await answered(page, () => click(page, [20, 20], { button: "right" }));
  if (!inFirefox) assert.equal(sent(response).points[1].label, 0);
  await page.keyboard.press("z");
  await page.keyboard.press("Enter");
  await page.keyboard.press("b");
  response = await answered(page, () => drag(page, [380, 190], [466, 280]));
  assert.equal(response.status(), 200);
  assert.equal(await rows(page), 2);
  await page.keyboard.press("z");
  assert.equal(await rows(page), 1);
  await page.keyboard.press("Shift+Z");
  assert.equal(await rows(page), 2);
  const coco = JSON.parse(await download(page, "Annotations"));
  assert.equal(coco.annotations.length, 2);
  const mask = readPng(await download(page, "Mask"));
  for (const annotation of coco.annotations) {
    assert.equal(bitsOf(annotation.segmentation).reduce((a, b) => a + b, 0), annotation.area);
  }
  assert.ok(mask.data.some((value) => value === 255));
  await page.getByRole("button", { name: "Find everything" }).click();
  await page.getByText(/Click one to keep it/).waitFor({ timeout: 60_000 });
  await clean(page);
});

await test("clicks reach the page, and how soon", {}, async (page) => {
  await openImage(page);
  await page.evaluate(() => {
    window.times = [];
    addEventListener("pointerup", () => { window.begun = performance.now(); }, true);
    const json = Response.prototype.json;
    Response.prototype.json = async function () { const value = await json.call(this); window.answered = window.begun !== undefined; return value; };
    const draw = CanvasRenderingContext2D.prototype.stroke;
    CanvasRenderingContext2D.prototype.stroke = function (...args) {
      if (window.answered && window.begun !== undefined && args[0] instanceof Path2D) {
        window.times.push(performance.now() - window.begun);
        window.begun = undefined;
        window.answered = false;
      }
      return draw.apply(this, args);
    };
  });
  for (let i = 0; i < 40; i++) {
    await answered(page, () => click(page, [140 + i % 8, 200 + i % 5]));
    await page.keyboard.press("z");
    await page.waitForTimeout(60);
  }
  const times = (await page.evaluate(() => window.times)).sort((a, b) => a - b);
  const p95 = times[Math.floor(times.length * 0.95)];
  console.log(`      of ${times.length} clicks: median ${times[times.length >> 1].toFixed(1)} ms, p95 ${p95.toFixed(1)} ms`);
  assert.ok(times.length >= 35);
});

await test("a video: track, cancel, correct, track again, remove, export", {}, async (page) => {
  await openClip(page);
  const plain = await colorAt(page, [390, 215]), p = await where(page, [390, 215]);
  await page.mouse.move(p.x - 2, p.y);
  await page.mouse.move(p.x, p.y, { steps: 3 });
  await page.waitForTimeout(400);
  assert.notEqual(await colorAt(page, [390, 215]), plain, "a preview is shown");
  await answered(page, () => click(page, [390, 215]));
  await page.keyboard.press("n");
  await answered(page, () => click(page, [208, 249]));
  assert.equal(await rows(page), 2);
  await page.keyboard.press("t");
  await page.waitForFunction(() => Number(document.querySelector("[role=slider]").getAttribute("aria-valuenow")) > 2);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Track forward" }).waitFor();
  const stopped = await now(page);
  await page.waitForTimeout(100);
  const response = await answered(page, () => click(page, [190, 240]));
  assert.equal(response.status(), 200);
  if (!inFirefox) assert.equal(response.request().postDataJSON().frame, stopped - 1);
  await page.getByRole("button", { name: "Track forward" }).click();
  await at(page, frames);
  await page.getByRole("button", { name: "Track backward" }).waitFor();
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+T");
  await page.waitForFunction(() => document.querySelector(".running").hidden === false);
  await page.getByRole("button", { name: "Track forward" }).waitFor();
  for (const [label, name] of [["Video", "a.mp4"], ["Animation", "a.gif"]]) {
    const file = join(folder, name);
    await writeFile(file, await download(page, label));
    const args = ["-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file];
    assert.equal(Number(String(execFileSync("ffprobe", args)).split(",")[0]), frames, label);
  }
  for (const label of ["Masks", "Label maps"]) assert.equal((await download(page, label)).toString("latin1", 0, 2), "PK");
  assert.ok(JSON.parse(await download(page, "Annotations")).annotations.length > frames);
  assert.equal(JSON.parse(await download(page, "SA-V")).masklet_num, 2);
  await page.keyboard.press("Home");
  await page.getByRole("button", { name: "Play" }).click();
  await page.waitForTimeout(600);
  await page.getByRole("button", { name: "Pause" }).click();
  assert.ok((await now(page)) > 3, "it plays");
  await page.locator(".object").nth(1).hover();
  await page.getByRole("button", { name: "Delete Object 2" }).click();
  assert.equal(await rows(page), 1);
  await page.keyboard.press("z");
  await page.waitForTimeout(200);
  assert.equal(await rows(page), 2);
  await clean(page);
  await page.getByRole("button", { name: "Start over" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".object").length === 0);
});

if (inFirefox) console.log("skip  dark, on a phone, by touch: the driver has no touch");
else await test("dark, on a phone, by touch", { width: 390, height: 844, touch: true, scheme: "dark" }, async (page) => {
  await openImage(page);
  const p = await where(page, other);
  const response = await answered(page, () => page.touchscreen.tap(p.x, p.y));
  assert.equal(response.status(), 200);
  await clean(page);
});

await test("by keyboard", {}, async (page) => {
  await openImage(page);
  for (let i = 0; i < 5; i++) await page.keyboard.press("Shift+ArrowLeft");
  const response = await answered(page, () => page.keyboard.press("x"));
  assert.equal(response.status(), 200);
  await page.keyboard.press("n");
  await page.keyboard.press("g");
  await page.getByText(/Click one to keep it/).waitFor({ timeout: 60_000 });
});

await test("the calls of the interface", {}, async (page) => {
  await page.goto(`${url}docs`);
  await page.getByRole("heading", { name: "Schemas" }).waitFor();
  assert.ok(await page.locator("details").count() > 40);
  await page.getByText("/api/v1/images/{id}/masks").click();
  await page.getByRole("link", { name: "MasksRequest" }).first().click();
  await page.waitForFunction(() => document.querySelector("#MasksRequest").open);
  await clean(page);
});

// Pictures for the README, where they are asked for: node test/real.mjs PROGRAM FOLDER
if (process.argv[3]) {
  const { page, close } = await openPage(url, { width: 1280, height: 800 });
  await page.setInputFiles("#file", `${here}../../../demo/pictures/astronaut.png`);
  await page.waitForSelector('[data-kind="ready"]', { state: "attached" });
  const p = (x, y) => page.evaluate(([px, py]) => {
    const box = document.querySelector(".stage-canvas").getBoundingClientRect();
    const w = box.width - 100, h = box.height - 48, scale = Math.min(w / 512, h / 512, 8);
    return { x: box.left + 76 + (w - 512 * scale) / 2 + px * scale, y: box.top + 24 + (h - 512 * scale) / 2 + py * scale };
  }, [x, y]);
  await page.keyboard.press("b");
  const [from, to] = [await p(20, 160), await p(365, 511)];
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(to.x, to.y, { steps: 4 });
  await page.mouse.up();
  await page.waitForTimeout(300);
  await page.keyboard.press("v");
  for (const [x, y, button] of [[100, 300, "left"], [60, 100, "right"]]) {
    const at = await p(x, y);
    await page.mouse.click(at.x, at.y, { button });
    await page.waitForTimeout(300);
  }
  await page.mouse.move(5, 5);
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(process.argv[3], "image.png") });
  await close();
  const other = await openPage(url, { width: 1280, height: 800 });
  await openClip(other.page);
  await answered(other.page, () => click(other.page, [390, 215]));
  await other.page.keyboard.press("n");
  await answered(other.page, () => click(other.page, [208, 249]));
  await other.page.keyboard.press("t");
  await at(other.page, frames);
  await other.page.getByRole("button", { name: "Track forward" }).waitFor();
  for (let i = 0; i < 9; i++) await other.page.keyboard.press("ArrowLeft");
  await other.page.mouse.move(5, 5);
  await other.page.waitForTimeout(500);
  await other.page.screenshot({ path: join(process.argv[3], "video.png") });
  await other.close();
}

await closeBrowser();
const ended = new Promise((resolve) => server.once("exit", resolve));
server.kill("SIGTERM");
const code = await ended;
if (code !== 0) { failed++; console.error(`FAIL  the program ended with ${code}`); }
await rm(folder, { recursive: true });
console.log(failed ? `${failed} failed` : "all passed");
process.exit(failed ? 1 : 0);
