// What a test does on the page: clicks, drags, opening of files, downloads.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { inFirefox, sample, videoFile } from "./harness.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const image = sample("images/image1.png");

/** Where a pixel of the picture is on the screen, while the picture is fitted. */
export async function where(page, [x, y]) {
  return page.evaluate(([px, py]) => {
    const box = document.querySelector(".stage-canvas").getBoundingClientRect();
    const small = box.width < 620, left = small ? 8 : 76, pad = small ? 8 : 24;
    const w = box.width - left - pad, h = box.height - 2 * pad, scale = Math.min(w / 480, h / 360, 8);
    return { x: box.left + left + (w - 480 * scale) / 2 + px * scale, y: box.top + pad + (h - 360 * scale) / 2 + py * scale };
  }, [x, y]);
}

/** The colour that is seen at a pixel of the picture. */
export async function colorAt(page, at) {
  const p = await where(page, at);
  return page.evaluate(({ x, y }) => {
    const canvas = document.querySelector(".stage-canvas"), box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    return [...canvas.getContext("2d").getImageData((x - box.left) * ratio, (y - box.top) * ratio, 1, 1).data].join();
  }, p);
}

export async function click(page, at, options) {
  const p = await where(page, at);
  await page.mouse.click(p.x, p.y, options);
}

export async function drag(page, from, to) {
  const a = await where(page, from), b = await where(page, to);
  await page.mouse.move(a.x, a.y);
  await page.mouse.down();
  await page.mouse.move((a.x + b.x) / 2, (a.y + b.y) / 2, { steps: 3 });
  await page.mouse.move(b.x, b.y, { steps: 3 });
  await page.mouse.up();
}

export async function openImage(page) {
  await page.setInputFiles("#file", image);
  await page.waitForSelector('[data-kind="ready"]', { state: "attached" });
}

export async function openVideo(page) {
  await page.setInputFiles("#file", videoFile());
  await page.waitForSelector(".transport");
  await page.waitForFunction(() => document.querySelector(".stage-canvas").getContext("2d").getImageData(500, 300, 1, 1).data[3] === 255
    || document.querySelector(".stage-canvas").getContext("2d").getImageData(200, 400, 1, 1).data[3] === 255);
}

export const masksAnswer = (page) => page.waitForResponse((r) => /\/(masks|prompts)(\?|$)/.test(r.url()) && !(r.request().postData() ?? "").includes('"hover":true'));
export const answered = async (page, act) => { const [response] = await Promise.all([masksAnswer(page), act()]); await page.waitForTimeout(40); return response; };
export const sent = (response) => response.request().postDataJSON().prompts[0];
export const rows = (page) => page.locator(".object").count();

export async function download(page, label) {
  await page.getByRole("button", { name: "Export" }).click();
  if (inFirefox) return saved(page, label);
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: label }).click()]);
  return readFile(await file.path());
}

/** As `download`. The driver of Firefox tells of no downloads, so the file is taken where the page makes it. */
async function saved(page, label) {
  await page.evaluate(() => {
    window.saved = new Promise((resolve) => {
      URL.createObjectURL = (blob) => { resolve(blob.arrayBuffer()); return "#"; };
    });
  });
  await page.getByRole("menuitem", { name: label }).click();
  return Buffer.from(await page.evaluate(async () => [...new Uint8Array(await window.saved)]));
}

export async function clean(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), []);
}
