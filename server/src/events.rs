//! Server-sent events.

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// A comment comes after this time without an event, so that proxies keep the connection.
const ALIVE: Duration = Duration::from_secs(15);

type Writer<T> = Box<dyn Fn(&T) -> Event + Send>;

/// An answer with the events that a channel gives. The channel is closed when the client goes away.
pub fn response<T: Send + 'static>(from: Receiver<T>, event: impl Fn(&T) -> Event + Send + 'static) -> Response {
    let next = |(mut from, event): (Receiver<T>, Writer<T>)| async move {
        let told = from.recv().await?;
        Some((Ok::<_, Infallible>(event(&told)), (from, event)))
    };
    let start: (Receiver<T>, Writer<T>) = (from, Box::new(event));
    let events = Sse::new(futures_util::stream::unfold(start, next)).keep_alive(KeepAlive::new().interval(ALIVE));
    ([("x-accel-buffering", "no")], events).into_response()
}
