// Drives the page against the mock in Chromium. node test/page.mjs
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { bitsOf } from "../mock/masks.mjs";
import { readPng } from "../mock/png.mjs";
import { answered, clean, click, colorAt, download, drag, image, openImage, openVideo, rows, sent, where } from "./acts.mjs";
import { closeBrowser, openPage, startMock } from "./harness.mjs";

const names = { a: [423, 236], b: [148, 208] };
let mock;
let failed = 0;

async function test(name, options, run) {
  if (process.argv[2] && !name.includes(process.argv[2])) return;
  const opened = await openPage(options.url ?? mock.url, options);
  const start = Date.now();
  try {
    await run(opened.page, opened);
    assert.deepEqual(opened.messages.filter((text) => !/willReadFrequently/.test(text) && !options.allow?.test(text)), [], "the console has messages");
    console.log(`ok    ${name} (${Date.now() - start} ms)`);
  } catch (error) {
    failed++;
    console.error(`FAIL  ${name}\n${error.stack}`);
    await opened.page.screenshot({ path: "shots/failed.png" }).catch(() => undefined);
  }
  await opened.close();
}

mock = await startMock();

await test("click, negative, undo, redo, choice", {}, async (page) => {
  await openImage(page);
  const plain = await colorAt(page, [160, 210]);
  let response = await answered(page, () => click(page, names.b));
  assert.deepEqual(sent(response).multimask, true);
  assert.ok(Math.abs(sent(response).points[0].x - names.b[0]) < 1 && Math.abs(sent(response).points[0].y - names.b[1]) < 1);
  const masked = await colorAt(page, [160, 210]);
  assert.notEqual(masked, plain);
  assert.equal(await rows(page), 1);
  assert.equal(await page.locator(".choice").count(), 3);
  await page.keyboard.press("m");
  assert.equal(await page.locator(".choice").nth(2).getAttribute("aria-checked"), "true");
  await page.locator(".choice").nth(1).click();
  response = await answered(page, () => click(page, [162, 212], { button: "right" }));
  assert.equal(sent(response).points.length, 2);
  assert.equal(sent(response).points[1].label, 0);
  assert.ok(sent(response).mask.rle.counts.length > 10, "the chosen mask goes along");
  await page.keyboard.down("Alt");
  response = await answered(page, () => click(page, [110, 200]));
  await page.keyboard.up("Alt");
  assert.equal(sent(response).points[2].label, 0);
  await page.keyboard.press("z");
  await page.keyboard.press("Control+z");
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("button", { name: "Undo" }).click();
  assert.equal(await rows(page), 1);
  await page.waitForTimeout(60);
  assert.equal(await colorAt(page, [160, 210]), masked);
  await page.keyboard.press("z");
  assert.equal(await rows(page), 0);
  await page.waitForTimeout(60);
  for (let i = 0; i < 5; i++) await page.keyboard.press("Shift+Z");
  assert.equal(await rows(page), 1);
  assert.ok(await page.getByRole("button", { name: "Redo" }).isDisabled());
});

await test("a click reaches the pixels soon after the answer", {}, async (page) => {
  await openImage(page);
  await page.evaluate(() => {
    const original = Response.prototype.json;
    Response.prototype.json = async function () { const value = await original.call(this); window.answeredAt = performance.now(); return value; };
    const fill = CanvasRenderingContext2D.prototype.stroke;
    CanvasRenderingContext2D.prototype.stroke = function (...args) { if (window.answeredAt && !window.drawnAt && args[0] instanceof Path2D) window.drawnAt = performance.now(); return fill.apply(this, args); };
  });
  await answered(page, () => click(page, names.b));
  const ms = await page.evaluate(() => window.drawnAt - window.answeredAt);
  console.log(`      ${ms.toFixed(1)} ms`);
  assert.ok(ms >= 0 && ms < 60);
});

