//! What a frame looks like with the masks of its objects.

use sam2::picture::Picture;
use serde::Deserialize;

/// An effect. The names are those of the page.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Objects in their colours.
    #[default]
    Overlay,
    /// Outlines of objects in their colours.
    Outline,
    /// Objects on black.
    Cutout,
    /// The background is blurred.
    Blur,
    /// The background is in large blocks.
    Pixelate,
    /// The background is grey.
    Desaturate,
    /// The background is dark.
    Spotlight,
}

/// The first colours of objects; then hues by the golden ratio follow.
const CLEAR: [[u8; 3]; 10] = [
    [0x2f, 0x80, 0xff],
    [0xff, 0x8a, 0x1f],
    [0x1f, 0xb5, 0x74],
    [0xe9, 0x42, 0x9b],
    [0xf3, 0xc3, 0x16],
    [0x14, 0xb8, 0xcc],
    [0x8d, 0x5c, 0xf6],
    [0xef, 0x4b, 0x4b],
    [0x84, 0xcc, 0x16],
    [0xc0, 0x84, 0x57],
];

/// The colour of the object with this index, as on the page.
#[must_use]
pub fn color_of(index: usize) -> [u8; 3] {
    if let Some(color) = CLEAR.get(index) {
        return *color;
    }
    let hue = (0.11 + (index - CLEAR.len()) as f64 * 0.618_033_988_749_895) % 1.0;
    let (saturation, light) = (0.72, 0.58_f64);
    // From HSL, https://www.w3.org/TR/css-color-4/#hsl-to-rgb.
    [0.0, 8.0, 4.0].map(|n| {
        let k = (n + hue * 12.0) % 12.0;
        let value = light - saturation * light.min(1.0 - light) * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    })
}

/// The colour and the mask of an object. The mask has a byte for each pixel.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The colour.
    pub color: [u8; 3],
    /// The mask.
    pub mask: Vec<u8>,
}

impl Effect {
    /// Draws on a frame of RGB pixels.
    pub fn draw(self, frame: &mut Picture, objects: &[Shown]) {
        let (width, height) = (frame.width, frame.height);
        match self {
            Effect::Overlay | Effect::Outline => {
                for object in objects {
                    draw_mask(frame, object, self == Effect::Overlay);
                }
            }
            _ => {
                let on = |i: usize| objects.iter().any(|object| object.mask[i] != 0);
                let behind = self.background(frame);
                for i in (0..width * height).filter(|&i| !on(i)) {
                    frame.pixels[i * 3..][..3].copy_from_slice(&behind[i * 3..][..3]);
                }
            }
        }
    }

    /// What is seen around the objects.
    fn background(self, frame: &Picture) -> Vec<u8> {
        let longest = frame.width.max(frame.height);
        match self {
            Effect::Pixelate => blocks(frame, (longest / 48).max(6)),
            Effect::Blur => {
                // Three box filters are close to a Gaussian.
                let radius = (longest / 60).max(3);
                let mut pixels = frame.pixels.clone();
                for _ in 0..3 {
                    pixels = box_filter(&pixels, frame.width, frame.height, radius);
                }
                pixels
            }
            Effect::Desaturate => {
                // Luma of BT.709.
                let luma = |p: &[u8]| {
                    let [r, g, b] = [p[0], p[1], p[2]].map(f32::from);
                    [(0.2126 * r + 0.7152 * g + 0.0722 * b).round() as u8; 3]
                };
                frame.pixels.chunks(3).flat_map(luma).collect()
            }
            Effect::Spotlight => {
                let dark = |(i, &v): (usize, &u8)| (f32::from(v) * 0.26 + [6.0, 7.0, 12.0][i % 3] * 0.74) as u8;
                frame.pixels.iter().enumerate().map(dark).collect()
            }
            Effect::Overlay | Effect::Outline | Effect::Cutout => vec![0; frame.pixels.len()],
        }
    }
}

fn draw_mask(frame: &mut Picture, Shown { color, mask }: &Shown, filled: bool) {
    let (width, height) = (frame.width, frame.height);
    let reach = (width.max(height) / 500).max(1);
    for y in 0..height {
        for x in 0..width {
            if mask[y * width + x] == 0 {
                continue;
            }
            let off = |x: Option<usize>, y: Option<usize>| match (x, y) {
                (Some(x), Some(y)) if x < width && y < height => mask[y * width + x] == 0,
                _ => true,
            };
            let edge = (1..=reach).any(|d| {
                off(x.checked_sub(d), Some(y))
                    || off(Some(x + d), Some(y))
                    || off(Some(x), y.checked_sub(d))
                    || off(Some(x), Some(y + d))
            });
            let pixel = &mut frame.pixels[(y * width + x) * 3..][..3];
            for (value, c) in pixel.iter_mut().zip(color) {
                if edge {
                    *value = *c;
                } else if filled {
                    *value = ((u32::from(*value) * 11 + u32::from(*c) * 9) / 20) as u8;
                }
            }
        }
    }
}

