//! Predicts how long a launch of a CUDA kernel takes on an H200, from the machine code that the assembler made.
//!
//! Nothing here runs on a GPU. A partial interpreter ([`interpreter`]) finds out which instructions the warps of a few blocks
//! execute; a model of one SM ([`sm`]) executes them with the stall counts and scoreboards that the assembler wrote, and
//! with the pipes and latencies of [`machine`]; [`predict`] makes a time of a whole grid of it.

mod access;
mod branches;
pub mod cubin;
pub mod decode;
pub mod extrapolate;
mod integer;
pub mod interpreter;
pub mod lanes;
pub mod launches;
pub mod library;
pub mod loops;
pub mod machine;
pub mod memory;
pub mod predict;
pub mod registers;
pub mod sass;
pub mod setting;
pub mod sm;
pub mod trace;
