//! The step in progress.

use std::time::Instant;

use model::{Phase, Reason, Step, Transport};

use super::resume::Resume;
use super::strict::Trial;
use crate::exchange::ExchangeId;
use crate::reply::Reader;
use crate::timing::Timer;

/// The step in progress.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) step: Step,
    pub(super) tool: Option<String>,
    pub(super) exchange: ExchangeId,
    /// The JSON-RPC id that the answer must carry.
    pub(super) id: Option<i64>,
    pub(super) reader: Reader,
    pub(super) timer: Timer,
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) exchanges: u32,
    pub(super) http_status: Option<u16>,
    pub(super) content_type: Option<String>,
    pub(super) rpc_code: Option<i64>,
    /// Whether the response carried a session id.
    pub(super) has_session_header: bool,
    /// The open request's exchange, until the shell is told to release it.
    pub(super) is_open: bool,
    /// The wrong request that this is, in the strict profile.
    pub(super) trial: Option<Trial>,
    /// When a stream that closed early is to be resumed, and from where.
    pub(super) resume: Option<Resume>,
    pub(super) resumes: u32,
    /// When progress of the running call came, first and last, and how often.
    pub(super) progress: Option<Arrivals>,
    /// Since when a silent stream is listened to.
    pub(super) idle_since: Option<Instant>,
    /// Since when the end of a stream is waited for whose answer is there.
    pub(super) followed_since: Option<Instant>,
}

/// Events of one stream in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrivals {
    pub(super) first: Instant,
    pub(super) count: u32,
}

/// The event stream of the 2024-11-05 transport.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) exchange: ExchangeId,
    pub(super) reader: Reader,
    pub(super) has_endpoint: bool,
}

impl Running {
    /// Whether the request was taken and its answer comes on the 2024-11-05 stream.
    pub(super) fn awaits_stream(&self, transport: Transport) -> bool {
        transport == Transport::HttpSse && self.id.is_some() && self.reader.is_accepted()
    }

    pub(super) fn timeout_reason(&self, is_http_sse: bool, is_proxied: bool) -> Reason {
        match self.timer.phase() {
            Phase::Dns | Phase::Connect if is_proxied => Reason::ProxyFailed,
            Phase::Dns => Reason::DnsTimeout,
            Phase::Connect => Reason::TcpTimeout,
            Phase::Tls => Reason::TlsTimeout,
            Phase::Send | Phase::Wait => Reason::HttpTimeoutHeaders,
            Phase::Receive if is_http_sse || self.reader.is_stream() => Reason::McpSseStalled,
            Phase::Receive => Reason::HttpTimeoutBody,
        }
    }
}
