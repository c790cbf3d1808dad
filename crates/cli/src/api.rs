//! The coordinator's API, as commands use it: one request, one answer.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use dial::{AddressPolicy, Alpn, Dialer, DialerOptions, Endpoint, Family, Origin, TlsOptions};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use model::TargetUrl;
use serde_json::Value;

use crate::exit;

/// The largest answer.
const MAX_BODY_BYTES: usize = 16 << 20;
/// How long a call may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Where the API is, and what opens it.
#[derive(Debug, Args)]
#[group(id = "coordinator")]
pub(crate) struct Options {
    /// Where the coordinator's API is
    #[arg(long, env = "PARALLAX_API", default_value = "http://127.0.0.1:7080")]
    api: TargetUrl,
    /// The file with a key of the API
    #[arg(long, env = "PARALLAX_API_KEY_FILE")]
    api_key_file: Option<PathBuf>,
    /// A PEM file with authorities to trust beside the system's
    #[arg(long, env = "PARALLAX_API_CA_FILE")]
    api_ca_file: Option<PathBuf>,
}

/// Why a call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The key file cannot be used.
    #[error("--api-key-file {}: {problem}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// This host's settings.
    #[error(transparent)]
    Setup(#[from] dial::SetupError),
    /// The API cannot be reached.
    #[error("{api}: {problem}; is the coordinator there, and is --api right?")]
    Unreachable {
        /// Where it should be.
        api: String,
        /// Why.
        problem: String,
    },
    /// The API says no.
    #[error("{detail}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it says.
        detail: String,
        /// When to ask again, seconds, where it says so.
        retry_after: Option<u64>,
    },
    /// Something else answers.
    #[error("--api: the answer has no {0}; is this the coordinator's API?")]
    Answer(&'static str),
    /// A key would be readable on its way.
    #[error("--api {0}: the key would travel in the clear; use https://, or a loopback address")]
    Clear(String),
    /// The answer cannot be written.
    #[error("stdout: {0}")]
    Stdout(#[from] std::io::Error),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Key { .. } | Self::Setup(_) => exit::CONFIG,
            Self::Clear(_) => exit::USAGE,
            Self::Answer(_) => exit::UNHEALTHY,
            Self::Unreachable { .. } => exit::UNREACHABLE,
            Self::Refused { status, .. } => match status.as_u16() {
                401 | 403 | 429 => exit::REFUSED,
                400 | 422 => exit::USAGE,
                _ => exit::UNHEALTHY,
            },
            Self::Stdout(_) => exit::INTERNAL,
        }
    }
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body as JSON, null where there is none.
    pub(crate) json: Value,
}

impl Options {
    /// An API that a command knows by options of its own.
    pub(crate) const fn of(
        api: TargetUrl,
        api_key_file: Option<PathBuf>,
        api_ca_file: Option<PathBuf>,
    ) -> Self {
        Self {
            api,
            api_key_file,
            api_ca_file,
        }
    }

    /// The key, where there is a file of one.
    pub(crate) fn key(&self) -> Result<Option<String>, Error> {
        let Some(path) = self.api_key_file.clone() else {
            return Ok(None);
        };
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
            Ok(_) => Err(Error::Key {
                path,
                problem: "is empty".to_owned(),
            }),
            Err(error) => Err(Error::Key {
                path,
                problem: error.to_string(),
            }),
        }
    }

    /// Whether nobody between here and the API can read what is sent.
    fn is_private(&self) -> bool {
        let url = self.api.as_url();
        let is_loopback = match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        url.scheme() == "https" || is_loopback
    }

    /// Calls the API; its answer as JSON, null where there is none.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        Ok(self.answer(method, path, body).await?.json)
    }

    /// Calls the API; its whole answer.
    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        self.answer_within(method, path, body, PATIENCE).await
    }

    /// Calls the API, and waits for so long; its whole answer.
    pub(crate) async fn answer_within(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: std::time::Duration,
    ) -> Result<Answer, Error> {
        let unreachable = |problem: String| Error::Unreachable {
            api: self.api.to_string(),
            problem,
        };
        let base = self.api.as_url().path().trim_end_matches('/');
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"));
        request = request
            .header(header::HOST, self.api.as_url().authority())
            .header(header::ACCEPT, "application/json");
        if let Some(key) = self.key()? {
            if !self.is_private() {
                return Err(Error::Clear(self.api.to_string()));
            }
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body));
        // The key's bytes are not shown.
        let request = request.map_err(|_| unreachable("the key is no legal header".to_owned()))?;
        let asked = tokio::time::timeout(patience, self.ask(request)).await;
        let (status, headers, body) =
            asked.map_err(|_| unreachable("no answer in time".to_owned()))??;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(Answer { headers, json });
        }
        let retry_after = headers.get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Error::Refused {
            status,
            detail: told(status, &json),
            retry_after,
        })
    }

    async fn ask(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Error> {
        let unreachable = |problem: String| Error::Unreachable {
            api: self.api.to_string(),
            problem,
        };
        let dialer = Dialer::new(DialerOptions {
            name_servers: Vec::new(),
            family: Family::Any,
            tls: TlsOptions {
                extra_roots: self.api_ca_file.iter().cloned().collect(),
                ..TlsOptions::default()
            },
            policy: AddressPolicy::default(),
        })?;
        let endpoint = Endpoint::of(&self.api);
        let endpoint = endpoint.ok_or_else(|| unreachable("the URL has no host".to_owned()))?;
        let dialed = dialer
            .dial(&endpoint, Origin::Operator, Alpn::Http1, &[], &|_| {})
            .await;
        let connection =
            dialed.map_err(|error| unreachable(format!("{}: {}", error.reason, error.detail)))?;
        let failed = |error: hyper::Error| unreachable(error.to_string());
        let io = TokioIo::new(connection.io);
        let (mut sender, driver) = hyper::client::conn::http1::handshake(io)
            .await
            .map_err(failed)?;
        tokio::spawn(driver);
        let response = sender.send_request(request).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let body = body.map_err(|error| unreachable(error.to_string()))?;
        Ok((head.status, head.headers, body.to_bytes()))
    }
}

/// A problem document (RFC 9457) in words.
fn told(status: StatusCode, problem: &Value) -> String {
    let text = |value: &Value| value.as_str().map(|text| model::text::line(text, 300));
    let fields: Vec<String> = problem["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| {
            Some(format!(
                "{}: {}",
                text(&error["pointer"])?,
                text(&error["detail"])?
            ))
        })
        .collect();
    if !fields.is_empty() {
        return fields.join("; ");
    }
    text(&problem["detail"]).unwrap_or_else(|| format!("the API answers {status}"))
}
