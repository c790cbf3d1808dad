//! A whole probe against whatever the bytes say that a server does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method};
use model::{EraPolicy, ListKind, Outcome, Phase, Profile, Reason, Revision, TargetUrl, Transport};
use serde_json::{Map, Value};

use super::server::{changed, honest, method_of};
use super::tape::Tape;
use super::{harmless, head};
use crate::limits::{
    CLEANUP_TIMEOUT, CLOSE_TIMEOUT, MAX_INPUT_ROUNDS, MAX_PAGES, MAX_RESUMES, MAX_SERVER_REQUESTS,
    MAX_SESSION_ID_BYTES, MAX_SESSIONS,
};
use crate::{ClientInfo, Command, EraRecord, ExchangeId, Plan, Request, Sequence, ToolCall};

/// Things that happen before the tape is at its end anyway.
const MAX_EVENTS: usize = 2000;
/// Requests of one probe beside pages, calls, answers and ends of sessions: each era's handshake
/// with every way to begin it anew and to resume its streams, a subscription, the strict profile,
/// what is called off.
const MAX_OTHER_REQUESTS: usize = 80;
/// Calls of one probe.
const MAX_CALLS: u32 = 3;

/// How long a silent stream is listened to.
const IDLE: Duration = Duration::from_secs(5);

/// A probe ends within its time and the time for its sessions, whatever happens on the wire; its
/// requests are bounded and go to its own origin; every session that a 2xx `initialize` brought is
/// given back; nothing that it shows is long or obeyed by a terminal; and what failed is said once.
///
/// # Panics
/// Where that does not hold.
pub fn sequence(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the origin"
    )]
    let start = Instant::now();
    let plan = plan(&mut tape);
    let mut wire = Wire::new(&plan, start);
    let mut probe = Sequence::new(plan.clone(), start);
    for _ in 0..MAX_EVENTS {
        wire.obey(&mut probe);
        if probe.is_done() || tape.is_empty() {
            break;
        }
        wire.happen(&mut probe, &mut tape);
        wire.keeps_time(&probe);
    }
    // Nothing happens any more: time alone must end it.
    for _ in 0..MAX_SESSIONS + MAX_OTHER_REQUESTS {
        wire.obey(&mut probe);
        let Some(deadline) = probe.poll_timeout() else {
            break;
        };
        wire.now = wire.now.max(deadline);
        probe.handle_timeout(wire.now);
    }
    assert!(probe.is_done(), "time alone does not end it");
    wire.obey(&mut probe);
    wire.judge(probe, &plan);
}

fn plan(tape: &mut Tape<'_>) -> Plan {
    let url = *tape.pick(&["https://h.example/mcp", "http://127.0.0.1:8080/sse?a=b"]);
    let url: Result<TargetUrl, _> = url.parse();
    let Ok(url) = url else {
        unreachable!("a URL of our own");
    };
    let mut plan = Plan::new(url, ClientInfo::parallax());
    plan.era = *tape.pick(&[EraPolicy::Auto, EraPolicy::Modern, EraPolicy::Legacy]);
    let record = |revision, transport| {
        Some(EraRecord {
            revision,
            transport,
        })
    };
    plan.known = *tape.pick(&[
        None,
        record(Revision::NEWEST_MODERN, Transport::StreamableHttp),
        record(Revision::NEWEST_LEGACY, Transport::StreamableHttp),
        record(Revision::V2024_11_05, Transport::HttpSse),
    ]);
    plan.has_credential = tape.byte() & 1 == 1;
    for _ in 0..tape.below(3) {
        let name = *tape.pick(&["echo", "\u{202e}none", ""]);
        let mut call = ToolCall::new(name, Map::new());
        let wants = tape.byte();
        call.progress = wants & 1 == 1;
        call.cleanup = wants & 2 == 2;
        if wants & 4 == 4 {
            call.answers.insert("k".to_owned(), Value::Null);
        }
        plan.calls.push(call);
    }
    let wants = tape.byte();
    if wants & 1 == 1 {
        plan.profile = Profile::Strict;
    }
    plan.subscribe = wants & 2 == 2;
    plan.idle = (wants & 4 == 4).then_some(IDLE);
    plan.keep_listing = wants & 8 == 8;
    if wants & 16 == 16 {
        plan.lists.extend(ListKind::ALL);
    }
    plan
}

