// Starts the page and opens files.
import * as api from "./api";
import { askKey, isDialogOpen, showKeys } from "./dialogs";
import { isTyping } from "./dom";
import { onKeyNeeded } from "./http";
import { ImageWorkspace } from "./image";
import { keyGroups } from "./keys";
import { Shell } from "./shell";
import { chooseFile, listen, startView } from "./start";
import { applyTheme } from "./theme";
import { report } from "./toast";
import { VideoWorkspace } from "./video";
import type { Workspace } from "./workspace";

applyTheme();
onKeyNeeded(askKey);

let workspace: Workspace | null = null;
/** Counts the files that were opened; an older one that comes late is dropped. */
let opened = 0;
let uploading: AbortController | null = null;

const shell = new Shell({
  open: () => chooseFile(open),
  home,
  undo: () => workspace?.undo(),
  redo: () => workspace?.redo(),
  keys: () => showKeys(keyGroups(workspace?.video ?? true)),
  exports: () => workspace?.exports() ?? [],
});

function leave(): number {
  uploading?.abort();
  uploading = null;
  workspace?.close();
  workspace = null;
  return ++opened;
}

function home(): void {
  const number = leave();
  shell.idle();
  shell.stage.append(startView(open));
  api.system().then((info) => {
    const line = shell.stage.querySelector(".system");
    if (line && number === opened) line.textContent = [info.model, info.device, info.precision].filter(Boolean).join("  ·  ");
  }, report);
}

function open(file: File): void {
  const number = leave();
  shell.idle();
  const isVideo = file.type.startsWith("video/") || /\.(mp4|mov|mkv|webm|avi|m4v)$/i.test(file.name);
  (isVideo ? openVideo(file, number) : openImage(file, number)).catch((error: unknown) => {
    if (number !== opened) return;
    report(error);
    home();
  });
}

async function openImage(file: File, number: number): Promise<void> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name || "The file"} is not an image that this browser can read.`);
  }
  if (number !== opened) return bitmap.close();
  shell.begin("image");
  workspace = new ImageWorkspace(shell, file.name || "Pasted image", bitmap, file);
  workspace.stage.canvas.focus();
}

async function openVideo(file: File, number: number): Promise<void> {
  shell.begin("video");
  shell.title(file.name, "");
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", "Upload");
  const text = document.createElement("p");
  const card = document.createElement("div");
  card.className = "start";
  card.append(text, bar);
  shell.stage.append(card);
  uploading = new AbortController();
  const progress = (part: number): void => {
    if (number !== opened) return;
    text.textContent = part < 1 ? `Uploading ${Math.round(part * 100)} %` : "Reading the video…";
    if (part < 1) bar.value = part;
    else bar.removeAttribute("value");
    shell.status(part < 1 ? "Uploading…" : "Reading…", "busy");
  };
  progress(0);
  const info = await api.addVideo(file, progress, uploading.signal);
  const session = await api.addSession(info.id);
  if (number !== opened) return void api.close(session.id).catch(() => undefined);
  card.remove();
  workspace = new VideoWorkspace(shell, file.name, info, session);
  workspace.stage.canvas.focus();
}

// The stage shows its focus only where the user goes by Tab.
addEventListener("pointerdown", () => { delete document.documentElement.dataset["by"]; }, true);

addEventListener("keydown", (event) => {
  if (event.key === "Tab") document.documentElement.dataset["by"] = "tab";
  if (isDialogOpen() || event.defaultPrevented) return;
  if (!isTyping(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    if (event.key === "?") { event.preventDefault(); return showKeys(keyGroups(workspace?.video ?? true)); }
    if (event.key === "o") { event.preventDefault(); return chooseFile(open); }
  }
  if (workspace?.key(event)) event.preventDefault();
});
addEventListener("keyup", (event) => workspace?.keyUp(event));

// After a click with the mouse, the keys go to the picture again.
addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  if (event.detail > 0 && button && workspace && !button.closest(".menu-root, dialog")) workspace.stage.canvas.focus({ preventScroll: true });
});

addEventListener("pagehide", (event) => { if (!event.persisted) leave(); });
addEventListener("unhandledrejection", (event) => { report(event.reason); event.preventDefault(); });

listen(open);
home();
