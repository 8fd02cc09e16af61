//! Automatic masks: masks of all objects in an image, as `SAM2AutomaticMaskGenerator` generates them.

mod batch;
mod generator;
mod grid;
mod masks;
mod nms;
mod options;

pub use batch::AutomaticMaskBatch;
pub use generator::AutomaticMaskGenerator;
pub use masks::{AutomaticMask, AutomaticMasks, GenerateControl, Progress};
pub use options::{AutomaticMaskGeneratorOptions, MAX_GRID_POINTS};