/// An exchange as the wire sees it.
struct Live {
    request: Request,
    has_head: bool,
    /// The probe wants no more of it; what was on its way may still come.
    is_left: bool,
}

/// The other side of the edge.
struct Wire {
    live: BTreeMap<ExchangeId, Live>,
    now: Instant,
    /// By when the probe must be done.
    latest: Instant,
    origin: url::Origin,
    sent: usize,
    /// Sessions given with a 2xx `initialize`, and sessions given back.
    given: Vec<HeaderValue>,
    returned: Vec<HeaderValue>,
}

impl Wire {
    fn new(plan: &Plan, start: Instant) -> Self {
        Self {
            live: BTreeMap::new(),
            now: start,
            latest: start + plan.total_timeout,
            origin: plan.url.as_url().origin(),
            sent: 0,
            given: Vec::new(),
            returned: Vec::new(),
        }
    }

    /// Carries out what the probe wants.
    fn obey(&mut self, probe: &mut Sequence) {
        while let Some(command) = probe.poll_command() {
            match command {
                Command::Send { exchange, request } => {
                    assert_eq!(request.url.origin(), self.origin, "another origin is asked");
                    self.sent += 1;
                    if request.method == Method::DELETE {
                        let session = request.headers.get("mcp-session-id").cloned();
                        self.returned.extend(session);
                    }
                    let live = Live {
                        request,
                        has_head: false,
                        is_left: false,
                    };
                    let twice = self.live.insert(exchange, live);
                    assert!(twice.is_none(), "an exchange is opened twice");
                }
                Command::Release(exchange) | Command::Abort(exchange) => {
                    if let Some(live) = self.live.get_mut(&exchange) {
                        live.is_left = true;
                    }
                }
            }
        }
    }

    fn happen(&mut self, probe: &mut Sequence, tape: &mut Tape<'_>) {
        let what = tape.byte();
        let step = if what & 0x40 == 0 { 1 } else { 2000 };
        self.now += Duration::from_millis(step);
        // As the shell does: time is up before what happens later.
        while let Some(deadline) = probe.poll_timeout().filter(|at| *at <= self.now) {
            probe.handle_timeout(deadline.max(self.now));
            self.obey(probe);
        }
        let is_late = what & 0x80 != 0;
        let exchanges = self.live.iter().filter(|(_, live)| live.is_left == is_late);
        let ids: Vec<ExchangeId> = exchanges.map(|(id, _)| *id).collect();
        let newest_first = tape.below(ids.len());
        let Some(exchange) = ids.iter().rev().nth(newest_first).copied() else {
            return;
        };
        let request = self.live.get(&exchange).map(|live| live.request.clone());
        let has_head = self.live.get(&exchange).is_some_and(|live| live.has_head);
        match (what & 0x0f, has_head) {
            (0..=5, false) => self.head(probe, exchange, tape),
            (0..=5, true) => {
                let chunk = chunk(request.as_ref(), tape);
                probe.handle_chunk(exchange, &chunk, self.now);
            }
            (6..=8, true) => {
                self.live.remove(&exchange);
                probe.handle_end(exchange, self.now);
            }
            (6..=11, _) => {
                let phases = [
                    Phase::Dns,
                    Phase::Connect,
                    Phase::Tls,
                    Phase::Send,
                    Phase::Wait,
                ];
                probe.handle_phase(exchange, *tape.pick(&phases), self.now);
            }
            (12 | 13, _) => {
                let reasons = [
                    Reason::TcpReset,
                    Reason::HttpConnClosed,
                    Reason::DnsNxdomain,
                ];
                self.live.remove(&exchange);
                probe.handle_failure(exchange, *tape.pick(&reasons), "it broke", self.now);
            }
            (14, _) => self.now += Duration::from_secs(3),
            _ => probe.handle_cancel(self.now),
        }
    }

