// The files that the page makes from an image and its masks.
import { canvasOf, h } from "./dom";
import { apply, isOverlay, type EffectOptions } from "./effects";
import type { Layer } from "./layer";
import { png } from "./png";

export interface Exported { readonly name: string; readonly color: string; readonly layer: Layer; readonly score: number }

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export const stem = (name: string): string => name.replace(/\.[^.]*$/, "") || "image";

/** A grey PNG with 255 on the objects. */
export const maskFile = (objects: readonly Exported[], width: number, height: number): Promise<Blob> =>
  png(width, height, paint(objects, width, height, () => 255), null);

/** A palette PNG: 0 is the background, 1 the first object. A later object covers an earlier one. */
export const labelFile = (objects: readonly Exported[], width: number, height: number): Promise<Blob> =>
  png(width, height, paint(objects, width, height, (index) => index + 1), ["#000000", ...objects.map((object) => object.color)].slice(0, 256));

function paint(objects: readonly Exported[], width: number, height: number, value: (index: number) => number): Uint8Array {
  const pixels = new Uint8Array(width * height);
  objects.slice(0, 255).forEach(({ layer }, index) => {
    const { x, y, w, h: rows, data } = layer.bits;
    for (let row = 0, i = 0; row < rows; row++) {
      for (let column = 0; column < w; column++, i++) if (data[i]) pixels[(y + row) * width + x + column] = value(index);
    }
  });
  return pixels;
}

export function cocoFile(objects: readonly Exported[], width: number, height: number, fileName: string): Blob {
  const names = [...new Set(objects.map((object) => object.name))];
  const data = {
    images: [{ id: 1, width, height, file_name: fileName }],
    categories: names.map((name, index) => ({ id: index + 1, name })),
    annotations: objects.map(({ name, layer, score }, index) => ({
      id: index + 1, image_id: 1, category_id: names.indexOf(name) + 1, iscrowd: 0, segmentation: layer.rle, area: layer.bits.area,
      bbox: [layer.bits.x, layer.bits.y, layer.bits.w, layer.bits.h], score,
    })),
  };
  return new Blob([JSON.stringify(data)], { type: "application/json" });
}

/** The picture with the effect, as it is seen. */
export function pictureFile(
  picture: CanvasImageSource, objects: readonly Exported[], width: number, height: number, options: EffectOptions,
): Promise<Blob> {
  let [canvas, ctx] = canvasOf(width, height);
  if (isOverlay(options.effect)) {
    ctx.drawImage(picture, 0, 0, width, height);
    for (const { layer, color } of objects) {
      if (layer.empty) continue;
      ctx.globalAlpha = 0.45;
      if (options.effect === "overlay") layer.draw(ctx, color);
      ctx.globalAlpha = 1;
      ctx.strokeStyle = color;
      ctx.lineWidth = Math.max(1.5, Math.max(width, height) / 600);
      ctx.stroke(layer.outline);
    }
  } else {
    canvas = apply(picture, width, height, options, (mask) => { for (const { layer } of objects) layer.draw(mask, "#ffffff"); });
  }
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large for this browser."))), "image/png"));
}
