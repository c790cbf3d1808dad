//! The OpenAPI 3.1 document: operations from `routes`, schemas from the types that are answered.

mod schemas;
#[cfg(test)]
mod tests;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::keys::Scope;
use super::operation::{Body, Operation, Type};
use super::problem::Problem;
use schemas::Schemas;
pub(crate) use schemas::Time;

/// The document, written once.
#[derive(Debug, Clone)]
pub(super) struct Document(Bytes);

impl Document {
    pub(super) fn of<S: Send + Sync + 'static>(operations: &[Operation<S>]) -> Self {
        Self(document(operations).to_string().into())
    }
}

pub(super) async fn show(Extension(Document(text)): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The whole document.
fn document<S: Send + Sync + 'static>(operations: &[Operation<S>]) -> Value {
    let mut schemas = Schemas::new();
    let mut problems = Map::new();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        for status in operation.problems() {
            let told = problem(status, &mut schemas);
            problems.insert(problem_name(status), told);
        }
        let told = told(operation, &mut schemas);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = told;
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Parallax",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "What a mesh of agents sees of MCP servers",
            "description": "Times are RFC 3339 UTC, lengths of time texts such as `10s`. Every \
                error is a problem document (RFC 9457); so is the answer to an unknown path (404) \
                and to a method that a path does not have (405).",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "responses": problems,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of the API, `plxk_…`, with the scope `read`, `probe` or `admin`",
                },
            },
        },
    })
}

fn told<S: Send + Sync + 'static>(operation: &Operation<S>, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    for (status, body) in &operation.answers {
        let mut told = answer(*status, *body, schemas);
        if operation.has_etag {
            told["headers"] = json!({ "ETag": {
                "description": "The monitor's generation",
                "schema": { "type": "string" },
            } });
        }
        responses.insert(status.as_str().to_owned(), told);
    }
    for status in operation.problems() {
        let name = problem_name(status);
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        responses.insert(status.as_str().to_owned(), reference);
    }
    let security = if operation.is_open {
        json!([])
    } else {
        json!([{ "key": [Scope::needed(&operation.method, operation.path)] }])
    };
    let mut told = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation.path)],
        "security": security,
        "responses": responses,
    });
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        told["parameters"] = parameters.into();
    }
    if let Some(body) = operation.request {
        told["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schemas.request(body) } },
        });
    }
    told
}

/// The kind of thing that a path is about.
fn tag(path: &str) -> &str {
    let kind = path.strip_prefix("/api/v1/").unwrap_or_default();
    match kind.split('/').next() {
        Some("" | "openapi.json") | None => "coordinator",
        Some(kind) => kind,
    }
}

fn parameters<S>(operation: &Operation<S>) -> Vec<Value> {
    let of_path = operation.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        let schema = json!({ "type": "string" });
        Some(json!({ "name": name, "in": "path", "required": true, "schema": schema }))
    });
    let of_query = operation.query.iter().map(|query| {
        json!({
            "name": query.name,
            "in": "query",
            "description": query.summary,
            "schema": query.schema,
        })
    });
    of_path.chain(of_query).collect()
}

fn answer(status: StatusCode, body: Body, schemas: &mut Schemas) -> Value {
    let description = status.canonical_reason().unwrap_or_default();
    match body {
        Body::Empty => json!({ "description": description }),
        Body::Json(body) => {
            let schema = schemas.answer(body);
            let content = json!({ "application/json": { "schema": schema } });
            json!({ "description": description, "content": content })
        }
        Body::Text(media) => {
            let content = json!({ media: { "schema": { "type": "string" } } });
            json!({ "description": description, "content": content })
        }
    }
}

/// What a problem is called among the components: `NotFound`.
fn problem_name(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    reason.chars().filter(char::is_ascii_alphabetic).collect()
}

fn problem(status: StatusCode, schemas: &mut Schemas) -> Value {
    let schema = schemas.answer(Type::of::<Problem>());
    let mut told = json!({
        "description": status.canonical_reason().unwrap_or_default(),
        "content": { "application/problem+json": { "schema": schema } },
    });
    if status == StatusCode::UNAUTHORIZED {
        told["headers"] = json!({ "WWW-Authenticate": {
            "description": "`Bearer`",
            "schema": { "type": "string" },
        } });
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        told["headers"] = json!({ "Retry-After": {
            "description": "When to ask again, seconds",
            "schema": { "type": "integer", "minimum": 1 },
        } });
    }
    told
}
