// Takes pictures of the page against the mock: three widths, light and dark. node test/shots.mjs [FOLDER]
import { mkdir } from "node:fs/promises";
import { openPage, sample, startMock, videoFile } from "./harness.mjs";

const out = process.argv[2] ?? "shots";
await mkdir(out, { recursive: true });
const mock = await startMock();
const sizes = [[1440, 900], [1024, 768], [390, 844]];
for (const scheme of ["light", "dark"]) {
  for (const [width, height] of sizes) {
    const { page, close } = await openPage(mock.url, { width, height, scheme, touch: width < 500 });
    const shot = (name) => page.screenshot({ path: `${out}/${name}-${width}-${scheme}.png` });
    await shot("start");
    await page.setInputFiles("#file", sample("images/image1.png"));
    await page.waitForSelector('[data-kind="ready"]', { state: "attached" });
    const at = async (x, y) => { const p = await page.evaluate(([px, py]) => window.stagePoint(px, py), [x, y]); await page.mouse.click(p.x, p.y); await page.waitForTimeout(150); };
    await page.evaluate(() => { window.stagePoint = (x, y) => {
      const box = document.querySelector(".stage-canvas").getBoundingClientRect();
      const small = box.width < 620, l = small ? 8 : 76, p = small ? 8 : 24, w = box.width - l - p, h = box.height - 2 * p;
      const scale = Math.min(w / 480, h / 360, 8);
      return { x: box.left + l + (w - 480 * scale) / 2 + x * scale, y: box.top + p + (h - 360 * scale) / 2 + y * scale };
    }; });
    await at(423, 236);
    await page.keyboard.press("n");
    await at(148, 208);
    await page.keyboard.press("n");
    await at(60, 300);
    await page.mouse.move(5, 5);
    await page.waitForTimeout(150);
    await shot("image");
    if (width === 1440) {
      await page.getByRole("button", { name: "Export" }).click();
      await shot("menu");
      await page.keyboard.press("Escape");
      await page.keyboard.press("?");
      await shot("keys");
      await page.keyboard.press("Escape");
      await page.selectOption("#effect", "spotlight");
      await shot("effect");
      await page.selectOption("#effect", "overlay");
      await page.keyboard.press("g");
      await page.waitForTimeout(900);
      await shot("everything");
    }
    await page.getByRole("button", { name: "SAM 2, start page" }).click();
    await page.setInputFiles("#file", videoFile());
    await page.waitForSelector(".transport");
    await page.waitForTimeout(400);
    await at(390, 215);
    await page.keyboard.press("n");
    await at(208, 249);
    await page.keyboard.press("n");
    await at(60, 60);
    await page.keyboard.press("t");
    await page.waitForTimeout(width === 1440 ? 1000 : 600);
    await shot("tracking");
    await page.keyboard.press("Escape");
    await page.waitForTimeout(400);
    await shot("video");
    await page.keyboard.press("Shift+T");
    await page.waitForFunction(() => document.querySelector(".running").hidden === false);
    await page.waitForFunction(() => document.querySelector(".running").hidden === true);
    await page.getByRole("button", { name: "Export" }).click();
    await shot("tracked");
    await close();
  }
}
await mock.stop();
process.exit(0);
