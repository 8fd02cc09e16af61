//! The routes by what they are about.

pub mod created;
pub mod images;
pub mod server;
pub mod sessions;
pub mod videos;
