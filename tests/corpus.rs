//! The corpus of hostile targets as one table: what each does, and the exact reason that a probe
//! gives. The reasons are those of the closed list in `model::reason`, decided from the
//! specifications that the targets break, not from what the prober says.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dial::{AddressPolicy, Alpn, Origin};
use mcp::limits::{CLOSE_TIMEOUT, MAX_PROBE_BYTES, MAX_SESSIONS};
use model::{CheckId, Outcome, Reason, Report, Step};
use support::Probe;
use testbed::hostile::{self, Behaviour, Hostile};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How a probe is to end.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// Healthy, with these checks violated as notes.
    Well(&'static [CheckId]),
    /// At a step, for a reason, with this check violated.
    Failed(Step, Reason, Option<CheckId>),
    /// For a reason that is ours.
    Ours(Reason),
}

/// What a probe may read, KiB: nothing worth mentioning, heads, a body of 4 MiB with what is already
/// on its way when it is cut, and the budget of the whole probe with its last read.
const SMALL: u64 = 64;
const HEAD: u64 = 256;
const BODY: u64 = 10 << 10;
const WHOLE: u64 = (MAX_PROBE_BYTES >> 10) + 512;

type Row = (&'static str, Ends, u64);

/// Probes at once.
const AT_ONCE: usize = 8;

/// Time for the steps of a probe, and for all of it. Where the outcome is that time is up, little is
/// given; elsewhere so much that no outcome depends on how quick anything is.
#[derive(Debug, Clone, Copy)]
struct Patience {
    step: Duration,
    total: Duration,
}

impl Patience {
    const LITTLE: Self = Self {
        step: Duration::from_secs(3),
        total: Duration::from_secs(9),
    };
    const MUCH: Self = Self {
        step: Duration::from_secs(60),
        total: Duration::from_secs(90),
    };

    fn of(name: &str, ends: Ends) -> Self {
        match ends {
            Ends::Failed(_, reason, _) if reason.is_timeout() => Self::LITTLE,
            // Waits for an endpoint, and then says why it looked for one.
            Ends::Failed(..) if name == "endpoint-never" => Self::LITTLE,
            Ends::Well(_) | Ends::Failed(..) | Ends::Ours(_) => Self::MUCH,
        }
    }
}

const fn well(name: &'static str, most: u64, notes: &'static [CheckId]) -> Row {
    (name, Ends::Well(notes), most)
}

/// Fails at the first question.
const fn first(name: &'static str, most: u64, reason: Reason) -> Row {
    (name, Ends::Failed(Step::Discover, reason, None), most)
}

const fn failed(name: &'static str, most: u64, step: Step, reason: Reason, check: CheckId) -> Row {
    (name, Ends::Failed(step, reason, Some(check)), most)
}

const fn ours(name: &'static str, reason: Reason) -> Row {
    (name, Ends::Ours(reason), 0)
}

use CheckId as C;
use Reason as R;

const NETWORK: [Row; 50] = [
    first("dns-nxdomain", 0, R::DnsNxdomain),
    first("dns-servfail", 0, R::DnsServfail),
    first("dns-refused", 0, R::DnsServfail),
    first("dns-empty", 0, R::DnsNoData),
    first("dns-silent", 0, R::DnsTimeout),
    first("dns-garbage", 0, R::DnsServfail),
    // A forger that guesses wrong is no answer (RFC 5452 §9.1).
    first("dns-other-id", 0, R::DnsTimeout),
    // An alias that leads to no address (RFC 2308 §2.2).
    first("dns-alias-loop", 0, R::DnsNoData),
    first("dns-alias-chain", 0, R::DnsNoData),
    well("dns-many-addresses", SMALL, &[]),
    ours("dns-private", R::DnsBlockedAddr),
    ours("dns-metadata", R::DnsBlockedAddr),
    ours("dns-metadata-mapped", R::DnsBlockedAddr),
    well("dns-mixed", SMALL, &[]),
    well("dns-rebinding", SMALL, &[]),
    first("tcp-refused", 0, R::TcpRefused),
    first("tcp-stalled", 0, R::TcpTimeout),
    first("tcp-reset", 0, R::TcpReset),
    first("tcp-closed", 0, R::HttpConnClosed),
    first("reset-after-request", SMALL, R::TcpReset),
    first("reset-in-head", SMALL, R::TcpReset),
    first("reset-in-body", SMALL, R::HttpConnClosed),
    first("tls-expired", 0, R::TlsCertExpired),
    first("tls-not-yet-valid", 0, R::TlsCertNotYetValid),
    first("tls-wrong-name", 0, R::TlsCertName),
    first("tls-self-signed", 0, R::TlsCertUntrusted),
    first("tls-stranger", 0, R::TlsCertUntrusted),
    first("tls-1.0", 0, R::TlsHandshake),
    first("tls-version-alert", 0, R::TlsHandshake),
    first("tls-plaintext", 0, R::TlsHandshake),
    first("tls-giant-record", 0, R::TlsHandshake),
    first("tls-flood", 0, R::TlsHandshake),
    first("tls-stalled", 0, R::TlsTimeout),
    first("tls-reset", 0, R::TcpReset),
    first("tls-closed", 0, R::TlsHandshake),
    first("tls-no-protocol", 0, R::TlsAlpn),
    first("tls-wants-certificate", SMALL, R::TlsHandshake),
    first("tls-cut", SMALL, R::HttpConnClosed),
    failed(
        "redirect-downgrade",
        SMALL,
        Step::Discover,
        R::HttpRedirect,
        C::HttpRedirect,
    ),
    first("h2-silent", SMALL, R::HttpTimeoutHeaders),
    first("h2-goaway", SMALL, R::HttpConnClosed),
    first("h2-reset", SMALL, R::HttpConnClosed),
    first("h2-refuse", SMALL, R::HttpConnClosed),
    first("h2-reset-flood", SMALL, R::HttpProtocol),
    first("h2-settings-flood", HEAD, R::HttpTimeoutHeaders),
    first("h2-ping-flood", HEAD, R::HttpTimeoutHeaders),
    first("h2-giant-frame", HEAD, R::HttpProtocol),
    first("h2-endless-head", WHOLE, R::HttpProtocol),
    first("h2-header-bomb", HEAD, R::HttpProtocol),
    first("h2-push", SMALL, R::HttpProtocol),
];

const HTTP3: [Row; 21] = [
    first("h3-unanswered", 0, R::TcpTimeout),
    first("h3-refused", 0, R::TcpRefused),
    first("h3-handshake-stalled", SMALL, R::TlsTimeout),
    first("h3-other-protocol", SMALL, R::TlsAlpn),
    first("h3-expired", SMALL, R::TlsCertExpired),
    first("h3-not-yet-valid", SMALL, R::TlsCertNotYetValid),
    first("h3-silent", SMALL, R::HttpTimeoutHeaders),
    first("h3-rejected", SMALL, R::HttpConnClosed),
    first("h3-reset", SMALL, R::HttpConnClosed),
    first("h3-reset-in-body", SMALL, R::HttpConnClosed),
    first("h3-close-in-body", SMALL, R::HttpConnClosed),
    first("h3-endless-body", BODY, R::HttpBodyTooLarge),
    first("h3-stalled-body", SMALL, R::HttpTimeoutBody),
    // What came of the body is half a document.
    first("h3-cut-frame", SMALL, R::McpJsonInvalid),
    // Malformed by RFC 9114 §4.1.2.
    first("h3-wrong-length", SMALL, R::HttpProtocol),
    first("h3-giant-head", HEAD, R::HttpProtocol),
    first("h3-endless-head", WHOLE, R::HttpBodyTooLarge),
    first("h3-endless-early-hints", HEAD, R::HttpProtocol),
    first("h3-bad-fields", SMALL, R::HttpProtocol),
    first("h3-no-head", SMALL, R::HttpProtocol),
    first("h3-many-streams", HEAD, R::HttpProtocol),
];

const HTTP: [Row; 54] = [
    first("silent", 0, R::HttpTimeoutHeaders),
    first("slow-head", SMALL, R::HttpTimeoutHeaders),
    first("head-cut", SMALL, R::HttpConnClosed),
    first("endless-head", HEAD, R::HttpProtocol),
    first("endless-status-line", HEAD, R::HttpProtocol),
    first("giant-header", HEAD, R::HttpProtocol),
    first("many-headers", HEAD, R::HttpProtocol),
    first("not-http", SMALL, R::HttpProtocol),
    first("bad-status", SMALL, R::HttpProtocol),
    first("header-nul", SMALL, R::HttpProtocol),
    first("header-no-colon", SMALL, R::HttpProtocol),
    well("early-hints", SMALL, &[]),
    first("endless-early-hints", WHOLE, R::HttpBodyTooLarge),
    // A server must not switch to what nobody offered (RFC 9110 §7.8).
    first("upgrade", SMALL, R::HttpProtocol),
    well("second-response", SMALL, &[]),
    first("length-too-long", SMALL, R::HttpConnClosed),
    first("length-stall", SMALL, R::HttpTimeoutBody),
    first("length-too-short", SMALL, R::McpJsonInvalid),
    first("length-giant", SMALL, R::HttpTimeoutBody),
    first("length-negative", SMALL, R::HttpProtocol),
    first("length-twice", SMALL, R::HttpProtocol),
    first("chunk-no-size", SMALL, R::HttpProtocol),
    first("chunk-giant", SMALL, R::HttpProtocol),
    first("chunk-cut", SMALL, R::HttpConnClosed),
    first("chunk-endless-extension", HEAD, R::HttpProtocol),
    first("chunk-endless-trailer", HEAD, R::HttpProtocol),
    well("tiny-chunks", SMALL, &[]),
    failed(
        "compressed",
        SMALL,
        Step::Discover,
        R::HttpProtocol,
        C::HttpEncoding,
    ),
    failed(
        "compression-bomb",
        BODY,
        Step::Discover,
        R::HttpProtocol,
        C::HttpEncoding,
    ),
    failed(
        "compression-stacked",
        BODY,
        Step::Discover,
        R::HttpProtocol,
        C::HttpEncoding,
    ),
    failed(
        "redirect-loop",
        SMALL,
        Step::Discover,
        R::HttpRedirect,
        C::HttpRedirect,
    ),
    failed(
        "redirect-metadata",
        SMALL,
        Step::Discover,
        R::HttpRedirect,
        C::HttpRedirect,
    ),
    failed(
        "redirect-file",
        SMALL,
        Step::Discover,
        R::HttpRedirect,
        C::HttpRedirect,
    ),
    failed(
        "login-redirect",
        SMALL,
        Step::Discover,
        R::HttpRedirect,
        C::HttpRedirect,
    ),
    failed(
        "not-found",
        SMALL,
        Step::Initialize,
        R::NotFound,
        C::HttpStatus,
    ),
    failed(
        "not-acceptable",
        SMALL,
        Step::Initialize,
        R::Client4xx,
        C::HttpStatus,
    ),
    failed(
        "wrong-media",
        SMALL,
        Step::Initialize,
        R::Client4xx,
        C::HttpStatus,
    ),
    failed(
        "misdirected",
        SMALL,
        Step::Initialize,
        R::Client4xx,
        C::HttpStatus,
    ),
    failed(
        "teapot",
        SMALL,
        Step::Initialize,
        R::Client4xx,
        C::HttpStatus,
    ),
    // Outside 100 to 599 a client treats it as a 5xx (RFC 9110 §15).
    failed(
        "status-999",
        SMALL,
        Step::Discover,
        R::Server5xx,
        C::HttpStatus,
    ),
    failed(
        "rate-limited",
        SMALL,
        Step::Discover,
        R::RateLimited,
        C::HttpStatus,
    ),
    failed(
        "rate-limited-absurdly",
        SMALL,
        Step::Discover,
        R::RateLimited,
        C::HttpStatus,
    ),
    failed("busy", SMALL, Step::Discover, R::RateLimited, C::HttpStatus),
    failed(
        "error-page",
        SMALL,
        Step::Discover,
        R::Upstream5xx,
        C::HttpStatus,
    ),
    failed(
        "server-error",
        SMALL,
        Step::Discover,
        R::Server5xx,
        C::HttpStatus,
    ),
    failed(
        "error-stalled",
        SMALL,
        Step::Discover,
        R::Server5xx,
        C::HttpStatus,
    ),
    failed(
        "error-endless",
        BODY,
        Step::Discover,
        R::Server5xx,
        C::HttpStatus,
    ),
    failed(
        "challenge",
        SMALL,
        Step::Discover,
        R::WafChallenge,
        C::HttpStatus,
    ),
    failed(
        "block-page",
        SMALL,
        Step::Discover,
        R::WafChallenge,
        C::HttpStatus,
    ),
    failed(
        "forbidden",
        SMALL,
        Step::Discover,
        R::Forbidden,
        C::HttpStatus,
    ),
    failed(
        "wall",
        SMALL,
        Step::Discover,
        R::AuthRequired,
        C::HttpStatus,
    ),
    failed(
        "wall-bare",
        SMALL,
        Step::Discover,
        R::AuthMalformed,
        C::AuthChallenge,
    ),
    failed(
        "wall-metadata",
        SMALL,
        Step::Discover,
        R::AuthRequired,
        C::HttpStatus,
    ),
    failed(
        "challenge-bomb",
        SMALL,
        Step::Discover,
        R::AuthRequired,
        C::AuthChallenge,
    ),
];

const MCP: [Row; 90] = [
    first("endless-json", BODY, R::HttpBodyTooLarge),
    first("slow-body", SMALL, R::HttpTimeoutBody),
    first("nesting-bomb", HEAD, R::McpJsonInvalid),
    first("nested-objects", HEAD, R::McpJsonInvalid),
    first("value-bomb", BODY, R::HttpBodyTooLarge),
    first("batch-bomb", BODY, R::HttpBodyTooLarge),
    first("long-number", HEAD, R::McpJsonInvalid),
    // The last of two equal keys counts, as in almost every parser (RFC 8259 §4).
    first("duplicate-keys", SMALL, R::McpIdMismatch),
    first("invalid-utf8", SMALL, R::McpJsonInvalid),
    first("lone-surrogate", SMALL, R::McpJsonInvalid),
    well("byte-order-mark", SMALL, &[C::HttpEncoding]),
    first("zeros", SMALL, R::McpJsonInvalid),
    first("empty-body", SMALL, R::McpJsonInvalid),
    first("no-content", SMALL, R::McpWrongContentType),
    first("accepted-only", SMALL, R::McpWrongContentType),
    failed("html", SMALL, Step::Discover, R::NotMcp, C::HttpHtml),
    failed(
        "html-as-json",
        SMALL,
        Step::Discover,
        R::NotMcp,
        C::HttpHtml,
    ),
    failed("login-page", SMALL, Step::Discover, R::NotMcp, C::HttpHtml),
    failed(
        "text-as-json",
        SMALL,
        Step::Discover,
        R::McpWrongContentType,
        C::HttpContentType,
    ),
    failed(
        "no-content-type",
        SMALL,
        Step::Discover,
        R::McpWrongContentType,
        C::HttpContentType,
    ),
    failed(
        "other-json",
        SMALL,
        Step::Discover,
        R::NotMcp,
        C::RpcEnvelope,
    ),
    failed(
        "result-and-error",
        SMALL,
        Step::Discover,
        R::McpRpcInvalid,
        C::RpcEnvelope,
    ),
    failed(
        "neither",
        SMALL,
        Step::Discover,
        R::McpRpcInvalid,
        C::RpcEnvelope,
    ),
    failed(
        "only-requests",
        SMALL,
        Step::Discover,
        R::McpRpcInvalid,
        C::RpcEnvelope,
    ),
    failed(
        "id-wrong",
        SMALL,
        Step::Discover,
        R::McpIdMismatch,
        C::RpcId,
    ),
    well("id-text", SMALL, &[C::RpcId]),
    failed("id-null", SMALL, Step::Discover, R::McpIdMismatch, C::RpcId),
    failed(
        "id-missing",
        SMALL,
        Step::Discover,
        R::McpIdMismatch,
        C::RpcId,
    ),
    failed(
        "id-object",
        SMALL,
        Step::Discover,
        R::McpIdMismatch,
        C::RpcId,
    ),
    failed(
        "id-giant",
        SMALL,
        Step::Discover,
        R::McpIdMismatch,
        C::RpcId,
    ),
    well("batch", SMALL, &[C::RpcNoBatch]),
    first("sse-endless-events", BODY, R::HttpBodyTooLarge),
    first("sse-endless-comments", BODY, R::HttpBodyTooLarge),
    first("sse-heartbeat", SMALL, R::McpSseStalled),
    first("sse-unfinished-event", BODY, R::McpSseStalled),
    first("sse-endless-line", BODY, R::HttpBodyTooLarge),
    first("sse-endless-data", BODY, R::HttpBodyTooLarge),
    well("sse-no-blank-line", SMALL, &[]),
    first("sse-stalled", SMALL, R::McpSseStalled),
    first("sse-ends", SMALL, R::McpSseNoResponse),
    failed(
        "sse-not-utf8",
        SMALL,
        Step::Discover,
        R::McpSseMalformed,
        C::SseParse,
    ),
    first("sse-html", SMALL, R::McpJsonInvalid),
    first("sse-other-json", SMALL, R::McpRpcInvalid),
    failed(
        "sse-wrong-id",
        SMALL,
        Step::Discover,
        R::McpIdMismatch,
        C::RpcId,
    ),
    first("sse-retry", SMALL, R::McpSseNoResponse),
    well("sse-giant-id", BODY, &[]),
    well("sse-mark", SMALL, &[]),
    well("sse-buffered", SMALL, &[C::SseNoForeignNotif]),
    well("sse-requests-modern", SMALL, &[C::SseNoServerRequest]),
    (
        "sse-ping-flood",
        Ends::Failed(Step::ToolsList, R::HttpBodyTooLarge, None),
        BODY,
    ),
    failed(
        "endpoint-elsewhere",
        SMALL,
        Step::Stream,
        R::McpSseMalformed,
        C::SseEndpointFirst,
    ),
    failed(
        "endpoint-metadata",
        SMALL,
        Step::Stream,
        R::McpSseMalformed,
        C::SseEndpointFirst,
    ),
    failed(
        "endpoint-giant",
        BODY,
        Step::Stream,
        R::McpSseMalformed,
        C::SseEndpointFirst,
    ),
    failed(
        "endpoint-never",
        SMALL,
        Step::Initialize,
        R::NotFound,
        C::HttpStatus,
    ),
    failed(
        "endpoint-flood",
        BODY,
        Step::Initialize,
        R::NotFound,
        C::HttpStatus,
    ),
    failed(
        "session-lost",
        SMALL,
        Step::Initialized,
        R::McpSessionLost,
        C::SessStable,
    ),
    failed(
        "session-on-error",
        SMALL,
        Step::Initialize,
        R::Server5xx,
        C::HttpStatus,
    ),
    well("session-not-ascii", SMALL, &[C::InitSessionAscii]),
    well("session-spaces", SMALL, &[C::InitSessionAscii]),
    well("session-giant", SMALL, &[C::InitSessionAscii]),
    well("session-empty", SMALL, &[C::InitSessionAscii]),
    well("session-changes", SMALL, &[]),
    failed(
        "session-then-no",
        SMALL,
        Step::Initialize,
        R::McpSchemaViolation,
        C::InitRequired,
    ),
    well("session-kept", SMALL, &[C::SessDelete]),
    well("session-end-fails", SMALL, &[C::SessDelete]),
    well("deceptive-tool", SMALL, &[C::ListNames]),
    well("deceptive-server", SMALL, &[]),
    failed(
        "deceptive-error",
        SMALL,
        Step::ToolsList,
        R::McpRpcError,
        C::RpcNoError,
    ),
    failed(
        "giant-error",
        BODY,
        Step::ToolsList,
        R::McpRpcError,
        C::RpcNoError,
    ),
    failed(
        "odd-error",
        SMALL,
        Step::ToolsList,
        R::McpRpcError,
        C::RpcErrorShape,
    ),
    well("path-names", SMALL, &[C::ListNames]),
    well("giant-name", BODY, &[C::ListNames]),
    well("same-names", HEAD, &[C::ListNames]),
    (
        "many-tools",
        Ends::Failed(Step::ToolsList, R::HttpBodyTooLarge, None),
        BODY,
    ),
    (
        "giant-description",
        Ends::Failed(Step::ToolsList, R::HttpBodyTooLarge, None),
        BODY,
    ),
    well("large-description", BODY, &[]),
    well("recursive-schema", SMALL, &[]),
    well("remote-schema", SMALL, &[C::ListSchemaValid]),
    failed(
        "no-schema",
        SMALL,
        Step::ToolsList,
        R::McpSchemaViolation,
        C::ListToolsArray,
    ),
    failed(
        "tools-object",
        SMALL,
        Step::ToolsList,
        R::McpSchemaViolation,
        C::ListToolsArray,
    ),
    first("many-versions", BODY, R::McpVersionUnsupported),
    failed(
        "deceptive-version",
        SMALL,
        Step::Initialize,
        R::McpVersionUnsupported,
        C::InitVersion,
    ),
    failed(
        "cursor-loop",
        SMALL,
        Step::ToolsList,
        R::McpPaginationLoop,
        C::ListPagination,
    ),
    failed(
        "cursor-fresh",
        HEAD,
        Step::ToolsList,
        R::McpPaginationLoop,
        C::ListPagination,
    ),
    failed(
        "cursor-empty",
        SMALL,
        Step::ToolsList,
        R::McpPaginationLoop,
        C::ListPagination,
    ),
    well("cursor-empty-legacy", SMALL, &[]),
    failed(
        "cursor-giant",
        BODY,
        Step::ToolsList,
        R::McpSchemaViolation,
        C::ListPagination,
    ),
    failed(
        "cursor-number",
        SMALL,
        Step::ToolsList,
        R::McpSchemaViolation,
        C::ListPagination,
    ),
    (
        "pages-of-tools",
        Ends::Failed(Step::ToolsList, R::HttpBodyTooLarge, None),
        BODY,
    ),
    (
        "pages-of-bytes",
        Ends::Failed(Step::ToolsList, R::HttpBodyTooLarge, None),
        WHOLE,
    ),
];

fn table() -> BTreeMap<&'static str, (Ends, u64)> {
    let rows = NETWORK.iter().chain(&HTTP3).chain(&HTTP).chain(&MCP);
    let mut table = BTreeMap::new();
    for (name, ends, most) in rows {
        assert!(
            table.insert(*name, (*ends, *most)).is_none(),
            "{name} stands twice"
        );
    }
    table
}

