//! Requests of clients of other servers, answered from the same images and lanes as the server's own API.
//!
//! Each client has a file with its paths, its requests and its errors. Which are on is an option of the server. Who may ask
//! is checked as for all other paths: a key comes in a header, and never in a body or in an address.

pub mod brush;
pub mod image_demo;
pub mod label_config;
pub mod label_studio;
pub mod meta;
pub mod outlines;
pub mod roboflow;
pub mod x_anylabeling;

pub use crate::options::Compat;

use crate::app::App;
use axum::Router;
use std::sync::Arc;

/// The routes of the clients that are on.
pub fn router(app: &App) -> Router<Arc<App>> {
    let on = Compat::ALL.map(|(_, compat)| compat).into_iter().filter(|compat| app.options.compat.contains(compat));
    on.fold(Router::new(), |router, compat| {
        router.merge(match compat {
            Compat::Meta => meta::router(),
            Compat::ImageDemo => image_demo::router(),
            Compat::LabelStudio => label_studio::router(),
            Compat::Roboflow => roboflow::router(),
            Compat::XAnyLabeling => x_anylabeling::router(),
        })
    })
}
