//! One operation of the API, told once: the router and the document are both made of it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{Method, StatusCode};
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::Hub;

/// A type of the document: what it is called and how its schema is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    pub(super) name: fn() -> Cow<'static, str>,
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Type {
    pub(super) fn of<T: JsonSchema>() -> Self {
        Self {
            name: T::schema_name,
            schema: SchemaGenerator::subschema_for::<T>,
        }
    }
}

/// What an answer carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Empty,
    Json(Type),
    /// A text of this media type.
    Text(&'static str),
}

/// A parameter of the query.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) schema: Value,
}

/// What answers a method of a path, and what the document says of it.
#[derive(Debug)]
pub(super) struct Operation<S> {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) handler: MethodRouter<Arc<Hub<S>>>,
    /// What programs call it.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// Whether it is answered without a key.
    pub(super) is_open: bool,
    pub(super) request: Option<Type>,
    pub(super) query: Vec<Query>,
    pub(super) answers: Vec<(StatusCode, Body)>,
    /// Whether the answer carries the generation as its `ETag`.
    pub(super) has_etag: bool,
    /// Problems beside those that every operation of its kind may have.
    more_problems: Vec<StatusCode>,
}

impl<S: Send + Sync + 'static> Operation<S> {
    fn new<H, T>(method: Method, filter: MethodFilter, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Hub<S>>>,
        T: 'static,
    {
        Self {
            method,
            path,
            handler: on(filter, handler),
            id: "",
            summary: "",
            is_open: false,
            request: None,
            query: Vec::new(),
            answers: Vec::new(),
            has_etag: false,
            more_problems: Vec::new(),
        }
    }

    pub(super) fn get<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Hub<S>>>) -> Self {
        Self::new(Method::GET, MethodFilter::GET, path, to)
    }

    pub(super) fn put<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Hub<S>>>) -> Self {
        Self::new(Method::PUT, MethodFilter::PUT, path, to)
    }

    pub(super) fn post<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Hub<S>>>) -> Self {
        Self::new(Method::POST, MethodFilter::POST, path, to)
    }

    pub(super) fn delete<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Hub<S>>>) -> Self {
        Self::new(Method::DELETE, MethodFilter::DELETE, path, to)
    }

    /// Its name for programs and its meaning for people.
    pub(super) fn named(mut self, id: &'static str, summary: &'static str) -> Self {
        self.id = id;
        self.summary = summary;
        self
    }

    /// Answered without a key.
    pub(super) fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Takes a JSON body.
    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        self.request = Some(Type::of::<T>());
        self
    }

    /// Takes a parameter of the query.
    pub(super) fn asks(mut self, name: &'static str, summary: &'static str, schema: Value) -> Self {
        self.query.push(Query {
            name,
            summary,
            schema,
        });
        self
    }

    /// Answers with JSON.
    pub(super) fn answers<T: JsonSchema>(self, status: StatusCode) -> Self {
        self.answers_with(status, Body::Json(Type::of::<T>()))
    }

    pub(super) fn answers_with(mut self, status: StatusCode, body: Body) -> Self {
        self.answers.push((status, body));
        self
    }

    /// Answers carry an `ETag`.
    pub(super) fn tagged(mut self) -> Self {
        self.has_etag = true;
        self
    }

    /// May end in these problems too.
    pub(super) fn or(mut self, problems: &[StatusCode]) -> Self {
        self.more_problems.extend(problems);
        self
    }

    /// Every problem that it may end in.
    pub(super) fn problems(&self) -> BTreeSet<StatusCode> {
        let mut all: BTreeSet<StatusCode> = self.more_problems.iter().copied().collect();
        if !self.is_open {
            // The key is looked up in the store.
            all.extend([StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE]);
            if self.method != Method::GET {
                all.insert(StatusCode::FORBIDDEN);
            }
        }
        if self.path.contains('{') {
            all.extend([StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND]);
        }
        if self.request.is_some() {
            all.extend([
                StatusCode::BAD_REQUEST,
                StatusCode::PAYLOAD_TOO_LARGE,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                StatusCode::UNPROCESSABLE_ENTITY,
            ]);
        }
        all
    }
}