#[test]
fn the_table_has_every_behaviour_once() {
    let table = table();
    let known: Vec<&str> = hostile::all().map(|behaviour| behaviour.name).collect();
    let missing: Vec<_> = known
        .iter()
        .filter(|name| !table.contains_key(**name))
        .collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    assert_eq!(
        known.len(),
        table.len(),
        "a name stands twice, or a row is nobody's"
    );
}

/// What came of one probe.
struct Ran {
    report: Report,
    hostile: Hostile,
}

/// Probes one, in the era that the table is about, or as a monitor with a call would.
async fn run(behaviour: &'static Behaviour, patience: Patience, as_monitor: bool) -> Ran {
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let hostile = Hostile::start(behaviour, bind).await.unwrap();
    let mut probe = Probe::of(hostile.url()).patience(patience.step);
    probe.plan.total_timeout = patience.total;
    if as_monitor {
        probe = probe.calling("echo", &serde_json::json!({ "text": "x" }));
    } else {
        probe.plan.era = behaviour.era;
    }
    if behaviour.is_h3() {
        probe.alpn = Alpn::Http3;
    }
    if let Some(server) = hostile.name_server() {
        probe.name_servers = vec![server];
    }
    if behaviour.is_remote {
        probe.origin = Origin::Remote;
        let only = format!("127.0.0.1#{}", hostile.address().port());
        probe.policy = AddressPolicy::new(vec![only.parse().unwrap()]);
    }
    let mut ca_file = tempfile::NamedTempFile::new().unwrap();
    if let Some(pem) = hostile.authority() {
        ca_file.write_all(pem.as_bytes()).unwrap();
        probe.ca_file.push(ca_file.path().to_owned());
    }
    let report = probe.report().await;
    Ran { report, hostile }
}

