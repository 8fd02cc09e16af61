//! The C ABI: `include/sam2.h` is made of this crate, and its documentation is for people who read that.
//!
//! Every function looks its handles up, does its work with panics caught, and returns a status. What a caller gets is
//! either copied into memory of theirs or a handle; nothing that they hold points into the library, but for texts that never
//! change.

mod handles;
mod image;
mod model;
mod options;
#[cfg(test)]
mod panics;
mod picture;
mod predictor;
mod prompts;
mod status;
mod video;

pub use image::*;
pub use model::*;
pub use picture::*;
pub use predictor::*;
pub use prompts::*;
pub use status::*;
pub use video::*;
