//! Masks of objects in one image.

pub(crate) mod batch;
mod filter;
pub mod prediction;
pub mod predictor;
pub mod worker;
