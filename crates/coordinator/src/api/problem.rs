//! Errors of the API (RFC 9457), and bodies that are read into them.

use std::time::Duration;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{StatusCode, header};
use model::monitor::FieldError;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::StoreError;

use crate::registry::Refused;

/// An error as the API tells it (RFC 9457).
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// Stable; the last part names the kind.
    #[serde(rename = "type")]
    #[schemars(regex(pattern = "^urn:parallax:problem:[a-z-]+$"))]
    kind: String,
    title: &'static str,
    /// The status of the answer again.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// The problem and the way out.
    detail: String,
    /// The fields that are wrong, all of them at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// When to ask again, seconds: the header `Retry-After`.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:parallax:problem:{kind}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The same, and when to ask again.
    pub(super) fn after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(
            pause
                .as_millis()
                .div_ceil(1000)
                .max(1)
                .try_into()
                .unwrap_or(u64::MAX),
        );
        self
    }

    pub(super) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub(super) fn no_monitor(id: &str) -> Self {
        let detail = format!("there is no monitor {}", model::text::line(id, 64));
        Self::new(StatusCode::NOT_FOUND, "no-such-monitor", detail)
    }

    /// Fields that are wrong, all of them at once.
    pub(super) fn fields(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-fields",
            "the body is well-formed, but fields of it are wrong",
        );
        problem.errors = errors;
        problem
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Fields(errors) => Self::fields(errors),
            Refused::InFile(_) => Self::new(StatusCode::CONFLICT, "in-file", detail),
            Refused::Full => {
                let status = StatusCode::INSUFFICIENT_STORAGE;
                Self::new(status, "too-many-monitors", detail)
            }
            Refused::Unknown(id) => Self::no_monitor(id.as_str()),
            Refused::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        let media = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, media, body).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "storage",
            error.to_string(),
        )
    }
}

/// The `{id}` of a path.
#[derive(Debug)]
pub(super) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id))
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "path", "the path is not UTF-8"))
    }
}

/// An error about a body: the field, unless the message names it, and what is wrong with it.
pub(super) fn told(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let at = error.path().to_string();
    let problem = error.inner().to_string();
    let text = if at == "." || problem.contains(" field `") {
        problem
    } else {
        format!("{at}: {problem}")
    };
    model::text::line(&text, 300)
}

/// A JSON body, read into `T`.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        let essence = media.map(|media| media.split(';').next().unwrap_or_default().trim());
        if essence != Some("application/json") {
            let detail = "send the body as content-type: application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "media-type", detail));
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error| match error {
                BytesRejection::FailedToBufferBody(error) if error.status() == 413 => {
                    let detail = "the body is larger than 64 KiB";
                    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
                }
                error => Problem::new(StatusCode::BAD_REQUEST, "body", error.to_string()),
            })?;
        let invalid =
            |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", detail);
        let mut json = serde_json::Deserializer::from_slice(&body);
        let read = serde_path_to_error::deserialize(&mut json).and_then(|read| {
            let whole = |error| {
                let path = serde_path_to_error::Track::new().path();
                serde_path_to_error::Error::new(path, error)
            };
            json.end().map(|()| read).map_err(whole)
        });
        let read = read.map_err(|error| {
            let detail = told(&error);
            match error.inner().classify() {
                serde_json::error::Category::Data => invalid(detail),
                serde_json::error::Category::Io
                | serde_json::error::Category::Syntax
                | serde_json::error::Category::Eof => {
                    Problem::new(StatusCode::BAD_REQUEST, "not-json", detail)
                }
            }
        })?;
        // Serde reads a list of values as a struct too; nobody means that.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(invalid("the body is no JSON object".to_owned()));
        }
        Ok(Self(read))
    }
}