    /// An honest head, or any.
    fn head(&mut self, probe: &mut Sequence, exchange: ExchangeId, tape: &mut Tape<'_>) {
        let head = head(tape);
        let Some(live) = self.live.get_mut(&exchange) else {
            return probe.handle_head(exchange, head, self.now);
        };
        live.has_head = true;
        let id = head.headers.get("mcp-session-id").cloned();
        let fits = |id: &HeaderValue| !id.is_empty() && id.len() <= MAX_SESSION_ID_BYTES;
        let is_initialize = method_of(&live.request) == "initialize" && !live.is_left;
        if head.is_success() && is_initialize && self.given.len() < MAX_SESSIONS {
            self.given.extend(id.filter(fits));
        }
        probe.handle_head(exchange, head, self.now);
    }

    fn keeps_time(&self, probe: &Sequence) {
        let closing = CLOSE_TIMEOUT * u32::try_from(MAX_SESSIONS).unwrap_or(u32::MAX);
        let closing = closing + IDLE + CLEANUP_TIMEOUT * MAX_CALLS;
        let at_most = self.latest.max(self.now) + closing;
        assert!(probe.poll_timeout().is_none_or(|at| at <= at_most));
    }

    fn judge(self, probe: Sequence, plan: &Plan) {
        let rounds = (MAX_INPUT_ROUNDS + MAX_RESUMES + 1) as usize;
        let lists = 1 + plan.lists.len();
        let calls = plan.calls.len() * rounds + lists * MAX_PAGES as usize;
        let most = calls + MAX_SERVER_REQUESTS + MAX_SESSIONS + MAX_OTHER_REQUESTS;
        assert!(self.sent <= most, "{} requests", self.sent);
        let mut owed = self.given.clone();
        for session in &self.returned {
            let at = owed.iter().position(|known| known == session);
            let at = at.unwrap_or_else(|| panic!("{session:?} was never given"));
            owed.remove(at);
        }
        assert!(owed.is_empty(), "not given back: {owed:?}");
        let (findings, outcome) = probe.finish();
        for step in &findings.steps {
            assert_eq!(step.total_us, step.phases_us.values().sum::<u64>());
            let texts = [&step.detail, &step.content_type, &step.tool];
            texts.into_iter().flatten().for_each(|text| harmless(text));
        }
        for (check, _) in findings.examined(|id| plan.severity(id)) {
            check.detail.iter().for_each(|text| harmless(text));
        }
        if let Some(server) = &findings.server {
            harmless(&server.name);
            harmless(&server.version);
        }
        let said = |reason| {
            let mut steps = findings.steps.iter();
            steps.any(|step| step.reason == Some(reason))
        };
        match outcome {
            Outcome::Failed(failure) if failure.reason != Reason::CheckViolated => {
                assert!(said(failure.reason), "{failure:?} is no step's");
            }
            Outcome::Inconclusive { reason } => assert!(said(reason)),
            Outcome::Failed(_) => {}
            Outcome::Ok | Outcome::Degraded { .. } => assert!(findings.failure.is_none()),
        }
    }
}

/// What a body could bring next.
fn chunk(request: Option<&Request>, tape: &mut Tape<'_>) -> Vec<u8> {
    let answer = request.map(honest).unwrap_or_default();
    match tape.below(8) {
        0 => changed(answer, tape).to_string().into_bytes(),
        1 | 2 => format!("data: {}\n\n", changed(answer, tape)).into_bytes(),
        3 => {
            let endpoint = *tape.pick(&["/m?s=1", "https://evil.example/", "//[", ""]);
            format!("event: endpoint\ndata: {endpoint}\n\n").into_bytes()
        }
        4 if tape.byte() & 1 == 1 => {
            let notes = [
                "notifications/progress",
                "notifications/subscriptions/acknowledged",
                "notifications/message",
            ];
            let method = *tape.pick(&notes);
            let id = tape.byte();
            format!(
                "id: {id}\nretry: {id}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{\
                 \"progressToken\":{id},\"_meta\":{{\
                 \"io.modelcontextprotocol/subscriptionId\":{id}}}}}}}\n\n"
            )
            .into_bytes()
        }
        4 => b"data: {\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"ping\"}\n\n".to_vec(),
        5 => {
            // An answer of the stream to whatever is the last request's number.
            let id = tape.byte();
            format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n\n").into_bytes()
        }
        6 => format!("data: {}\n", changed(answer, tape)).into_bytes(),
        _ => tape.bytes().to_vec(),
    }
}
