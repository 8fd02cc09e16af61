//! The state of a video's objects as a file, to survive a restart or to continue on another machine.
//!
//! The file has the safetensors format. The metadata hold the bookkeeping as JSON, and the tensors hold the large data.
//! The last tensor is a checksum of everything before it.

use super::bank::{Kind, Slot};
use super::object::{Object, Output};
use super::predictor::VideoPredictor;
use super::source::{Kept, Pushed, Source};
use crate::error::{Error, Result};
use crate::media::format::PixelFormat;
use crate::media::frame::MAX_SIDE;
use crate::media::picture::Picture;
use crate::media::size::Size;
use crate::session::prompt::Point;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;
use std::sync::Arc;

/// The version of the format. A reader accepts only its own version.
const VERSION: u32 = 1;
const CHECKSUM: &str = "~crc32";
/// The largest number of frames that is accepted. No stream reaches this number.
const MOST_FRAMES: usize = 1 << 40;

/// The bookkeeping. Floats are stored as their bits.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    model: String,
    stream: bool,
    len: usize,
    height: usize,
    width: usize,
    /// The pushed frames that are kept, which are the last ones. `None` if the pixels of a frame are not stored,
    /// otherwise their format.
    kept: Vec<Option<PixelFormat>>,
    ids: Vec<i64>,
    objects: Vec<SavedObject>,
}

#[derive(Serialize, Deserialize)]
struct SavedObject {
    /// x, y and label of every point.
    points: BTreeMap<usize, Vec<(u32, u32, i32)>>,
    /// Outputs on conditioning frames, outputs on tracked frames, and the outputs of both kinds whose memories are not
    /// yet encoded.
    outputs: [Vec<SavedOutput>; 4],
    tracked: BTreeMap<usize, bool>,
    corrected: BTreeSet<usize>,
}

#[derive(Serialize, Deserialize)]
struct SavedOutput {
    frame: usize,
    score: u32,
    low_res: bool,
    memory: bool,
}

/// Returns the outputs of an object, by kind.
fn outputs(object: &Object) -> [Vec<(usize, &Output)>; 4] {
    let non_cond = object.non_cond.iter().collect();
    let [cond, first, others] = [&object.cond, &object.temp[0], &object.temp[1]].map(|o| o.iter().collect());
    [cond, non_cond, first, others]
}

fn name(object: usize, kind: usize, frame: usize, what: &str) -> String {
    format!("{object}.{kind}.{frame}.{what}")
}

fn wrong(what: impl Into<String>) -> Error {
    Error::input(format!("saved state: {}", what.into()))
}

/// A tensor of the file.
struct Piece<'a> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    what: Content<'a>,
}

