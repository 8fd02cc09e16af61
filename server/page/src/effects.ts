// Effects: what is drawn of a picture on the objects and around them.
import { canvasOf } from "./dom";

export const effects = [
  ["overlay", "Overlay"], ["outline", "Outline"], ["cutout", "Cut out"], ["blur", "Blur"], ["pixelate", "Pixelate"],
  ["desaturate", "Desaturate"], ["spotlight", "Spotlight"], ["color", "Background colour"],
] as const;

export type Effect = (typeof effects)[number][0];

export interface EffectOptions { readonly effect: Effect; readonly color: string; readonly onObjects: boolean }

/** True for effects that leave the picture as it is and draw the masks over it. */
export const isOverlay = (effect: Effect): boolean => effect === "overlay" || effect === "outline";

type Picture = CanvasImageSource;

/** The picture with the effect, in the picture's size. `drawMasks` draws all objects in one colour. */
export function apply(
  picture: Picture, width: number, height: number, options: EffectOptions, drawMasks: (ctx: CanvasRenderingContext2D) => void,
): HTMLCanvasElement {
  const [result, ctx] = canvasOf(width, height);
  const [mask, maskCtx] = canvasOf(width, height);
  drawMasks(maskCtx);
  if (options.effect === "cutout" || options.effect === "color") {
    ctx.drawImage(mask, 0, 0);
    ctx.globalCompositeOperation = options.onObjects ? "source-out" : "source-in";
    ctx.drawImage(picture, 0, 0, width, height);
    if (options.effect === "color") {
      ctx.globalCompositeOperation = "destination-over";
      ctx.fillStyle = options.color;
      ctx.fillRect(0, 0, width, height);
    }
    return result;
  }
  // The changed picture everywhere, then the picture itself where it stays.
  ctx.drawImage(changed(picture, width, height, options.effect), 0, 0, width, height);
  const [kept, keptCtx] = canvasOf(width, height);
  keptCtx.drawImage(mask, 0, 0);
  keptCtx.globalCompositeOperation = options.onObjects ? "source-out" : "source-in";
  keptCtx.drawImage(picture, 0, 0, width, height);
  ctx.drawImage(kept, 0, 0);
  return result;
}

function changed(picture: Picture, width: number, height: number, effect: Effect): HTMLCanvasElement {
  const [canvas, ctx] = canvasOf(width, height);
  if (effect === "pixelate") {
    const block = Math.max(6, Math.round(Math.max(width, height) / 48));
    const [small, smallCtx] = canvasOf(width / block, height / block);
    smallCtx.drawImage(picture, 0, 0, small.width, small.height);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(small, 0, 0, width, height);
  } else if (effect === "blur") {
    // Halving and doubling gives a smooth blur in every browser.
    let from: Picture = picture;
    let w = width, h = height;
    const least = 44;
    const sizes: [number, number][] = [];
    while (Math.max(w, h) / 2 >= least) {
      sizes.push([w, h]);
      w /= 2;
      h /= 2;
      const [step, stepCtx] = canvasOf(w, h);
      stepCtx.drawImage(from, 0, 0, step.width, step.height);
      from = step;
    }
    for (const [upW, upH] of sizes.reverse()) {
      const [step, stepCtx] = canvasOf(upW, upH);
      stepCtx.imageSmoothingQuality = "high";
      stepCtx.drawImage(from, 0, 0, step.width, step.height);
      from = step;
    }
    ctx.drawImage(from, 0, 0, width, height);
  } else {
    ctx.drawImage(picture, 0, 0, width, height);
    if (effect === "desaturate") {
      ctx.globalCompositeOperation = "saturation";
      ctx.fillStyle = "#808080";
    } else {
      ctx.fillStyle = "rgba(6, 7, 12, 0.74)";
    }
    ctx.fillRect(0, 0, width, height);
  }
  return canvas;
}
