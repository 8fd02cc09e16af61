//! Masks of one object from image files.

use crate::error::Result;
use crate::media::picture::orientation::Orientation;
use crate::media::picture::samples::Samples;
use crate::media::picture::{self, Refusal, zeros};
use crate::media::size::Size;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The largest number of different values of an image that are counted.
const MOST_VALUES: usize = 1 << 16;

/// The number of different values up to which an image has few labels.
const FEW_VALUES: u64 = 8;

/// In a soft mask, the average run of equal values in a row is shorter than this number of pixels.
const SOFT_RUN: usize = 4;

/// A mask of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// (height, width): 1 on the object, 0 elsewhere.
    pub pixels: Vec<u8>,
    /// The width in pixels.
    pub width: usize,
    /// The height in pixels.
    pub height: usize,
}

impl Mask {
    /// Returns the size of the mask.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

/// Reads a mask from an image file of any kind that [`picture::read`] reads. The orientation of the file is not
/// applied.
///
/// Every pixel whose value is not 0 is on the object. The value is the index of a palette, the gray value, or a colour,
/// where only black is 0. Alpha is ignored, unless the colour is the same everywhere and alpha is not. In a lossy file,
/// such as a JPEG, only values above half of the largest value are on the object. `FILE#N` reads only the pixels of
/// value N, unless there is a file with this whole name.
///
/// A mask that may be unintended is logged as a warning. Such a mask is empty or soft, has several labels, is in the
/// alpha channel only, or seems to have a white background. A label that no pixel has is an error.
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) if the file cannot be read. [`Error::Picture`](crate::Error::Picture) if it has no
/// pixel of the label, or is damaged, too large, or of an unknown kind.
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if memory is exhausted.
pub fn read_mask(path: impl AsRef<Path>) -> Result<Mask> {
    let (file, label) = split(path.as_ref());
    let name = file.display().to_string();
    let (mask, notes) = decode(&name, &picture::read_file(&file)?, label)?;
    notes.iter().for_each(|note| log::warn!("{name}: {note}"));
    Ok(mask)
}

/// Decodes a file in memory. Returns the mask of the whole file or of one label, and notes for the user.
fn decode(name: &str, bytes: &[u8], label: Option<u16>) -> Result<(Mask, Vec<String>)> {
    let read = || {
        let stored = picture::samples(bytes)?;
        let reading = Reading::new(&stored);
        let (pixels, notes) = match label {
            Some(label) => (reading.label(label)?, Vec::new()),
            None => (reading.whole()?, reading.notes(name)),
        };
        Ok((Mask { pixels, width: stored.width, height: stored.height }, notes))
    };
    read().map_err(|refusal: Refusal| refusal.of(name))
}

/// Returns the file that [`read_mask`] reads for a path: the path without the label of `FILE#N`.
#[must_use]
pub fn mask_file(path: impl AsRef<Path>) -> PathBuf {
    split(path.as_ref()).0
}

/// Splits `FILE#N` into the file and the label. If there is a file with the whole name, the label is `None`.
fn split(path: &Path) -> (PathBuf, Option<u16>) {
    let parts = path.to_str().filter(|_| !path.exists()).and_then(|text| text.rsplit_once('#'));
    match parts.and_then(|(file, label)| Some((file, label.parse().ok()?))) {
        Some((file, label)) => (file.into(), Some(label)),
        None => (path.into(), None),
    }
}

/// The samples that make the value of a pixel.
#[derive(Clone, Copy, PartialEq)]
enum Meaning {
    /// The first sample: gray, or the index of a palette.
    Number,
    /// Red, green and blue, which are not the same everywhere.
    Colour,
    /// The last sample.
    Alpha,
}

/// The interpretation of the samples of a file as a mask.
struct Reading<'a> {
    stored: &'a Samples,
    meaning: Meaning,
    /// The values of all pixels except 0, at most [`MOST_VALUES`].
    values: BTreeSet<u64>,
}

impl<'a> Reading<'a> {
    fn new(stored: &'a Samples) -> Self {
        let pixels = stored.width * stored.height;
        let pixel = |i: usize| (0..stored.channels).map(move |c| stored.values.get(i * stored.channels + c));
        let (has_alpha, colours) = (stored.channels.is_multiple_of(2), stored.channels.div_ceil(2) * 2 - 1);
        let constant =
            |skip: usize, n: usize| (1..pixels).all(|i| pixel(i).skip(skip).take(n).eq(pixel(0).skip(skip).take(n)));
        let meaning = if has_alpha && constant(0, colours) && !constant(colours, 1) {
            Meaning::Alpha
        } else if colours == 3
            && (0..pixels).any(|i| pixel(i).take(3).any(|v| v != stored.values.get(i * stored.channels)))
        {
            Meaning::Colour
        } else {
            Meaning::Number
        };
        let mut reading = Reading { stored, meaning, values: BTreeSet::new() };
        let mut last = 0;
        for i in 0..pixels {
            let value = reading.value(i);
            if value != last && value != 0 && reading.values.len() < MOST_VALUES {
                reading.values.insert(value);
            }
            last = value;
        }
        reading
    }

    /// Returns the value of a pixel. Each channel of a colour takes 16 bits of the value.
    fn value(&self, i: usize) -> u64 {
        let Samples { channels, values, .. } = self.stored;
        let sample = |c: usize| u64::from(values.get(i * channels + c));
        match self.meaning {
            Meaning::Number => sample(0),
            Meaning::Colour => sample(0) << 32 | sample(1) << 16 | sample(2),
            Meaning::Alpha => sample(channels - 1),
        }
    }