await test("hover preview", {}, async (page) => {
  await openImage(page);
  const before = await colorAt(page, [150, 212]);
  const p = await where(page, names.b);
  let hovers = 0;
  page.on("request", (r) => { if ((r.postData() ?? "").includes('"hover":true')) hovers++; });
  await page.mouse.move(p.x - 30, p.y - 30);
  await page.mouse.move(p.x, p.y, { steps: 40 });
  await page.waitForTimeout(250);
  assert.ok(hovers >= 1 && hovers < 40, `${hovers} requests`);
  assert.notEqual(await colorAt(page, [150, 212]), before);
  await page.mouse.move(5, 5);
  await page.waitForTimeout(80);
  assert.equal(await colorAt(page, [150, 212]), before);
});

await test("box, two objects, hide, lock, rename, delete", {}, async (page) => {
  await openImage(page);
  await page.keyboard.press("b");
  const response = await answered(page, () => drag(page, [100, 88], [252, 236]));
  const box = sent(response).box;
  assert.ok(Math.abs(box[0] - 100) < 1 && Math.abs(box[3] - 236) < 1);
  await page.keyboard.press("Enter");
  await page.keyboard.press("v");
  await answered(page, () => click(page, names.a));
  assert.equal(await rows(page), 2);
  const seen = await colorAt(page, [160, 210]);
  await page.locator(".object").first().hover();
  await page.getByRole("button", { name: "Hide Object 1" }).click();
  await page.waitForTimeout(60);
  assert.notEqual(await colorAt(page, [160, 210]), seen);
  await page.getByRole("button", { name: "Show Object 1" }).click();
  await page.locator(".object").first().hover();
  await page.getByRole("button", { name: "Lock Object 1" }).click();
  await page.keyboard.press("1");
  await click(page, [120, 200]);
  await page.getByText("Object 1 is locked.").first().waitFor();
  await page.getByRole("button", { name: "Unlock Object 1" }).click();
  await page.locator(".pick").first().dblclick();
  await page.locator(".rename").fill("ring");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: /^ring/ }).waitFor();
  await page.keyboard.press("F2");
  await page.locator(".rename").fill("the ring");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: /^the ring/ }).waitFor();
  await page.keyboard.press("2");
  await page.keyboard.press("Delete");
  assert.equal(await rows(page), 1);
  await page.keyboard.press("z");
  assert.equal(await rows(page), 2);
});

await test("cancel with Escape", {}, async (page) => {
  await openImage(page);
  await answered(page, () => click(page, names.b));
  await page.keyboard.press("Enter");
  await answered(page, () => click(page, names.a));
  await page.keyboard.press("Escape");
  assert.equal(await rows(page), 1);
  await page.keyboard.press("z");
  assert.equal(await rows(page), 2);
});

await test("brush and eraser", {}, async (page) => {
  await openImage(page);
  await page.keyboard.press("e");
  await drag(page, [40, 300], [90, 300]);
  assert.equal(await rows(page), 1);
  await page.keyboard.press("Shift+E");
  await drag(page, [60, 280], [60, 320]);
  const data = readPng(await download(page, "Mask"));
  assert.equal(data.data[300 * 480 + 42], 255);
  assert.equal(data.data[300 * 480 + 60], 0);
  const response = await answered(page, () => page.getByRole("button", { name: "Refine the drawn mask" }).click());
  assert.equal(bitsOf(sent(response).mask.rle)[300 * 480 + 42], 1);
});

await test("everything, keep one, keep all, cancel", {}, async (page) => {
  await openImage(page);
  await page.getByRole("button", { name: "Find everything" }).click();
  await page.getByText(/Click one to keep it/).waitFor();
  await click(page, names.b);
  assert.equal(await rows(page), 1);
  await page.getByRole("button", { name: "Keep all" }).click();
  assert.ok((await rows(page)) > 2);
  await page.keyboard.press("z");
  assert.equal(await rows(page), 1);
  await page.keyboard.press("g");
  await page.waitForTimeout(200);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Close", exact: true }).click();
  assert.equal(await page.locator(".banner").count(), 0);
});

