//! The interface between a video predictor and its device.

use super::bank::{Kind, Slot};
use super::object::{MemoryContext, Output};
use crate::backend::{Counters, MemoryUse, ProbeFn, Selection, StageTime};
use crate::error::Result;
use crate::masks::buffer::{Extent, MaskOut};
use crate::media::frame::Frame;
use crate::media::picture::Picture;
use crate::media::size::Size;
use crate::session::features::StoredFeatures;
use crate::session::prompt::Point;
use std::sync::Arc;

/// The prompt of an object on the current frame.
#[derive(Clone, Copy)]
pub(crate) enum StepPrompt<'a> {
    /// No prompt: the object is tracked.
    Nothing,
    /// Points in 0..1, and optionally the logits of an earlier mask.
    Points(&'a [Point], Option<&'a [f32]>),
    /// A mask of the model's input size, with values 0 and 1, and its logits `(mask_side, mask_side)`.
    Mask(&'a [f32], &'a [f32]),
}

/// An object on the current frame, and its results.
pub(crate) struct ObjectStep<'a> {
    /// The memories. `None` if the frame is the first of the object.
    pub context: Option<MemoryContext>,
    pub prompt: StepPrompt<'a>,
    /// Whether the new pointer is that of an object that is not visible.
    pub absent: bool,
    /// Output: the mask.
    pub mask: Option<Slot>,
    /// Output: above 0 if the object is visible.
    pub score: f32,
    /// Output: the pointer.
    pub pointer: Option<Slot>,
    /// Output: the memory of the frame, if the options require it.
    pub memory: Option<Slot>,
}

impl<'a> ObjectStep<'a> {
    pub fn new(context: Option<MemoryContext>, prompt: StepPrompt<'a>, absent: bool) -> Self {
        ObjectStep { context, prompt, absent, mask: None, score: 0.0, pointer: None, memory: None }
    }
}

/// Options for decoding the objects of a step.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct StepOptions {
    pub selection: Selection,
    /// Whether the memories of the frame are encoded from the new masks.
    pub encode_memory: bool,
    /// Holes of a mask of at most this number of pixels are filled.
    pub fill_hole_area: f32,
}

/// A mask that is written and measured.
pub(crate) enum OutputMask {
    /// The result of the step with this index.
    Step(usize),
    /// A mask of the bank.
    Stored(Slot),
    /// The mask of an object without an output on the frame. No pixel is on the object.
    Nothing,
}

impl OutputMask {
    /// Returns the mask of an object's output on the frame.
    pub(super) fn of(output: Option<&Output>) -> Self {
        output.and_then(|output| output.mask.clone()).map_or(OutputMask::Nothing, OutputMask::Stored)
    }
}

/// Masks that are written and measured.
#[derive(Default)]
pub(crate) struct OutputRequest<'a, 'o> {
    pub masks: &'a [OutputMask],
    /// The ids of the objects of the masks.
    pub ids: &'o [i64],
    /// The size of the video. The masks are measured at this size.
    pub size: Size,
    /// The buffers for the masks. Each buffer gets the masks that it has room for.
    pub outs: [Option<MaskOut<'o>>; 2],
}

/// The frame that will probably be encoded next: its key, and a function that returns its pixels if the frame is
/// decoded.
pub(crate) type NextFrame<'a> = Option<(u64, &'a dyn Fn() -> Option<Arc<Picture>>)>;

/// A queue of work on a device, with the features of the current frame and the memory bank.
pub(crate) trait VideoWorker: Send {
    /// Returns the key of the frame whose features are stored.
    fn current(&self) -> Option<u64>;
    /// Makes room for `objects` objects with one conditioning frame each, and for slots of every kind. Returns whether
    /// the device records work.
    fn reserve(&mut self, objects: usize, slots: [usize; 3]) -> Result<bool>;
    /// Encodes a frame and makes it the current frame.
    fn encode(&mut self, key: u64, frame: &Frame<'_>) -> Result<()>;
    /// Takes the features of the current frame out of the worker, which then has no current frame.
    fn take_features(&mut self) -> Result<StoredFeatures>;
    /// Returns the id of the network.
    fn network(&self) -> u64;
    /// Makes the frame of these features the current one.
    fn set_features(&mut self, key: u64, features: StoredFeatures) -> Result<()>;
    /// Returns whether masks may be written to a GPU's memory.
    fn takes_device_memory(&self) -> bool;
    /// Decodes objects on the current frame, all with memories or all without, and writes masks. The call waits once
    /// for the device. Before the wait, the worker starts to copy the pixels of `next` to the device. Encoding `next`
    /// then need not wait for the copy. The extents of the masks are written to `extents`.
    fn step_objects(
        &mut self,
        steps: &mut [ObjectStep<'_>],
        options: StepOptions,
        output: OutputRequest<'_, '_>,
        next: NextFrame<'_>,
        extents: &mut Vec<Extent>,
    ) -> Result<()>;
    /// Encodes the memory of a mask on the current frame. With `binary`, the mask is made binary first.
    fn encode_memory(&mut self, mask: &Slot, score: f32, binary: bool) -> Result<Slot>;
    /// Returns the bytes of a slot.
    fn read(&mut self, kind: Kind, slot: &Slot) -> Result<Vec<u8>>;
    /// Takes a slot and writes these bytes to the slot. The number of bytes must be that of the slot.
    fn write(&mut self, kind: Kind, bytes: &[u8]) -> Result<Slot>;
    /// Waits for all enqueued work.
    fn synchronize(&mut self) -> Result<()>;
    fn set_probe(&mut self, probe: Option<ProbeFn>);
    /// Starts to measure every stage, or stops and returns the measurements.
    fn profile(&mut self, on: bool) -> Vec<StageTime>;
    fn counters(&self) -> Counters;
    /// Returns the memory in use on the device, and the memory in use on the host for memories.
    fn memory_use(&self) -> MemoryUse;
}
