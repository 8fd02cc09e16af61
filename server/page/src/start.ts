// The first page, and the ways to open a file.
import { h } from "./dom";
import { icon } from "./icons";

const accepted = "image/*,video/*,.mkv,.mov,.avi";

export function chooseFile(open: (file: File) => void): void {
  const field = h("input", { type: "file", accept: accepted });
  field.addEventListener("change", () => { const file = field.files?.[0]; if (file) open(file); });
  field.click();
}

export function startView(open: (file: File) => void): HTMLElement {
  const field = h("input", { type: "file", accept: accepted, class: "hidden-text", id: "file", "aria-label": "Image or video file" });
  field.addEventListener("change", () => { const file = field.files?.[0]; if (file) open(file); });
  const system = h("p", { class: "hint system" });
  return h("div", { class: "start" },
    h("div", { class: "start-card" },
      h("div", { class: "start-mark" }, h("span", { class: "mark large" })),
      h("h2", {}, "Segment images and videos"),
      h("p", { class: "lead" }, "Click an object to get its mask. In a video, track it through all frames."),
      h("label", { class: "button primary large", for: "file" }, icon("open", 18), "Open image or video"), field,
      h("p", { class: "hint drop-hint" }, "Or drop a file here, or paste an image."),
      system));
}

/** Takes dropped and pasted files, and shows where a file may be dropped. */
export function listen(open: (file: File) => void): void {
  const veil = h("div", { class: "drop-veil", hidden: true }, h("span", {}, "Drop to open"));
  document.body.append(veil);
  let depth = 0;
  const hasFile = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (event) => { if (hasFile(event)) { depth++; veil.hidden = false; } });
  addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); veil.hidden = depth === 0; });
  addEventListener("dragover", (event) => { if (hasFile(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    const file = event.dataTransfer?.files[0];
    if (file) open(file);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => /^(image|video)\//.test(one.type));
    if (file) open(file);
  });
}