await test("exports of an image", {}, async (page) => {
  await openImage(page);
  await answered(page, () => click(page, names.b));
  await page.keyboard.press("n");
  await answered(page, () => click(page, names.a));
  await page.keyboard.press("Enter");
  await page.mouse.move(5, 5);
  const mask = readPng(await download(page, "Mask")), labels = readPng(await download(page, "Label map"));
  const coco = JSON.parse(await download(page, "Annotations"));
  assert.deepEqual([mask.width, mask.height, mask.channels], [480, 360, 1]);
  assert.equal(coco.annotations.length, 2);
  coco.annotations.forEach((annotation, i) => {
    const bits = bitsOf(annotation.segmentation);
    assert.equal(bits.reduce((a, b) => a + b, 0), annotation.area);
    const [x, y, w, h] = annotation.bbox;
    assert.ok(w > 0 && h > 0 && x + w <= 480 && y + h <= 360);
    bits.forEach((bit, n) => { if (bit) { assert.equal(mask.data[n], 255); assert.equal(labels.data[n], i + 1); } });
  });
  assert.equal(mask.data.filter((v) => v === 255).length, labels.data.filter((v) => v > 0).length);
  const cutout = readPng(await download(page, "Cut-out")), source = readPng(await readFile(image));
  for (let i = 0; i < mask.data.length; i++) {
    assert.equal(cutout.data[4 * i + 3], mask.data[i]);
    if (mask.data[i]) assert.equal(cutout.data[4 * i], source.data[source.channels * i]);
  }
  for (const effect of ["outline", "blur", "pixelate", "desaturate", "spotlight", "color"]) {
    await page.selectOption("#effect", effect);
    const picture = readPng(await download(page, "Picture as seen"));
    assert.deepEqual([picture.width, picture.height], [480, 360]);
    if (effect !== "outline") assert.equal(picture.data[4 * (208 * 480 + 148)], source.data[source.channels * (208 * 480 + 148)]);
  }
});

await test("zoom and pan", {}, async (page) => {
  await openImage(page);
  const p = await where(page, names.b);
  await page.mouse.move(p.x, p.y);
  await page.mouse.wheel(0, -400);
  let response = await answered(page, () => page.mouse.click(p.x, p.y));
  assert.ok(Math.abs(sent(response).points[0].x - names.b[0]) < 1, "the pixel under the pointer stays");
  await page.keyboard.press("0");
  await page.keyboard.down(" ");
  await page.mouse.down();
  await page.mouse.move(p.x + 50, p.y, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up(" ");
  await page.keyboard.press("n");
  response = await answered(page, () => page.mouse.click(p.x + 50, p.y));
  assert.ok(Math.abs(sent(response).points[0].x - names.b[0]) < 1);
});

await test("video: track, cancel, correct, track again, export", {}, async (page) => {
  await openVideo(page);
  await answered(page, () => click(page, [390, 215]));
  await page.keyboard.press("n");
  await answered(page, () => click(page, [208, 249]));
  assert.equal(await rows(page), 2);
  await page.keyboard.press("t");
  await page.waitForFunction(() => Number(document.querySelector("[role=slider]").getAttribute("aria-valuenow")) > 8);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Track forward" }).waitFor();
  const now = () => page.locator("[role=slider]").getAttribute("aria-valuenow").then(Number);
  const stopped = await now();
  assert.ok(stopped > 8 && stopped < 72, `stopped at ${stopped}`);
  await page.keyboard.press("ArrowLeft");
  assert.equal(await now(), stopped - 1);
  await page.waitForTimeout(120);
  const response = await answered(page, () => click(page, [190, 240], { button: "right" }));
  const prompt = response.request().postDataJSON();
  assert.deepEqual([prompt.frame, prompt.object, prompt.clear, prompt.points[0].label], [stopped - 2, 2, true, 0]);
  await page.getByRole("button", { name: "Track forward" }).click();
  await page.waitForFunction(() => document.querySelector("[role=slider]").getAttribute("aria-valuenow") === "72");
  await page.getByRole("button", { name: "Track backward" }).waitFor();
  assert.equal((await download(page, "Masks")).toString("latin1", 0, 4), "PK\x03\x04");
  assert.ok(JSON.parse(await download(page, "Annotations")).annotations.length > 100);
  assert.equal((await download(page, "Video")).toString("latin1", 4, 8), "ftyp");
  assert.equal((await download(page, "Animation")).toString("latin1", 0, 6), "GIF89a");
  await page.keyboard.press("Home");
  assert.equal(await now(), 1);
  await page.keyboard.press("Shift+T");
  await page.waitForFunction(() => document.querySelector(".running").hidden === false);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Track forward" }).waitFor();
  await page.keyboard.press("Home");
  await page.keyboard.press(" ");
  await page.waitForTimeout(700);
  await page.keyboard.press(" ");
  const played = await now();
  assert.ok(played > 8 && played < 30, `played to ${played}`);
  await page.waitForTimeout(150);
  assert.equal(await now(), played);
  await page.locator(".object").nth(1).hover();
  await page.getByRole("button", { name: "Delete Object 2" }).click();
  assert.equal(await rows(page), 1);
  await page.keyboard.press("z");
  await page.waitForTimeout(100);
  assert.equal(await rows(page), 2);
  await clean(page);
  await page.getByRole("button", { name: "Start over" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".object").length === 0);
});

await test("video: a prompt while tracking cancels first; scrubbing", {}, async (page) => {
  await openVideo(page);
  await answered(page, () => click(page, [390, 215]));
  await page.keyboard.press("t");
  await page.waitForFunction(() => Number(document.querySelector("[role=slider]").getAttribute("aria-valuenow")) > 4);
  await page.keyboard.press("n");
  const response = await answered(page, () => click(page, [150, 250]));
  assert.equal(response.status(), 200);
  await page.getByRole("button", { name: "Track forward" }).waitFor();
  assert.equal(await rows(page), 2);
  const stopped = Number(await page.locator("[role=slider]").getAttribute("aria-valuenow"));
  assert.ok(stopped < 72, `stopped at ${stopped}`);
  const box = await page.locator("[role=slider]").boundingBox();
  await page.mouse.move(box.x + 10, box.y + 10);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + 10, { steps: 5 });
  await page.mouse.up();
  const frame = Number(await page.locator("[role=slider]").getAttribute("aria-valuenow"));
  assert.ok(Math.abs(frame - 36) <= 1, `frame ${frame}`);
});

