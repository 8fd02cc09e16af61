//! The C ABI: `include/sam2.h` is made of this crate, and its documentation is for people who read that.
//!
//! Every function looks its handles up, does its work with panics caught, and returns a status. What a caller gets is
//! either copied into memory of theirs or a handle; nothing that they hold points into the library, but for texts that never
//! change.

mod allocator;
mod arguments;
mod automatic;
mod device;
mod dlpack;
mod floats;
mod handles;
mod image;
mod image_predictor;
mod job;
mod library;
mod masks;
mod model;
mod options;
#[cfg(test)]
mod panics;
mod picture;
mod prompts;
mod rle;
mod status;
mod track;
mod video;

pub use automatic::*;
pub use device::*;
pub use dlpack::*;
pub use image::*;
pub use image_predictor::*;
pub use job::*;
pub use library::*;
pub use masks::*;
pub use model::*;
pub use picture::*;
pub use prompts::*;
pub use rle::*;
pub use status::*;
pub use track::*;
pub use video::*;
