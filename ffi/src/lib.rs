//! The C interface of sam2. A test generates `include/sam2.h` from this crate, so the documentation of public items is
//! written for C programmers.
//!
//! Every function looks up its handles, works with panics caught, and returns a status. Results are copied to the
//! caller or owned by a handle. The only pointers into the library are static strings, and the pixels of a decoded
//! image file.
//!
//! # Contract of callers
//!
//! The exported functions are unsafe for the same reason, which their `SAFETY` comments cite as "contract of callers":
//! the caller passes pointers as the documentation of the parameter, and the head of the header, describe them.
//!
//! - A pointer is NULL where that is allowed, or points to as many valid, aligned elements as documented, writable if
//!   they are results. NULL where it is not allowed is tolerated and reported.
//! - A string ends with a NUL.
//! - A struct that begins with `struct_size` has that many bytes. The pointers in it obey the same rules.
//! - Memory remains valid, and is not used by others, until the call returns or the job ends. A workspace remains valid
//!   until its predictors are destroyed.
//!
//! Handles need no promise: they are numbers that are looked up.
//!
//! # Contract of callbacks
//!
//! The `SAFETY` comments of calls to C cite the "contract of callbacks": the function pointer is valid, may be called
//! on the threads that its documentation names with the `user` pointer that came with it, and returns without
//! unwinding. What the library passes to a callback is valid until the callback returns.

// Pointers are documented by `@param`, for C.
#![allow(clippy::missing_safety_doc)]
// Documentation is that of the header, in the syntax of Doxygen.
#![allow(clippy::doc_markdown)]

mod allocator;
mod arguments;
mod exclusive;
mod floats;
mod handles;
mod options;
#[cfg(test)]
mod panics;
mod sent;

// The following order is that of the header.

mod library;
pub use library::*;

mod error;
pub use error::*;

mod device;
pub use device::*;

mod model;
pub use model::*;

mod image;
pub use image::*;

mod prompt;
pub use prompt::*;

mod mask_buffer;
pub use mask_buffer::*;

mod image_predictor;
pub use image_predictor::*;

mod video_predictor;
pub use video_predictor::*;

mod features;
pub use features::*;

mod automatic_mask_generator;
pub use automatic_mask_generator::*;

mod job;
pub use job::*;

mod limits;
pub use limits::*;

mod dlpack;
pub use dlpack::*;

mod mask;
pub use mask::*;
