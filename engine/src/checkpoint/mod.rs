//! Weights by name, from Meta's safetensors or `.pt` files, from checkpoints of trainers, or from Hugging Face's files.
//!
//! Opening a checkpoint reads and checks the table of contents of each file. A tensor stays in the memory-mapped file
//! until a model takes it. Only a float64 tensor, and a tensor that is not stored row by row, is copied. All kinds of
//! files have Meta's names after opening.

mod data;
mod failure;
mod files;
mod foreign;
mod names;
mod pickle;
mod safetensors;
mod stored;
mod torch;
mod weights;
mod wrappers;

pub use files::{extension_is, files_with};
pub use weights::{Checkpoint, TensorData};
