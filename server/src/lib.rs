//! The HTTP server of sam2.
//!
//! The modules, each of which uses only those above it:
//!
//! - `lock`, `metrics`, `spent`, `schedule`: mutexes, counters, and units of work on the threads that own predictors.
//! - `problem`, `ids`, `access`, `guard`, `body`, `extract`, `events`: errors, names, the log, who may ask, what requests have, and
//!   server-sent events.
//! - `masks`, `images`: masks in JSON, and images with their features.
//! - `jpeg`, `parts`, `videos`: frames as JPEG, files for the time of a request, and videos on disk.
//! - `lane`, `tracks`, `sessions`, `tracking`: sessions, their masks and their units of work.
//! - `projects`, `fetch`: files that clients save, and images on another server.
//! - `options`, `app`: the limits, and what all routes share.
//! - `work`: images and their masks, from requests to lanes.
//! - `everything`, `propagate`: work that takes long and tells of itself.
//! - `effects`, `export`: files with the masks of a session.
//! - `page`: the files of the page.
//! - `routes`: the routes.
//! - `compat`: requests of clients of other servers.
//! - `http`: what every request passes.
//! - `listen`: connections, and the end of the server.

pub mod access;
pub mod app;
pub mod body;
pub mod compat;
pub mod effects;
pub mod events;
pub mod everything;
pub mod export;
pub mod extract;
pub mod fetch;
pub mod guard;
pub mod http;
pub mod ids;
pub mod images;
pub mod jpeg;
pub mod lane;
pub mod listen;
pub mod lock;
pub mod masks;
pub mod metrics;
pub mod options;
pub mod page;
pub mod parts;
pub mod problem;
pub mod projects;
pub mod propagate;
pub mod routes;
pub mod schedule;
pub mod sessions;
pub mod spent;
pub mod tracking;
pub mod tracks;
pub mod videos;
pub mod work;
