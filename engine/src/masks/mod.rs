//! Output masks and mask files: buffers, label maps, run lengths and outlines.

pub mod buffer;
pub mod labels;
pub mod polygons;
pub mod rle;