/// Probes all, some at once, and collects what is wrong with any.
async fn probe_all(
    as_monitor: bool,
    patience: impl Fn(&Behaviour) -> Patience,
    problems: impl Fn(&Behaviour, &Ran) -> Vec<String>,
) -> Vec<String> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for behaviour in hostile::all() {
        let (slots, patience) = (Arc::clone(&slots), patience(behaviour));
        running.spawn(async move {
            let _slot = slots.acquire_owned().await.unwrap();
            (behaviour, run(behaviour, patience, as_monitor).await)
        });
    }
    let mut wrong = Vec::new();
    while let Some(ran) = running.join_next().await {
        // A probe that panics is found here.
        let (behaviour, ran) = ran.unwrap();
        let found = problems(behaviour, &ran).into_iter();
        wrong.extend(found.map(|problem| format!("{}: {problem}", behaviour.name)));
    }
    wrong.sort();
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_behaviour_has_its_reason_and_keeps_to_its_budget() {
    let table = table();
    let patience = |behaviour: &Behaviour| Patience::of(behaviour.name, table[behaviour.name].0);
    let problems = |behaviour: &Behaviour, ran: &Ran| {
        let (ends, most) = table[behaviour.name];
        let mut wrong = broken_bounds(behaviour, ran, patience(behaviour), most);
        wrong.extend(ends_otherwise(&ran.report, ends));
        wrong
    };
    let wrong = probe_all(false, patience, problems).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the era is not known, everything is tried twice and more: the bounds are those of one
/// probe all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_of_unknown_era_keeps_to_its_bounds() {
    let problems =
        |behaviour: &Behaviour, ran: &Ran| broken_bounds(behaviour, ran, Patience::LITTLE, WHOLE);
    let wrong = probe_all(true, |_| Patience::LITTLE, problems).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Which bounds were not kept.
fn broken_bounds(behaviour: &Behaviour, ran: &Ran, patience: Patience, most: u64) -> Vec<String> {
    let report = &ran.report;
    let log = ran.hostile.log();
    let mut wrong = Vec::new();
    let read = report.received_bytes;
    if read > most << 10 {
        wrong.push(format!("{read} bytes were read"));
    }
    // The probe's own numbers: its time, and that of each session that it gives back. As much again for
    // a machine that is busy: this finds probes that do not end.
    let took = Duration::from_micros(report.total_us + report.own_us);
    let sessions = u32::try_from(MAX_SESSIONS).unwrap();
    if took > (patience.total + CLOSE_TIMEOUT * sessions) * 2 {
        wrong.push(format!("it took {took:?}"));
    }
    // Longer than any header may be: it could not be sent back.
    let cannot = behaviour.name == "session-giant";
    if log.sessions_open() > 0 && !cannot {
        wrong.push("a session is left open".to_owned());
    }
    if log.responses() > mcp::limits::MAX_SERVER_REQUESTS as u64 {
        wrong.push(format!(
            "{} requests of the server were answered",
            log.responses()
        ));
    }
    if report.retry_after_seconds > Some(mcp::limits::MAX_RETRY_AFTER) {
        wrong.push(format!("retry after {:?}", report.retry_after_seconds));
    }
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let address = report
        .connection
        .as_ref()
        .map(|connection| &connection.address);
    let elsewhere = address.filter(|address| {
        address
            .parse()
            .is_ok_and(|address: SocketAddr| address.ip() != loopback)
    });
    if let Some(address) = elsewhere {
        wrong.push(format!("it connected to {address}"));
    }
    if behaviour.name == "dns-rebinding" && log.lookups() > 2 {
        wrong.push(format!("the name was asked for {} times", log.lookups()));
    }
    let json = serde_json::to_value(report).unwrap();
    wrong.extend(deceptive(&json).map(|text| format!("it shows {text:?}")));
    wrong
}

fn ends_otherwise(report: &Report, ends: Ends) -> Option<String> {
    let violated = |check: &CheckId| report.violations().iter().any(|found| found.id == *check);
    let is_so = match (ends, &report.outcome) {
        (Ends::Well(notes), Outcome::Ok) => {
            report.violations().len() == notes.len() && notes.iter().all(violated)
        }
        (Ends::Failed(step, reason, check), Outcome::Failed(failure)) => {
            let as_said = failure.step == step && failure.reason == reason;
            as_said && check.as_ref().is_none_or(violated)
        }
        (Ends::Ours(reason), Outcome::Inconclusive { reason: found }) => reason == *found,
        (Ends::Well(_) | Ends::Failed(..) | Ends::Ours(_), _) => false,
    };
    (!is_so).then(|| {
        let violations = report.violations();
        let checks: Vec<&str> = violations.iter().map(|check| check.id.as_str()).collect();
        format!("expected {ends:?}, but: {} {checks:?}", report.summary)
    })
}

/// The first text that a terminal would obey or a reader misread.
fn deceptive(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => {
            let bad = |c: char| {
                c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            };
            text.contains(bad).then(|| text.clone())
        }
        serde_json::Value::Array(items) => items.iter().find_map(deceptive),
        serde_json::Value::Object(members) => members.values().find_map(deceptive),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => None,
    }
}
