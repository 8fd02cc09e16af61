//! The frames of a video in a request, which are written to files while they are read.

use crate::images::MAX_IMAGE;
use crate::problem::{Problem, disk};
use crate::videos::{MAX_FRAMES, MAX_SIDE};
use crate::work::from_base64;
use sam2::{Size, picture};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

/// What a request says, beside its frames.
#[derive(Debug, Default, PartialEq)]
pub struct Request {
    /// The id of the model.
    pub model: String,
    /// The number of frames.
    pub frames: usize,
}

/// Reads a request from a file, and writes its frames to a folder. All have one size.
///
/// # Errors
///
/// `request` if the file is no such request, `input` if a frame is no image or has another size, `full` if the disk is
/// full.
pub fn read(file: &Path, folder: &Path) -> Result<Request, Problem> {
    fs::create_dir(folder).map_err(|e| disk(&e))?;
    let file = File::open(file).map_err(|e| disk(&e))?;
    let mut frames = Frames { folder, count: 0, size: None, problem: None };
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file));
    let read = RequestSeed(&mut frames).deserialize(&mut reader).and_then(|model| reader.end().map(|()| model));
    match (read, frames.problem) {
        (_, Some(problem)) => Err(problem),
        (Err(e), None) => Err(Problem::request(e.to_string())),
        (Ok(model), None) => Ok(Request { model, frames: frames.count }),
    }
}

/// Takes the frames.
struct Frames<'a> {
    folder: &'a Path,
    count: usize,
    size: Option<Size>,
    /// Why a frame was not taken.
    problem: Option<Problem>,
}

impl Frames<'_> {
    fn take(&mut self, text: &str) -> Result<(), Problem> {
        if self.count == MAX_FRAMES {
            return Err(Problem::input(format!("a video may have {MAX_FRAMES} frames")));
        }
        if text.len() > MAX_IMAGE / 3 * 4 + 64 {
            return Err(Problem::size(format!("a frame may have {MAX_IMAGE} bytes")));
        }
        let (frame, bytes) = (self.count, from_base64(text)?);
        let size = picture::decode(&format!("frame {frame}"), &bytes)?.size();
        let first = *self.size.get_or_insert(size);
        if size != first {
            let (a, b) = ((size.width, size.height), (first.width, first.height));
            return Err(Problem::input(format!("frame {frame} has {}x{} pixels, frame 0 {}x{}", a.0, a.1, b.0, b.1)));
        }
        if size.width.max(size.height) > MAX_SIDE {
            return Err(Problem::input(format!("frames may have sides of {MAX_SIDE} pixels")));
        }
        // The format of an image is known by its bytes, not by the name of its file.
        fs::write(self.folder.join(format!("{frame:05}.jpg")), bytes).map_err(|e| disk(&e))?;
        self.count += 1;
        Ok(())
    }
}

/// Reads the list of frames.
struct FramesSeed<'a, 'b>(&'a mut Frames<'b>);

impl<'de> DeserializeSeed<'de> for FramesSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FramesSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of images in base64")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        while let Some(text) = all.next_element::<String>()? {
            if let Err(problem) = self.0.take(&text) {
                self.0.problem = Some(problem);
                return Err(A::Error::custom("a frame was not taken"));
            }
        }
        Ok(())
    }
}

/// Reads the request, and returns the id of the model.
struct RequestSeed<'a, 'b>(&'a mut Frames<'b>);

impl<'de> DeserializeSeed<'de> for RequestSeed<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RequestSeed<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `model` and `frames`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<String, A::Error> {
        let mut model = None;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "model" => model = Some(members.next_value()?),
                "frames" if self.0.count > 0 => return Err(A::Error::duplicate_field("frames")),
                "frames" => members.next_value_seed(FramesSeed(self.0))?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        model.ok_or_else(|| A::Error::missing_field("model"))
    }
}
