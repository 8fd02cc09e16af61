//! The subcommands, one module each. They import the modules beside this one. Those never import a command.

pub mod auto;
pub mod bench;
pub mod convert;
pub mod doctor;
pub mod encode;
pub mod eval;
pub mod info;
pub mod segment;
#[cfg(feature = "serve")]
pub mod serve;
pub mod track;
pub mod vos;
