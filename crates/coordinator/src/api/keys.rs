//! Keys of the API: who may read, and who may change things.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, header};
use model::monitor::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Kind, Store, StoreError};

use super::Shared;
use super::openapi::Time;
use super::probes;
use super::problem::{Id, Json, Problem};
use crate::Hub;
use crate::keeper::millis;
use crate::secret;

/// In front of every key, so that scanners of repositories know one when they see it.
const PREFIX: &str = "plxk_";

/// Keys of one mesh.
const MAX_KEYS: usize = 1000;

/// What a key may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scope {
    /// Read everything but secrets, which nobody reads.
    Read,
    /// Run probes on demand too: what a pipeline needs, and no more.
    Probe,
    /// Change everything too.
    Admin,
}

impl Scope {
    /// The scope that a call needs.
    pub(super) fn needed(method: &Method, path: &str) -> Self {
        if matches!(*method, Method::GET | Method::HEAD) {
            Self::Read
        } else if path == probes::PATH {
            Self::Probe
        } else {
            Self::Admin
        }
    }
}

/// A key as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    name: String,
    scope: Scope,
    secret_sha256: String,
    created_at_ms: u64,
}

/// A key to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Key")]
pub(super) struct Wanted {
    /// For people: 1 to 64 letters, digits, `-`, `_` and `.`.
    name: String,
    scope: Scope,
}

/// A key as it is shown: once with its value, later without.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub(super) struct Shown {
    id: String,
    name: String,
    scope: Scope,
    #[schemars(with = "Time")]
    created_at: String,
    /// What to send as `Authorization: Bearer …`; shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// The keys of the API.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "KeyList")]
pub(super) struct Keys {
    keys: Vec<Shown>,
}

fn row(bytes: &[u8]) -> Result<Row, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Io("a key is damaged".to_owned()))
}

fn shown(id: String, row: Row, key: Option<String>) -> Shown {
    let created = i64::try_from(row.created_at_ms).unwrap_or_default();
    let created = jiff::Timestamp::from_millisecond(created).unwrap_or_default();
    Shown {
        id,
        name: row.name,
        scope: row.scope,
        created_at: created.to_string(),
        key,
    }
}

/// Makes a key; its id and its value.
async fn create_key<S: Store>(
    store: &S,
    name: &str,
    scope: Scope,
) -> Result<(String, Row, String), StoreError> {
    let io = |error: secret::NoRandomness| StoreError::Io(error.to_string());
    let (id, secret) = (secret::id().map_err(io)?, secret::new().map_err(io)?);
    let key = format!("{PREFIX}{id}_{secret}");
    let row = keep(store, &id, name, scope, &secret).await?;
    Ok((id, row, key))
}

async fn keep<S: Store>(
    store: &S,
    id: &str,
    name: &str,
    scope: Scope,
    secret: &str,
) -> Result<Row, StoreError> {
    let row = Row {
        name: name.to_owned(),
        scope,
        secret_sha256: secret::hash(secret),
        created_at_ms: millis(telemetry::clock::wall()),
    };
    let bytes = serde_json::to_vec(&row);
    let bytes = bytes.map_err(|_| StoreError::Io("a key cannot be written".to_owned()))?;
    let known = store.entry(Kind::ApiKey, id).await?;
    store
        .replace(Kind::ApiKey, id, known.as_deref(), Some(bytes))
        .await?;
    Ok(row)
}

/// The parts of a key: its id and its secret.
fn parts(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(PREFIX)?.split_once('_')
}

/// The id of the file's key: another key in the file takes the place of the one before.
const FILE_ID: &str = "file";

/// The key in a file opens everything: one that is there already, or a new one, so that a new mesh
/// can be set up by who may read the file, and by nobody else. To rotate it, remove the file.
pub(crate) async fn admin_key_file<S: Store>(store: &S, path: &Path) -> anyhow::Result<()> {
    let named = || format!("admin-key-file: {}", path.display());
    let text = match File::open(path) {
        Ok(mut file) => {
            let mode = file.metadata().with_context(named)?.mode() & 0o777;
            let way_out = "others may read it; run `chmod 600` on it";
            anyhow::ensure!(mode & 0o077 == 0, "{}: {way_out}", named());
            let mut text = String::new();
            file.read_to_string(&mut text).with_context(named)?;
            text
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = format!("{PREFIX}{FILE_ID}_{}", secret::new()?);
            write(path, &key).with_context(named)?;
            tracing::info!(path = %path.display(), "wrote a key that may do everything");
            key
        }
        Err(error) => return Err(error).with_context(named),
    };
    let (_, secret) = parts(text.trim())
        .filter(|(id, secret)| *id == FILE_ID && secret.len() >= 43)
        .with_context(|| format!("{}: holds no key; remove it to get a new one", named()))?;
    let known = store.entry(Kind::ApiKey, FILE_ID).await?;
    let known = known.map(|bytes| row(&bytes)).transpose()?;
    if !known.is_some_and(|row| secret::is(secret, &row.secret_sha256)) {
        keep(store, FILE_ID, "admin-key-file", Scope::Admin, secret).await?;
    }
    Ok(())
}