await test("video: a session that has ended is begun again", { allow: /404/ }, async (page) => {
  await openVideo(page);
  const first = await answered(page, () => click(page, [390, 215]));
  const old = new URL(first.url()).pathname.replace(/\/prompts$/, "");
  await page.evaluate((path) => fetch(path, { method: "DELETE" }), old);
  await page.keyboard.press("n");
  await click(page, [208, 249]);
  await page.getByText("The session had ended.").waitFor();
  await page.keyboard.press("t");
  await page.waitForFunction(() => Number(document.querySelector("[role=slider]").getAttribute("aria-valuenow")) > 4);
  assert.equal(await page.locator(".note").filter({ hasText: "0.93" }).count(), 2);
});

await test("a click on a row is not lost while the video plays", {}, async (page) => {
  await openVideo(page);
  await answered(page, () => click(page, [390, 215]));
  await page.keyboard.press("t");
  await page.waitForFunction(() => document.querySelector("[role=slider]").getAttribute("aria-valuenow") === "72");
  await page.keyboard.press("Home");
  await page.keyboard.press(" ");
  await page.locator(".object").hover();
  const box = await page.getByRole("button", { name: "Hide Object 1" }).boundingBox();
  await page.mouse.move(box.x + 10, box.y + 10);
  await page.mouse.down();
  await page.waitForTimeout(200);
  await page.mouse.up();
  await page.getByRole("button", { name: "Show Object 1" }).waitFor();
});

await test("keyboard only", {}, async (page) => {
  await openImage(page);
  await page.keyboard.press("ArrowLeft");
  for (let i = 0; i < 5; i++) await page.keyboard.press("Shift+ArrowLeft");
  let response = await answered(page, () => page.keyboard.press("x"));
  assert.equal(sent(response).points[0].label, 1);
  response = await answered(page, () => page.keyboard.press("d").then(() => page.keyboard.press("Shift+X")));
  assert.equal(sent(response).points[1].label, 0);
  await page.keyboard.press("Enter");
  await page.keyboard.press("b");
  await page.keyboard.press("x");
  await page.keyboard.press("Shift+D");
  await page.keyboard.press("Shift+S");
  response = await answered(page, () => page.keyboard.press("x"));
  assert.ok(sent(response).box[2] - sent(response).box[0] > 20);
  assert.equal(await rows(page), 2);
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await clean(page);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Export" }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  const [file] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  assert.equal(file.suggestedFilename(), "image1.json");
  const reached = new Set();
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id));
  }
  for (const name of ["Undo", "Box", "New object", "Delete Object 1", "effect"]) assert.ok(reached.has(name), `${name} is reached by Tab`);
});