    fn mask(&self, on: impl Fn(u64) -> bool) -> Result<Vec<u8>, Refusal> {
        let mut mask = zeros::<u8>(self.stored.width * self.stored.height)?;
        mask.iter_mut().enumerate().for_each(|(i, to)| *to = on(self.value(i)).into());
        Ok(mask)
    }

    /// Returns the mask of all pixels that are not background.
    fn whole(&self) -> Result<Vec<u8>, Refusal> {
        match self.stored.lossy {
            true => {
                let pixels = 0..self.stored.width * self.stored.height;
                let half = pixels.map(|i| brightness(self.value(i))).max().unwrap_or(0) / 2;
                self.mask(|v| brightness(v) > half)
            }
            false => self.mask(|v| v != 0),
        }
    }

    /// Returns the mask of the pixels with one label.
    fn label(&self, label: u16) -> Result<Vec<u8>, Refusal> {
        if self.stored.lossy || self.meaning != Meaning::Number {
            return Err(
                format!("label {label} of a picture without labels: it has colours, alpha or lossy values").into()
            );
        }
        if label == 0 || !self.values.contains(&label.into()) {
            return Err(format!("no pixel has label {label}; there are {}", self.labels()).into());
        }
        self.mask(|v| v == u64::from(label))
    }

    /// Returns the labels as text for a message.
    fn labels(&self) -> String {
        let first: Vec<String> = self.values.iter().take(10).map(u64::to_string).collect();
        let more = if self.values.len() > first.len() { ", ..." } else { "" };
        let count = if self.values.len() == MOST_VALUES { "at least ".to_string() } else { String::new() };
        format!("{count}{} labels ({}{more})", self.values.len(), first.join(", "))
    }

    /// Returns the notes for the user.
    fn notes(&self, name: &str) -> Vec<String> {
        let mut notes = Vec::new();
        if self.stored.orientation != Orientation::UPRIGHT {
            notes.push(format!(
                "a mask is used as stored; its EXIF orientation {} is not applied",
                self.stored.orientation.number()
            ));
        }
        if self.meaning == Meaning::Alpha {
            notes.push("the colour is the same everywhere, so the alpha channel is taken as the mask".to_string());
        }
        if let Some(&[r, g, b]) = self.stored.palette.as_ref().and_then(|p| p.first_chunk())
            && [r, g, b] != [0; 3]
        {
            notes.push(format!("colour 0 of the palette is ({r}, {g}, {b}), not black; it is taken as the background"));
        }
        match self.values.len() {
            0 => notes.push("an empty mask: no pixel is on the object".into()),
            1 => {}
            n if self.meaning == Meaning::Colour && !self.stored.lossy => {
                notes.push(format!("a mask of {n} colours besides black; all of them are taken as one object"));
            }
            _ if self.stored.lossy => notes.push(
                "a soft mask, since its compression is lossy; values above half of the largest are taken as the object"
                    .into(),
            ),
            _ if self.is_soft() => notes.push(format!(
                "a soft mask, with values between 0 and {}; all that are not 0 are taken as the object",
                self.stored.values.white()
            )),
            _ => notes.push(format!(
                "a label picture of {}; all of them are taken as one object; {name}#N takes label N alone",
                self.labels()
            )),
        }
        if self.whole().is_ok_and(|mask| covers_border(&mask, self.stored.width)) {
            notes.push(
                "the mask covers most of the picture's border; if the background is white, invert the picture: pixels that \
                 are not black are taken as the object"
                    .into(),
            );
        }
        notes
    }

    /// Returns whether the values are those of an antialiased or blurred mask. The values of a soft mask reach white,
    /// and most are not small numbers, or there are many values that change within a few pixels. Labels are small
    /// numbers, or cover areas.
    fn is_soft(&self) -> bool {
        let (count, white) = (self.values.len() as u64, u64::from(self.stored.values.white()));
        let largest = self.values.last().copied().unwrap_or(0);
        if self.stored.palette.is_some() || 4 * largest < 3 * white {
            return false;
        }
        if count <= FEW_VALUES {
            let far = self.values.iter().filter(|&&v| v > count).count() as u64;
            return largest == white && 2 * far > count;
        }
        let (mut between, mut runs, mut last) = (0, 0, 0);
        for i in 0..self.stored.width * self.stored.height {
            let value = self.value(i);
            if value != 0 && value != largest {
                (between, runs) = (between + 1, runs + usize::from(value != last || i % self.stored.width == 0));
            }
            last = value;
        }
        between < SOFT_RUN * runs
    }
}

/// Returns the largest channel of a value.
fn brightness(value: u64) -> u64 {
    (value >> 32).max(value >> 16 & 0xffff).max(value & 0xffff)
}

/// Returns whether more than half of the pixels at the border are on the object.
fn covers_border(mask: &[u8], width: usize) -> bool {
    let height = mask.len() / width;
    let at_border = |i: &usize| [0, width - 1].contains(&(i % width)) || [0, height - 1].contains(&(i / width));
    let (mut on, mut all) = (0, 0);
    (0..mask.len()).filter(at_border).for_each(|i| (on, all) = (on + usize::from(mask[i]), all + 1));
    2 * on > all
}

#[cfg(test)]
mod tests;
