//! The common parts of image and video predictors: prompts, and the queue of work on a device.

pub mod features;
pub mod prompt;
pub(crate) mod queue;
pub(crate) mod staging;