/// Whole and on the medium, or not at all.
fn write(path: &Path, key: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    writeln!(file, "{key}")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// The id of the key of a request: who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller(String);

impl Caller {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who calls: the name of the key.
#[derive(Debug, Clone)]
pub(super) struct Actor(pub(super) String);

/// Whose the key of a request is, and what it may do.
async fn caller<S: Store>(store: &S, headers: &HeaderMap) -> Result<(Caller, Row), Problem> {
    let refused = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "no-key", detail);
    let value = headers.get(header::AUTHORIZATION);
    let value = value.and_then(|value| value.to_str().ok()).ok_or_else(|| {
        refused("this needs a key: send `Authorization: Bearer plxk_…`; admin.key of the data folder is one")
    })?;
    let unknown = || refused("the key is not known; was it removed?");
    let (scheme, key) = value.split_once(' ').ok_or_else(unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("send the key as `Authorization: Bearer plxk_…`"));
    }
    let (id, secret) = parts(key.trim()).ok_or_else(unknown)?;
    let known = store.entry(Kind::ApiKey, id).await?.ok_or_else(unknown)?;
    let row = row(&known)?;
    if !secret::is(secret, &row.secret_sha256) {
        return Err(unknown());
    }
    Ok((Caller(id.to_owned()), row))
}

/// Lets a request through if its key may do it.
pub(super) async fn guard<S: Store>(
    State(hub): State<Arc<Hub<S>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let needed = Scope::needed(request.method(), request.uri().path());
    match caller(&hub.store, request.headers()).await {
        Ok((caller, row)) if row.scope >= needed => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(Actor(row.name));
            next.run(request).await
        }
        Ok((_, row)) if row.scope == Scope::Read && needed == Scope::Probe => {
            let detail = "this key may only read; use one with the scope probe, or admin";
            Problem::new(StatusCode::FORBIDDEN, "read-only-key", detail).into_response()
        }
        Ok((_, row)) if row.scope == Scope::Probe => {
            let detail = "this key may read and probe; use one with the scope admin";
            Problem::new(StatusCode::FORBIDDEN, "probe-only-key", detail).into_response()
        }
        Ok(_) => {
            let detail = "this key may only read; use one with the scope admin";
            Problem::new(StatusCode::FORBIDDEN, "read-only-key", detail).into_response()
        }
        Err(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                let challenge = http::HeaderValue::from_static("Bearer");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

pub(super) async fn create<S: Store>(
    State(hub): Shared<S>,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    if !model::monitor::is_id(&wanted.name) {
        let detail = "use 1 to 64 letters, digits, `-`, `_` and `.`";
        return Err(Problem::fields(vec![FieldError::new("/name", detail)]));
    }
    if hub.store.entries(Kind::ApiKey).await?.len() >= MAX_KEYS {
        let detail = format!("there are {MAX_KEYS} keys; remove some first");
        let status = StatusCode::INSUFFICIENT_STORAGE;
        return Err(Problem::new(status, "too-many-keys", detail));
    }
    let (id, row, key) = create_key(&hub.store, &wanted.name, wanted.scope).await?;
    let shown = shown(id, row, Some(key));
    Ok((StatusCode::CREATED, axum::Json(shown)).into_response())
}

pub(super) async fn list<S: Store>(State(hub): Shared<S>) -> Result<Response, Problem> {
    let mut keys = Vec::new();
    for (id, bytes) in hub.store.entries(Kind::ApiKey).await? {
        keys.push(shown(id, row(&bytes)?, None));
    }
    Ok(axum::Json(Keys { keys }).into_response())
}

pub(super) async fn delete<S: Store>(
    State(hub): Shared<S>,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let known = hub.store.entry(Kind::ApiKey, &id).await?;
    let gone = || Problem::new(StatusCode::NOT_FOUND, "no-such-key", "there is no such key");
    let known = known.ok_or_else(gone)?;
    let removed = hub.store.replace(Kind::ApiKey, &id, Some(&known), None);
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}
