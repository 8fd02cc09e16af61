//! The frames of a video: images in memory, image files, folders of them, and video files.

mod ahead;
mod every;
mod folder;
mod names;
mod options;
mod ppm;
mod scan;
mod sequence;
mod video;

pub use folder::{is_hidden, natural_order};
pub use options::FramesOptions;
pub use sequence::Frames;
