//! Draws masks and prompts over an image.

use crate::pixels::to_rgb;
use sam2::memory::try_collect;
use sam2::picture::{Picture, encode_png};
use sam2::rle::Rle;
use sam2::{PixelFormat, Prompt, Result};

/// Colours that are easy to tell apart. Objects use them in turn.
const COLOURS: [[u8; 3]; 8] = [
    [30, 144, 255],
    [255, 99, 71],
    [50, 205, 50],
    [255, 200, 0],
    [186, 85, 211],
    [0, 206, 209],
    [255, 105, 180],
    [160, 120, 60],
];

/// The colour of object `i`.
pub fn colour(i: usize) -> [u8; 3] {
    COLOURS[i % COLOURS.len()]
}

/// Encodes masks as PNG. A single mask is black and white. Several masks have their colours, with the first on top.
pub fn mask_png(masks: &[&Rle], width: usize, height: usize) -> Result<Vec<u8>> {
    let blank = |n: usize| try_collect(n, "a mask", std::iter::repeat_n(0, n));
    let (pixels, format) = if let [mask] = masks {
        let mut pixels = blank(width * height)?;
        foreground(mask)?.for_each(|i| pixels[i] = 255);
        (pixels, PixelFormat::Gray8)
    } else {
        let mut pixels = blank(width * height * 3)?;
        for (i, mask) in masks.iter().enumerate().rev() {
            foreground(mask)?.for_each(|at| pixels[at * 3..][..3].copy_from_slice(&colour(i)));
        }
        (pixels, PixelFormat::Rgb8)
    };
    encode_png(&Picture { pixels, width, height, format })
}

/// The indices of a mask's foreground pixels, row by row.
fn foreground(mask: &Rle) -> Result<impl Iterator<Item = usize>> {
    let (width, [x, y, w, h]) = (mask.width, mask.bbox());
    let mask = mask.decode()?;
    let places = (y..y + h).flat_map(move |y| (x..x + w).map(move |x| y * width + x));
    Ok(places.filter(move |&i| mask[i] != 0))
}

/// An image with masks and prompts to draw over it.
pub struct Overlay<'a> {
    pub picture: &'a Picture,
    /// One mask per object.
    pub masks: &'a [&'a Rle],
    pub prompts: &'a [Prompt<'a>],
}

impl Overlay<'_> {
    /// Draws the masks and prompts over a copy of the image.
    pub fn draw(&self) -> Result<Picture> {
        let mut out = to_rgb(self.picture)?;
        let (w, h) = (out.width, out.height);
        // The line width is proportional to the image.
        let unit = (w.max(h) / 400).max(1) as isize;
        for (i, mask) in self.masks.iter().enumerate().rev() {
            let colour = colour(i);
            let inside = mask.decode()?;
            let on = |x: isize, y: isize| {
                (0..w as isize).contains(&x) && (0..h as isize).contains(&y) && inside[y as usize * w + x as usize] != 0
            };
            for i in foreground(mask)? {
                let (x, y) = ((i % w) as isize, (i / w) as isize);
                let edge = (-unit..=unit).any(|d| !on(x + d, y) || !on(x, y + d));
                for (p, c) in out.pixels[i * 3..][..3].iter_mut().zip(colour) {
                    *p = if edge { c } else { ((*p as u32 * 11 + c as u32 * 9) / 20) as u8 };
                }
            }
        }
        for (i, prompt) in self.prompts.iter().enumerate() {
            if let Some(b) = prompt.bounds {
                frame(&mut out, b, unit, colour(i));
            }
            for p in &prompt.points {
                let inside = if p.label == 1 { [40, 200, 60] } else { [220, 40, 40] };
                disc(&mut out, p.x, p.y, 5.0 * unit as f32, [255, 255, 255]);
                disc(&mut out, p.x, p.y, 3.5 * unit as f32, inside);
            }
        }
        Ok(out)
    }
}

fn set(out: &mut Picture, x: isize, y: isize, colour: [u8; 3]) {
    if (0..out.width as isize).contains(&x) && (0..out.height as isize).contains(&y) {
        out.pixels[(y as usize * out.width + x as usize) * 3..][..3].copy_from_slice(&colour);
    }
}

fn disc(out: &mut Picture, x: f32, y: f32, radius: f32, colour: [u8; 3]) {
    // A click far outside is not drawn, since its coordinates may not fit an isize.
    if !(-radius..=out.width as f32 + radius).contains(&x) || !(-radius..=out.height as f32 + radius).contains(&y) {
        return;
    }
    let r = radius.ceil() as isize;
    for dy in -r..=r {
        for dx in -r..=r {
            if ((dx * dx + dy * dy) as f32) <= radius * radius {
                set(out, x as isize + dx, y as isize + dy, colour);
            }
        }
    }
}

fn frame(out: &mut Picture, b: [f32; 4], unit: isize, colour: [u8; 3]) {
    let clamp = |v: f32, n: usize| v.clamp(0.0, n as f32 - 1.0) as isize;
    let (x0, y0) = (clamp(b[0], out.width), clamp(b[1], out.height));
    let (x1, y1) = (clamp(b[2], out.width), clamp(b[3], out.height));
    for d in 0..unit {
        for x in x0..=x1 {
            set(out, x, y0 + d, colour);
            set(out, x, y1 - d, colour);
        }
        for y in y0..=y1 {
            set(out, x0 + d, y, colour);
            set(out, x1 - d, y, colour);
        }
    }
}