/// The mean of each block of `side` by `side` pixels.
fn blocks(frame: &Picture, side: usize) -> Vec<u8> {
    let (width, height) = (frame.width, frame.height);
    let mut out = vec![0; frame.pixels.len()];
    for top in (0..height).step_by(side) {
        for left in (0..width).step_by(side) {
            let (bottom, right) = ((top + side).min(height), (left + side).min(width));
            let places = || (top..bottom).flat_map(|y| (left..right).map(move |x| (y * width + x) * 3));
            let count = ((bottom - top) * (right - left)) as u32;
            for c in 0..3 {
                let mean = places().map(|at| u32::from(frame.pixels[at + c])).sum::<u32>() / count;
                places().for_each(|at| out[at + c] = mean as u8);
            }
        }
    }
    out
}

/// The mean of the square around each pixel. Pixels at the border count for those beyond.
fn box_filter(pixels: &[u8], width: usize, height: usize, radius: usize) -> Vec<u8> {
    let across = lines(pixels, (height, width * 3), (width, 3), radius);
    lines(&across, (width, 3), (height, width * 3), radius)
}

/// Filters lines of RGB pixels: `lines` lines, and `count` pixels a line, each with its stride.
fn lines(
    pixels: &[u8],
    (lines, line_stride): (usize, usize),
    (count, stride): (usize, usize),
    radius: usize,
) -> Vec<u8> {
    let mut out = vec![0; pixels.len()];
    let size = 2 * radius as u32 + 1;
    for start in (0..lines).flat_map(|line| (0..3).map(move |c| line * line_stride + c)) {
        let at = |i: isize| u32::from(pixels[start + i.clamp(0, count as isize - 1) as usize * stride]);
        let mut sum: u32 = (-(radius as isize)..=radius as isize).map(at).sum();
        for i in 0..count {
            out[start + i * stride] = ((sum + size / 2) / size) as u8;
            sum = sum + at((i + radius + 1) as isize) - at(i as isize - radius as isize);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2::PixelFormat;

    fn frame(width: usize, height: usize, value: impl Fn(usize, usize) -> [u8; 3]) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| value(x, y)).collect();
        Picture { pixels, width, height, format: PixelFormat::Rgb8 }
    }

    #[test]
    fn colors_are_those_of_the_page() {
        assert_eq!(color_of(0), [0x2f, 0x80, 0xff]);
        assert_eq!([10, 11].map(color_of), [[0xe1, 0xad, 0x47], [0x80, 0x47, 0xe1]]);
    }

    #[test]
    fn effects_leave_objects_and_change_the_rest() {
        let noise = |x: usize, y: usize| [(x * 37 + y * 91) as u8, (x * 11) as u8, (y * 13) as u8];
        let before = frame(64, 48, noise);
        let mask: Vec<u8> = (0..64 * 48).map(|i| u8::from((20..40).contains(&(i % 64)) && i / 64 > 10)).collect();
        let object = Shown { color: [255, 0, 0], mask: mask.clone() };
        for effect in [Effect::Cutout, Effect::Blur, Effect::Pixelate, Effect::Desaturate, Effect::Spotlight] {
            let mut after = frame(64, 48, noise);
            effect.draw(&mut after, &[object.clone()]);
            let pixels = after.pixels.chunks(3).zip(before.pixels.chunks(3)).zip(&mask);
            let (on, off): (Vec<_>, Vec<_>) = pixels.partition(|(_, on)| **on != 0);
            assert!(on.iter().all(|((a, b), _)| a == b), "{effect:?}");
            assert!(off.iter().filter(|((a, b), _)| a != b).count() > off.len() / 2, "{effect:?}");
        }
        let mut after = frame(64, 48, noise);
        Effect::Outline.draw(&mut after, &[object]);
        let at = |picture: &Picture, x: usize, y: usize| picture.pixels[(y * 64 + x) * 3..][..3].to_vec();
        assert_eq!((at(&after, 20, 20), at(&after, 30, 30)), (vec![255, 0, 0], at(&before, 30, 30)));
        assert_eq!(at(&after, 19, 20), at(&before, 19, 20));
    }

    #[test]
    fn a_blur_keeps_what_is_even() {
        let even = frame(40, 30, |_, _| [9, 200, 77]);
        assert_eq!(Effect::Blur.background(&even), even.pixels);
        assert_eq!(Effect::Pixelate.background(&even), even.pixels);
        // A step becomes a slope of the filter's width.
        let step = box_filter(&frame(9, 1, |x, _| [if x < 4 { 0 } else { 90 }; 3]).pixels, 9, 1, 1);
        assert_eq!(step.chunks(3).map(|p| p[0]).collect::<Vec<_>>(), [0, 0, 0, 30, 60, 90, 90, 90, 90]);
    }
}