enum Content<'a> {
    Bytes(&'a [u8]),
    Slot(Kind, &'a Slot),
}

impl VideoPredictor {
    /// Saves the state of all objects, and the pushed frames that are kept. After [`VideoPredictor::load_state`], a
    /// predictor of the same model continues as this predictor would.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if `out` fails. [`Error::Input`] if a frame with a new prompt is no longer kept.
    /// [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn save_state(&self, mut out: impl Write) -> Result<()> {
        let low = [self.config.mask_side(); 2];
        let (mut kept, mut pieces) = (Vec::new(), Vec::new());
        if let Source::Pushed(pushed) = &self.source {
            for (i, frame) in pushed.kept.iter().enumerate() {
                kept.push(frame.picture.as_ref().map(|p| p.format));
                pieces.extend(frame.picture.as_ref().map(|p| {
                    let (name, shape) = (format!("frame.{i}"), vec![p.pixels.len()]);
                    Piece { name, dtype: Dtype::U8, shape, what: Content::Bytes(&p.pixels) }
                }));
            }
        }
        let mut objects = Vec::new();
        for (i, object) in self.objects.iter().enumerate() {
            let all = outputs(object);
            // What is not yet remembered needs its frame.
            for (frame, _) in all[2].iter().chain(&all[3]) {
                if matches!(self.source, Source::Pushed(_)) {
                    self.source.picture(*frame)?;
                }
            }
            for (kind, outputs) in all.iter().enumerate() {
                for &(frame, output) in outputs {
                    let piece = |what: &str, dtype, shape: &[usize], content| Piece {
                        name: name(i, kind, frame, what),
                        dtype,
                        shape: shape.to_vec(),
                        what: content,
                    };
                    if let Some(slot) = &output.mask {
                        pieces.push(piece("low_res", Dtype::F32, &low, Content::Slot(Kind::Mask, slot)));
                    }
                    if let Some(slot) = &output.memory {
                        let shape = [Kind::Map.bytes(&self.config) / 2];
                        pieces.push(piece("memory", Dtype::BF16, &shape, Content::Slot(Kind::Map, slot)));
                    }
                    let content = Content::Slot(Kind::Pointer, &output.pointer);
                    pieces.push(piece("pointer", Dtype::F32, &[self.config.d_model], content));
                }
            }
            let bits = |p: &Point| (p.x.to_bits(), p.y.to_bits(), p.label);
            objects.push(SavedObject {
                points: object.points.iter().map(|(f, points)| (*f, points.iter().map(bits).collect())).collect(),
                outputs: all.map(|outputs| {
                    let saved = |(frame, out): (usize, &Output)| SavedOutput {
                        frame,
                        score: out.score.to_bits(),
                        low_res: out.mask.is_some(),
                        memory: out.memory.is_some(),
                    };
                    outputs.into_iter().map(saved).collect()
                }),
                tracked: object.tracked.iter().map(|(frame, reverse)| (frame, *reverse)).collect(),
                corrected: object.corrected.clone(),
            });
        }
        let saved = Saved {
            version: VERSION,
            model: format!("{:016x}", self.fingerprint),
            stream: matches!(self.source, Source::Pushed(_)),
            len: self.source.len(),
            height: self.size.height,
            width: self.size.width,
            kept,
            ids: self.ids.clone(),
            objects,
        };
        self.write_file(&saved, &pieces, &mut out).map_err(|e| match e {
            Failure::Engine(e) => e,
            Failure::Io(e) => Error::Io { path: "saved state".into(), source: e },
        })
    }

    fn write_file(&self, saved: &Saved, pieces: &[Piece<'_>], out: &mut impl Write) -> Result<(), Failure> {
        let json = |v: &Saved| serde_json::to_string(v).map_err(|e| Failure::Engine(Error::Internal(e.to_string())));
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), serde_json::json!({"format": "sam2 state", "state": json(saved)?}));
        let mut at = 0;
        let mut add = |name: &str, dtype: Dtype, shape: &[usize]| {
            let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            header.insert(
                name.into(),
                serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [at, at + bytes]}),
            );
            at += bytes;
        };
        pieces.iter().for_each(|p| add(&p.name, p.dtype, &p.shape));
        add(CHECKSUM, Dtype::U8, &[4]);
        let mut text = serde_json::Value::Object(header).to_string();
        text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));

        let mut sum = crc32fast::Hasher::new();
        let mut put = |bytes: &[u8]| {
            sum.update(bytes);
            out.write_all(bytes).map_err(Failure::Io)
        };
        put(&(text.len() as u64).to_le_bytes())?;
        put(text.as_bytes())?;
        for piece in pieces {
            match piece.what {
                Content::Bytes(bytes) => put(bytes)?,
                Content::Slot(kind, slot) => put(&self.lock().read(kind, slot).map_err(Failure::Engine)?)?,
            }
        }
        let sum = sum.finalize();
        out.write_all(&sum.to_le_bytes()).map_err(Failure::Io)
    }

    /// Replaces the state of this predictor by a state that [`VideoPredictor::save_state`] wrote. The model must be the
    /// same. The frames of a video must be given again. The kept frames of a stream are part of the state. After an
    /// error the predictor is unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the bytes are damaged, or not a state of this model and these frames. [`Error::OutOfMemory`]
    /// if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn load_state(&mut self, bytes: &[u8]) -> Result<()> {
        let cut = |e: &dyn std::fmt::Display| wrong(format!("cut short or not a saved state: {e}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| cut(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| cut(&e))?;
        let text = header.metadata().as_ref().and_then(|m| m.get("state"));
        let text = text.ok_or_else(|| wrong("not one: there is no bookkeeping in it"))?;
        let (body, sum) = bytes.split_at(bytes.len() - 4);
        if file.tensor(CHECKSUM).is_err() || crc32fast::hash(body).to_le_bytes() != *sum {
            return Err(wrong("damaged: its checksum does not fit"));
        }
        let saved: Saved = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let model = format!("{:016x}", self.fingerprint);
        if saved.version != VERSION || saved.model != model {
            let what = format!("of version {} and model {}, wanted {VERSION} and {model}", saved.version, saved.model);
            return Err(wrong(what));
        }
        let sides = 1..=MAX_SIDE;
        let sized = sides.contains(&saved.height) && sides.contains(&saved.width);
        let empty = (saved.len, saved.height, saved.width) == (0, 0, 0);
        if !(empty || sized && (1..MOST_FRAMES).contains(&saved.len)) {
            return Err(wrong(format!("{} frames of {}x{} pixels", saved.len, saved.width, saved.height)));
        }
        let source = self.saved_source(&saved, &file)?;
        if saved.ids.len() != saved.objects.len() || saved.ids.iter().collect::<BTreeSet<_>>().len() != saved.ids.len()
        {
            return Err(wrong("objects and their numbers do not fit"));
        }
        let objects = saved
            .objects
            .iter()
            .enumerate()
            .map(|(i, o)| self.saved_object(i, o, &saved, &file))
            .collect::<Result<_>>()?;
        (self.source, self.size) = (source, Size::new(saved.width, saved.height));
        (self.ids, self.objects) = (saved.ids, objects);
        Ok(())
    }

    fn saved_source(&self, saved: &Saved, file: &SafeTensors<'_>) -> Result<Source> {
        let size = Size::new(saved.width, saved.height);
        let Size { width, height } = size;
        match &self.source {
            Source::Given { .. } if !saved.stream => {
                if (self.source.len(), self.size) != (saved.len, size) {
                    let (len, here) = (self.source.len(), self.size);
                    return Err(wrong(format!("of {} frames of {size}, this video has {len} of {here}", saved.len)));
                }
                Ok(self.source.clone())
            }
            Source::Pushed(own) if saved.stream => {
                if saved.kept.len() > saved.len {
                    return Err(wrong("more frames kept than there were"));
                }
                let mut source = Pushed {
                    retention: own.retention,
                    size: (saved.len > 0).then_some(size),
                    len: saved.len - saved.kept.len(),
                    kept: VecDeque::<Kept>::new(),
                    spare: None,
                    row: Vec::new(),
                };
                for (i, format) in saved.kept.iter().enumerate() {
                    let picture = match format {
                        None => None,
                        Some(format) => {
                            let pixels = tensor(file, &format!("frame.{i}"), Dtype::U8)?.to_vec();
                            let picture = Picture { pixels, width, height, format: *format };
                            picture.frame().map_err(|e| wrong(e.to_string()))?;
                            if picture.pixels.len() != format.row_bytes(0, width) * height {
                                return Err(wrong(format!("frame.{i} is not of {size} pixels")));
                            }
                            Some(Arc::new(picture))
                        }
                    };
                    source.push(picture);
                }
                Ok(Source::Pushed(source))
            }
            _ => Err(wrong("of a stream where frames are given, or the other way round")),
        }
    }

    fn saved_object(&self, i: usize, saved: &SavedObject, all: &Saved, file: &SafeTensors<'_>) -> Result<Object> {
        let mut object = Object {
            tracked: saved.tracked.iter().map(|(&f, &reverse)| (f, reverse)).collect(),
            corrected: saved.corrected.clone(),
            ..Object::default()
        };
        for (&frame, points) in &saved.points {
            let point = |&(x, y, label): &(u32, u32, i32)| Point { x: f32::from_bits(x), y: f32::from_bits(y), label };
            let points: Vec<Point> = points.iter().map(point).collect();
            if points.iter().any(|p| !p.x.is_finite() || !p.y.is_finite() || !(-1..=3).contains(&p.label)) {
                return Err(wrong("a point that is none"));
            }
            object.points.insert(frame, points);
        }
        for (kind, outputs) in saved.outputs.iter().enumerate() {
            for out in outputs {
                let slot = |what: &str, dtype, content: Kind| {
                    let (bytes, size) =
                        (tensor(file, &name(i, kind, out.frame, what), dtype)?, content.bytes(&self.config));
                    if bytes.len() != size {
                        return Err(wrong(format!("{what} of {} bytes, wanted {size}", bytes.len())));
                    }
                    self.lock().write(content, bytes)
                };
                if out.frame >= all.len {
                    return Err(wrong(format!("frame {} of {}", out.frame, all.len)));
                }
                // What is to be remembered has a mask, and a frame to be remembered with; what is attended to, a memory.
                let place = (out.frame + all.kept.len()).checked_sub(all.len);
                let there = !all.stream || place.and_then(|i| all.kept.get(i)).is_some_and(Option::is_some);
                if (kind >= 2 && !(out.low_res && there)) || (kind == 0 && !out.memory) {
                    return Err(wrong(format!("frame {} lacks what it needs", out.frame)));
                }
                let mask = out.low_res.then(|| slot("low_res", Dtype::F32, Kind::Mask)).transpose()?;
                let memory = out.memory.then(|| slot("memory", Dtype::BF16, Kind::Map)).transpose()?;
                let pointer = slot("pointer", Dtype::F32, Kind::Pointer)?;
                let output = Output { mask, score: f32::from_bits(out.score), pointer, memory };
                match kind {
                    0 => object.cond.put(out.frame, output),
                    1 => object.non_cond.insert(out.frame, output),
                    _ => object.temp[kind - 2].put(out.frame, output),
                }
            }
        }
        Ok(object)
    }
}

/// Returns the bytes of a tensor of the file.
fn tensor<'a>(file: &SafeTensors<'a>, name: &str, dtype: Dtype) -> Result<&'a [u8]> {
    let tensor = file.tensor(name).map_err(|_| wrong(format!("tensor {name} is missing")))?;
    if tensor.dtype() != dtype {
        return Err(wrong(format!("tensor {name} is of type {:?}, wanted {dtype:?}", tensor.dtype())));
    }
    Ok(tensor.data())
}

enum Failure {
    Engine(Error),
    Io(std::io::Error),
}
