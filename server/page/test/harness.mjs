// Starts the mock and the browser for the tests.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium, firefox } from "playwright-core";

const here = fileURLToPath(new URL(".", import.meta.url));
export const sample = (name) => `${here}../../../demo/samples/${name}`;
export const videoFile = () => ({ name: "clip.mp4", mimeType: "video/mp4", buffer: Buffer.alloc(200_000, 7) });

/** Starts the mock on a free port. */
export function startMock(...options) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [`${here}../mock/server.mjs`, "--port", "0", ...options], { stdio: ["ignore", "pipe", "inherit"] });
    child.on("error", reject);
    child.stdout.once("data", (data) => resolve({ url: String(data).trim(), stop: () => child.kill() }));
  });
}

/** Whether the tests run in Firefox (BROWSER=firefox) instead of Chromium. */
export const inFirefox = process.env.BROWSER === "firefox";

let browser = null;
async function launch() {
  const find = (...names) => names.map((name) => `/usr/bin/${name}`).find((path) => existsSync(path));
  browser ??= inFirefox
    ? await firefox.launch({ channel: "moz-firefox", executablePath: process.env.FIREFOX ?? find("firefox", "firefox-esr") })
    : await chromium.launch({
      executablePath: process.env.CHROMIUM ?? find("chromium", "chromium-browser", "google-chrome"), args: ["--no-sandbox", "--disable-gpu"],
    });
  return browser;
}

export async function openPage(url, { width = 1440, height = 900, scheme = "light", touch = false } = {}) {
  const context = await (await launch()).newContext({
    viewport: { width, height }, colorScheme: scheme, hasTouch: touch, isMobile: touch, deviceScaleFactor: touch ? 2 : 1, acceptDownloads: true,
  });
  const page = await context.newPage();
  const messages = [];
  page.on("console", (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => messages.push(`error: ${error.message}`));
  await page.goto(url);
  return { page, context, messages, close: () => context.close() };
}

export const closeBrowser = async () => { await browser?.close(); browser = null; };
