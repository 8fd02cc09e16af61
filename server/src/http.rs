//! The routes, and what every request passes.

use crate::access::{self, Access};
use crate::app::App;
use crate::body::MAX_JSON;
use crate::compat;
use crate::page;
use crate::problem::Problem;
use crate::routes::{images, server, sessions, videos};
use crate::spent;
use axum::Router;
use axum::body::HttpBody;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// What pages of allowed origins may send.
const CORS: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, x-api-key"),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
];

/// The routes.
pub fn router(app: Arc<App>) -> Router {
    let api = server::api().merge(images::api()).merge(videos::api()).merge(sessions::api());
    let routes: Router<Arc<App>> =
        server::router().merge(page::router()).nest("/api/v1", api).merge(compat::router(&app));
    routes
        .fallback(async || Problem::not_found("no such path"))
        .method_not_allowed_fallback(async || Problem::method("the path takes other methods"))
        .layer(DefaultBodyLimit::max(MAX_JSON))
        .layer(RequestBodyTimeoutLayer::new(app.options.body_timeout))
        .layer(middleware::from_fn_with_state(app.clone(), pass))
        .with_state(app)
}

/// Checks who asks, before the body is read, and adds the headers of every answer.
async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let path = request.uri().path();
    let method = request.method().clone();
    let origin = request.headers().get(header::ORIGIN).filter(|origin| app.options.guard.allows(origin)).cloned();
    // A browser asks without a key whether a page of an allowed origin may ask with one.
    let asks = origin.is_some()
        && method == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let public = asks || page::is_file(path) || server::is_public(&app, path);
    // The page of Meta's demo sends its requests with credentials, of which the server has none, and shows pictures and
    // videos of the server.
    let credentials = path == "/graphql";
    let shared = !app.options.guard.origins.is_empty() && compat::meta::is_file(path);
    // A path that matches no route is not counted by its name, which the client chooses.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_string();
    let id = access::request_id(request.headers());
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|client| client.0.ip());
    let session = access::session_of(path).map(String::from);
    let mut times = Default::default();
    let mut answer = match app.options.guard.check(request.method(), request.headers(), public) {
        Ok(()) if asks => (StatusCode::NO_CONTENT, CORS).into_response(),
        Ok(()) if app.is_closing() && !public => Problem::draining("no new work is taken").into_response(),
        Ok(()) => {
            let answer;
            (answer, times) = spent::count(next.run(request)).await;
            answer
        }
        Err(problem) => {
            app.metrics.rejected("guard");
            problem.into_response()
        }
    };
    for (name, value) in [
        ("content-security-policy", "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", if shared { "same-site" } else { "same-origin" }),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if !app.options.guard.origins.is_empty() {
        answer.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = origin {
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if credentials {
            answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
    let (status, time) = (answer.status().as_u16(), begun.elapsed());
    app.metrics.answered(&route, status, time);
    let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    Access {
        id: id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default(),
        client,
        method: method.as_str(),
        route: &route,
        session: session.as_deref(),
        status,
        bytes: length.or_else(|| answer.body().size_hint().exact()),
        time,
        spent: times,
    }
    .log(app.options.log_json);
    if let Some(id) = id {
        answer.headers_mut().insert(access::REQUEST_ID, id);
    }
    answer
}
