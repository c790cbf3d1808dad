//! A plain HTTP resource, asked beside the sequence: what a health page says while MCP says
//! something else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dial::{Alpn, Dialer, Endpoint};
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use mcp::{ExchangeId, Head};
use model::expect::HealthSpec;
use model::report::HealthReport;
use model::{Phase, Reason, instance};
use tokio::sync::mpsc;

use crate::clock::now;
use crate::exchange::{self, Event, Outlet, What};
use crate::job::Job;
use crate::link::Link;
use crate::network::Network;
use crate::redact;

/// How much of the body is read.
const MAX_BYTES: usize = 64 << 10;
/// Events that may wait to be looked at.
const EVENT_QUEUE: usize = 16;

/// Asks for the resource, for at most a step's time.
pub(crate) async fn ask(dialer: &Dialer, job: &Job, secrets: &[String]) -> Option<HealthReport> {
    let spec = job.health.as_ref()?;
    let mut heard = Heard::default();
    let patience = job.plan.step_timeout;
    if let Some(endpoint) = Endpoint::of(&spec.url) {
        let (endpoint, network) = way(job, spec, endpoint);
        let conversation = heard.converse(dialer, job, spec, (endpoint, network));
        if tokio::time::timeout(patience, conversation).await.is_err() {
            heard.give_up(patience);
        }
    }
    let mut report = heard.report(job, spec);
    let texts = report.detail.iter_mut().chain(&mut report.instance);
    texts.for_each(|text| redact::text(text, secrets));
    Some(report)
}

/// The way to the page: what stands for the target's name in TLS, and for its host and port in `Host`,
/// stands for no other one; rules of where to connect name whom they are for.
fn way(job: &Job, spec: &HealthSpec, endpoint: Endpoint) -> (Endpoint, Network) {
    let mut network = job.network.clone();
    if spec.url.as_url().host() != job.plan.url.as_url().host() {
        network.sni = None;
    }
    if !is_of_target(job, spec) {
        network.host = None;
    }
    let endpoint = endpoint
        .through(job.proxy.clone())
        .detoured(&network.connect_to)
        .named(network.sni.clone());
    (endpoint, network)
}

/// Whether the page is of the target's own origin.
fn is_of_target(job: &Job, spec: &HealthSpec) -> bool {
    spec.url.as_url().origin() == job.plan.url.as_url().origin()
}

/// What was heard so far.
#[derive(Default)]
struct Heard {
    head: Option<Head>,
    body: Vec<u8>,
    is_cut: bool,
    spent: BTreeMap<Phase, Duration>,
    phase: Option<(Phase, Instant)>,
    fault: Option<(Reason, String)>,
}

