//! Predicts how long a launch of a CUDA kernel takes on an H200, from the machine code.
//!
//! Nothing here runs on a GPU. A partial interpreter ([`interpreter`]) finds the instructions that the warps of a few
//! blocks execute. A model of one SM ([`sm`]) executes them, with the stall counts and scoreboards that the assembler
//! wrote and with the pipes and latencies of [`machine`]. [`predict`] computes the time of the whole grid.

mod access;
mod arithmetic;
mod branches;
mod cache;
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
mod predicates;
pub mod predict;
pub mod registers;
pub mod sass;
pub mod setting;
pub mod sm;
mod sources;
pub mod trace;