await test("touch at 390 by 844", { width: 390, height: 844, touch: true }, async (page, { context }) => {
  await openImage(page);
  const p = await where(page, names.b);
  let response = await answered(page, () => page.touchscreen.tap(p.x, p.y));
  assert.ok(Math.abs(sent(response).points[0].x - names.b[0]) < 1.5);
  const client = await context.newCDPSession(page);
  const touch = (type, points) => client.send("Input.dispatchTouchEvent", { type, touchPoints: points });
  const q = await where(page, [120, 190]);
  response = await answered(page, async () => {
    await touch("touchStart", [{ x: q.x, y: q.y }]);
    await page.waitForTimeout(650);
    await touch("touchEnd", []);
  });
  assert.equal(sent(response).points[1].label, 0);
  await touch("touchStart", [{ x: p.x - 20, y: p.y, id: 0 }, { x: p.x + 20, y: p.y, id: 1 }]);
  for (let i = 1; i <= 5; i++) await touch("touchMove", [{ x: p.x - 20 - 6 * i, y: p.y, id: 0 }, { x: p.x + 20 + 6 * i, y: p.y, id: 1 }]);
  await touch("touchEnd", []);
  assert.equal(await page.locator(".object").count(), 1);
  await page.getByRole("button", { name: "New object" }).tap();
  response = await answered(page, () => page.touchscreen.tap(p.x, p.y));
  assert.ok(Math.abs(sent(response).points[0].x - names.b[0]) < 3, "the pinch keeps the middle");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `${wide} pixels wide`);
  await clean(page);
});

for (const scheme of ["light", "dark"]) {
  await test(`axe, ${scheme}`, { scheme }, async (page) => {
    await clean(page);
    await openImage(page);
    await answered(page, () => click(page, names.b));
    await page.keyboard.press("g");
    await page.getByText(/Click one to keep it/).waitFor();
    await clean(page);
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await page.getByRole("button", { name: "Export" }).click();
    await clean(page);
  });
}

await test("theme", {}, async (page) => {
  const shown = () => page.evaluate(() => document.documentElement.dataset.theme);
  assert.equal(await shown(), "light");
  await page.getByRole("button", { name: "Theme: system" }).click();
  await page.getByRole("button", { name: "Theme: light" }).click();
  assert.equal(await shown(), "dark");
});

await test("errors are shown", { allow: /Failed to load resource/ }, async (page) => {
  await openImage(page);
  await page.route("**/masks", (route) => route.fulfill({ status: 422, contentType: "application/problem+json", body: '{"type":"/problems/input","title":"Input","status":422,"detail":"The point is outside of the image."}' }));
  await click(page, names.b);
  await page.getByRole("alert").getByText("The point is outside of the image.").waitFor();
  await clean(page);
});

await test("drop and paste", {}, async (page) => {
  const bytes = (await readFile(image)).toString("base64");
  const give = (kind) => page.evaluate(([type, data]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], `${type}.png`, { type: "image/png" }));
    dispatchEvent(type === "drop" ? new DragEvent("drop", { dataTransfer: transfer, cancelable: true }) : new ClipboardEvent("paste", { clipboardData: transfer }));
  }, [kind, bytes]);
  for (const kind of ["drop", "paste"]) {
    await give(kind);
    await page.getByText(`${kind}.png`).waitFor();
    await page.waitForSelector('[data-kind="ready"]');
  }
});

const guarded = await startMock("--key", "secret");
await test("API key", { url: guarded.url, allow: /401/ }, async (page) => {
  const field = page.getByLabel(/Enter the API key/);
  await field.fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByLabel(/did not accept/).fill("secret");
  await page.keyboard.press("Enter");
  await page.getByText("mock masks").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("sam2-key")), "secret");
  await openVideo(page);
  await answered(page, () => click(page, [390, 215]));
});
await guarded.stop();

await closeBrowser();
await mock.stop();
console.log(failed ? `${failed} failed` : "all passed");
process.exit(failed ? 1 : 0);