impl Heard {
    async fn converse(
        &mut self,
        dialer: &Dialer,
        job: &Job,
        spec: &HealthSpec,
        (endpoint, network): (Endpoint, Network),
    ) {
        // A credential goes to the target and to nobody else.
        let mut headers = if is_of_target(job, spec) {
            job.headers.clone()
        } else {
            HeaderMap::new()
        };
        headers
            .entry(USER_AGENT)
            .or_insert_with(|| job.contact.user_agent());
        let mut request = mcp::Request {
            method: Method::GET,
            url: spec.url.as_url().clone(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        };
        let json = HeaderValue::from_static("application/json, */*;q=0.5");
        request.headers.insert(ACCEPT, json);
        // A health page is what an orchestrator asks, which does so over TCP.
        let alpn = match job.alpn {
            Alpn::Http3 => Alpn::Any,
            Alpn::Any | Alpn::Http1 => job.alpn,
        };
        let link = Link::new(dialer.clone(), endpoint, job.origin, alpn, &network);
        let (outlet, mut events) = mpsc::channel(EVENT_QUEUE);
        let outlet = Outlet::new(ExchangeId::BESIDE, outlet);
        let task = exchange::run(Arc::new(link), request, Arc::new(headers), outlet);
        let mut task = std::pin::pin!(task);
        let mut is_sent = false;
        loop {
            tokio::select! {
                biased;
                event = events.recv() => {
                    let is_over = event.is_none_or(|event| !self.hear(event));
                    if is_over {
                        return;
                    }
                }
                () = &mut task, if !is_sent => is_sent = true,
            }
        }
    }

    /// Notes an event; whether more is wanted.
    fn hear(&mut self, event: Event) -> bool {
        match event.what {
            What::Phase(phase) => self.enter(phase, event.at),
            What::Head(head) => {
                self.enter(Phase::Receive, event.at);
                self.head = Some(head);
            }
            What::Chunk(bytes) => {
                let room = MAX_BYTES.saturating_sub(self.body.len());
                self.is_cut |= bytes.len() > room;
                self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if self.is_cut {
                    self.stop(event.at);
                    return false;
                }
            }
            What::End => {
                self.stop(event.at);
                return false;
            }
            What::Failed(fault) => {
                self.stop(event.at);
                self.fault = Some((fault.reason, fault.detail));
                return false;
            }
        }
        true
    }

    fn enter(&mut self, phase: Phase, at: Instant) {
        self.stop(at);
        self.phase = Some((phase, at));
    }

    fn stop(&mut self, at: Instant) {
        if let Some((phase, since)) = self.phase.take() {
            *self.spent.entry(phase).or_default() += at.saturating_duration_since(since);
        }
    }

    fn give_up(&mut self, patience: Duration) {
        let reason = match self.phase.map_or(Phase::Wait, |(phase, _)| phase) {
            Phase::Dns => Reason::DnsTimeout,
            Phase::Connect => Reason::TcpTimeout,
            Phase::Tls => Reason::TlsTimeout,
            Phase::Send | Phase::Wait => Reason::HttpTimeoutHeaders,
            Phase::Receive => Reason::HttpTimeoutBody,
        };
        self.stop(now());
        let detail = format!("no answer after {:.1} s", patience.as_secs_f64());
        self.fault = Some((reason, detail));
    }

    fn report(self, job: &Job, spec: &HealthSpec) -> HealthReport {
        let body = || serde_json::from_slice(&self.body).ok();
        let path = job.plan.instance.health.as_ref().filter(|_| !self.is_cut);
        let name = path.and_then(|path| instance::name(path, &body()?));
        let wall = job.wall.duration_since(jiff::Timestamp::UNIX_EPOCH);
        let wall = Duration::try_from(wall).ok();
        let refused = self.head.as_ref().filter(|head| !head.is_success());
        let retry_after = refused.and_then(|head| mcp::retry_after(head, wall));
        let status = self.head.as_ref().map(|head| head.status.as_u16());
        let (reason, problem) = match &self.fault {
            Some((reason, detail)) => (Some(*reason), Some(detail.clone())),
            None => (None, self.problem(spec, status)),
        };
        let phases_us: BTreeMap<Phase, u64> = self
            .spent
            .iter()
            .map(|(phase, spent)| (*phase, u64::try_from(spent.as_micros()).unwrap_or(u64::MAX)))
            .collect();
        HealthReport {
            url: spec.url.clone(),
            passed: problem.is_none(),
            http_status: status,
            reason,
            detail: problem.map(|detail| model::text::line(&detail, 200)),
            retry_after_seconds: retry_after,
            instance: name,
            total_us: phases_us.values().sum(),
            phases_us,
        }
    }

    fn problem(&self, spec: &HealthSpec, status: Option<u16>) -> Option<String> {
        let status = status.unwrap_or_default();
        let is_right = match spec.status {
            Some(wanted) => status == wanted,
            None => (200..300).contains(&status),
        };
        if !is_right {
            let wanted = spec.status.map_or("2xx".to_owned(), |s| s.to_string());
            return Some(format!("answered {status}, not {wanted}"));
        }
        if spec.assertions.is_empty() {
            return None;
        }
        if self.is_cut {
            return Some(format!("the body is larger than {MAX_BYTES} bytes"));
        }
        let Ok(body) = serde_json::from_slice(&self.body) else {
            let shown = model::text::line_of_bytes(self.body.trim_ascii(), 80);
            return Some(format!("the body is not JSON: {shown}"));
        };
        spec.assertions
            .iter()
            .find_map(|assertion| assertion.broken(&body))
    }
}
