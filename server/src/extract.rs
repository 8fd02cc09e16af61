//! Parts of paths and queries, whose errors are problems.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The parameters of a path. One that has no meaning names nothing, which is `not-found`.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        found.map(|found| Path(found.0)).map_err(|e| Problem::not_found(e.body_text()))
    }
}

/// The parameters of a query. A query that cannot be read is a `request` problem.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Problem> {
        let found = axum::extract::Query::from_request_parts(parts, state).await;
        found.map(|found| Query(found.0)).map_err(|e| Problem::request(e.body_text()))
    }
}
