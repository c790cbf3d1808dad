//! What goes over the edge between the state machine and its shell.

use http::{HeaderMap, Method, StatusCode};
use model::Step;
use serde_json::Value;
use url::Url;

/// One HTTP exchange of a probe: a request and its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub(crate) u32);

impl ExchangeId {
    /// An exchange that is none of a sequence's.
    pub const BESIDE: Self = Self(0);
}

/// What the shell must do next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful live at a time")]
pub enum Command {
    /// Open an exchange: send this request and report its course.
    Send {
        /// The exchange that all reports about the request must name.
        exchange: ExchangeId,
        /// The request, credentials not included.
        request: Request,
    },
    /// The answer is complete. The rest of the response is of no interest: drain it for a moment,
    /// so that the connection can serve the next request, or drop it.
    Release(ExchangeId),
    /// Drop the exchange at once.
    Abort(ExchangeId),
}

/// A request, without credentials, `Host` and `User-Agent`, which are the shell's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST` or `DELETE`.
    pub method: Method,
    /// Always of the target's own origin.
    pub url: Url,
    /// Protocol headers.
    pub headers: HeaderMap,
    /// The JSON-RPC message, for `POST`.
    pub body: Vec<u8>,
}

impl Request {
    /// Whether the request may be sent again where a server may have had it already: whatever asks
    /// for something and changes nothing. Not `initialize`, which opens a session, and no call.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        let reads = [
            Step::Discover,
            Step::Ping,
            Step::ToolsList,
            Step::ResourcesList,
            Step::ResourceTemplatesList,
            Step::PromptsList,
        ];
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let Some(method) = body["method"].as_str() else {
            return self.method == Method::GET;
        };
        reads.iter().any(|step| step.method() == Some(method))
    }
}

/// The head of a response.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The headers, within the shell's size limits.
    pub headers: HeaderMap,
}

impl Head {
    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type, lower-case, without parameters.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        let essence = value.split(';').next()?.trim();
        (!essence.is_empty()).then(|| essence.to_ascii_lowercase())
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }
}
