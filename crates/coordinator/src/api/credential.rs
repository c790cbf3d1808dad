//! The credential of a monitor, replaced without touching the rest.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use store::Store;

use super::Shared;
use super::monitors::parse;
use super::problem::{Id, Json, Problem};
use crate::credentials::Given;

/// Takes another credential for the monitor, whoever manages its spec: generation, votes and verdict
/// stay. It is durable when this is answered.
pub(super) async fn put<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
    Json(given): Json<Given>,
) -> Result<Response, Problem> {
    hub.credentials.replace(parse(&id)?, given).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
