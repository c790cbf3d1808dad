//! The loop of one probe: events in, commands out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use auth::Authorizer;
use dial::{Dialer, Endpoint};
use http::header::{USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use mcp::{Command, EraRecord, ExchangeId, Sequence};
use model::{Reason, Report};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::{self, Access};
use crate::addresses;
use crate::alternative;
use crate::clock::now;
use crate::exchange::{self, Event, Outlet, What};
use crate::h3::IS_BUILT as HAS_HTTP3;
use crate::health;
use crate::job::Job;
use crate::link::Link;
use crate::report::{self, Ended, Probed, Survey};
use crate::seen::Facts;

/// Events that may wait for the state machine: enough for the phases of some exchanges, few
/// enough that a flood of chunks is throttled at the socket.
const EVENT_QUEUE: usize = 64;
/// How long the rest of an answered response may take before its connection is given up.
const DRAIN: Duration = Duration::from_millis(20);
/// Lines of `WWW-Authenticate` that are kept.
const MAX_CHALLENGES: usize = 4;
/// How long a second handshake may take, which only shows whether the server resumes.
const RESUMPTION: Duration = Duration::from_secs(3);

/// Runs one probe to its end. What goes wrong is in the report; this never fails.
///
/// When `cancel` fires the probe ends soon, after closing what it holds at the server.
///
/// Beside the report comes what was negotiated, for a cache of eras.
pub async fn run(
    dialer: &Dialer,
    job: Job,
    cancel: &CancellationToken,
) -> (Report, Option<EraRecord>) {
    let Survey { report, era, .. } = survey(dialer, job, cancel).await;
    (report, era)
}

/// Runs one probe to its end, like [`run`], and gives the listed tools too.
pub async fn survey(dialer: &Dialer, mut job: Job, cancel: &CancellationToken) -> Survey {
    let Some(authorizer) = job.authorizer.clone() else {
        return attempt(dialer, job, Access::default(), cancel).await;
    };
    let unkeyed = job.clone();
    let authorized = authorize(dialer, &mut job, &authorizer, cancel).await;
    let access = match authorized {
        Ok(access) => access,
        Err(ended) => return report::without_token(job, ended),
    };
    let is_kept = access.is_kept;
    let survey = attempt(dialer, job, access, cancel).await;
    if !(is_kept && is_turned_away(&survey.report)) {
        return survey;
    }
    // The token may have ended early. Once more with a new one, then it is a finding.
    authorizer.reject();
    let mut job = unkeyed;
    match authorize(dialer, &mut job, &authorizer, cancel).await {
        Ok(access) => attempt(dialer, job, access, cancel).await,
        Err(ended) => report::without_token(job, ended),
    }
}

async fn authorize(
    dialer: &Dialer,
    job: &mut Job,
    authorizer: &Authorizer,
    cancel: &CancellationToken,
) -> Result<Access, Ended> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Ended::Cancelled),
        authorized = access::authorize(dialer, job, authorizer) => {
            authorized.map_err(|(refusal, access)| Ended::Refused(refusal, access))
        }
    }
}

/// Whether the very first step was answered with 401: nothing has been called yet.
fn is_turned_away(report: &Report) -> bool {
    let first = report.steps.first();
    report.outcome.reason() == Some(Reason::AuthTokenRejected)
        && first.is_some_and(|step| step.reason == Some(Reason::AuthTokenRejected))
}

/// One run, with the credential that the job has now: each address is probed with the same.
async fn attempt(dialer: &Dialer, job: Job, access: Access, cancel: &CancellationToken) -> Survey {
    let endpoint = endpoint(&job);
    let (mut probed, compared) = match endpoint {
        Some(endpoint) if job.network.alt_svc && HAS_HTTP3 && endpoint.proxy().is_none() => {
            let mut probed = once(dialer, job.clone(), Some(endpoint.clone()), cancel).await;
            probed.http3 = alternative::probe(dialer, &job, &endpoint, &probed, cancel).await;
            (probed, None)
        }
        // Where a proxy resolves the name, nobody here knows its addresses.
        Some(endpoint) if job.network.all_addresses && endpoint.proxy().is_none() => {
            let probed = once(dialer, job.clone(), Some(endpoint.clone()), cancel).await;
            let compared = addresses::probe_each(dialer, &job, &endpoint, cancel).await;
            (probed, Some(compared))
        }
        endpoint => (once(dialer, job.clone(), endpoint, cancel).await, None),
    };
    probed.access = access;
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = access::examine(dialer, &job, &mut probed) => {}
    }
    access::check(&job, &mut probed.access, probed.sequence.findings_mut());
    report::assemble(probed, compared)
}

/// Where a job goes. A target's URL always has a host; without one there is nothing to run.
fn endpoint(job: &Job) -> Option<Endpoint> {
    let endpoint = Endpoint::of(&job.plan.url)?
        .through(job.proxy.clone())
        .detoured(&job.network.connect_to)
        .named(job.network.sni.clone());
    Some(endpoint)
}

/// One sequence against one endpoint.
pub(crate) async fn once(
    dialer: &Dialer,
    job: Job,
    endpoint: Option<Endpoint>,
    cancel: &CancellationToken,
) -> Probed {
    let started = now();
    let mut plan = job.plan.clone();
    plan.is_proxied = endpoint.as_ref().is_some_and(|to| to.proxy().is_some());
    let wall = job.wall.duration_since(jiff::Timestamp::UNIX_EPOCH);
    plan.wall = Duration::try_from(wall).ok();
    let secrets = secrets(&job);
    let mut headers = job.headers.clone();
    headers
        .entry(USER_AGENT)
        .or_insert_with(|| job.contact.user_agent());
    let mut sequence = Sequence::new(plan.clone(), started);
    let mut facts = Facts::default();
    let mut elapsed = Duration::ZERO;
    let mut received_bytes = 0;
    let (mut health, mut challenges) = (None, None);
    if let Some(endpoint) = endpoint {
        let link = Link::new(dialer.clone(), endpoint, job.origin, job.alpn, &job.network);
        let mut driver = Driver::new(link, headers);
        // What is asked beside the sequence takes no time from it.
        let beside = async {
            tokio::select! {
                seen = health::ask(dialer, &job, &secrets) => seen,
                () = cancel.cancelled() => None,
            }
        };
        let sequence = async {
            driver.run(&mut sequence, cancel).await;
            now()
        };
        let (ended, seen) = tokio::join!(sequence, beside);
        health = seen;
        elapsed = ended.saturating_duration_since(started);
        received_bytes = driver.link.meter.read();
        if job.network.tls_resumption && !cancel.is_cancelled() {
            driver.link.try_resumption(RESUMPTION).await;
        }
        facts = driver.link.close().await;
        challenges = driver.challenges.take();
    }
    Probed {
        plan,
        sequence,
        facts,
        received_bytes,
        health,
        http3: None,
        access: Access::default(),
        challenges,
        secrets,
        wall: job.wall,
        elapsed,
    }
}

/// The values of the headers and, of `Bearer x`, also x: those long enough to be secrets; and what
/// gets the token.
pub(crate) fn secrets(job: &Job) -> Vec<String> {
    const SHORTEST: usize = 6;
    let authorizer = job.authorizer.iter();
    let mut secrets: Vec<String> = authorizer.flat_map(|known| known.secrets()).collect();
    for value in job.headers.values().filter_map(|value| value.to_str().ok()) {
        let words = value.split_ascii_whitespace();
        secrets.extend(
            words
                .filter(|word| word.len() >= SHORTEST)
                .map(str::to_owned),
        );
        if value.len() >= SHORTEST {
            secrets.push(value.to_owned());
        }
    }
    // Whole values before their parts.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

struct Driver {
    link: Arc<Link>,
    headers: Arc<HeaderMap>,
    events: mpsc::Receiver<Event>,
    outlet: mpsc::Sender<Event>,
    exchanges: BTreeMap<ExchangeId, JoinHandle<()>>,
    /// `WWW-Authenticate` of the first 401.
    challenges: Option<Vec<String>>,
}

impl Driver {
    fn new(link: Link, headers: HeaderMap) -> Self {
        let (outlet, events) = mpsc::channel(EVENT_QUEUE);
        Self {
            link: Arc::new(link),
            headers: Arc::new(headers),
            events,
            outlet,
            exchanges: BTreeMap::new(),
            challenges: None,
        }
    }

    async fn run(&mut self, sequence: &mut Sequence, cancel: &CancellationToken) {
        let mut cancelled = false;
        loop {
            while let Some(command) = sequence.poll_command() {
                self.carry_out(command).await;
            }
            let Some(deadline) = sequence.poll_timeout() else {
                return;
            };
            tokio::select! {
                biased;
                () = cancel.cancelled(), if !cancelled => {
                    cancelled = true;
                    // A session id that has already arrived must not be lost.
                    while let Ok(event) = self.events.try_recv() {
                        self.feed(sequence, event);
                    }
                    sequence.handle_cancel(now());
                }
                Some(event) = self.events.recv() => {
                    // Time is up where the event happened, however full the queue is.
                    if event.at >= deadline {
                        sequence.handle_timeout(event.at);
                    }
                    self.feed(sequence, event);
                }
                () = tokio::time::sleep_until(deadline.into()) => sequence.handle_timeout(now()),
            }
        }
    }

    fn feed(&mut self, sequence: &mut Sequence, event: Event) {
        let Event { exchange, at, what } = event;
        match what {
            What::Phase(phase) => sequence.handle_phase(exchange, phase, at),
            What::Head(head) => {
                if head.status == StatusCode::UNAUTHORIZED && self.challenges.is_none() {
                    let lines = head.headers.get_all(WWW_AUTHENTICATE).iter();
                    let lines = lines.filter_map(|line| line.to_str().ok());
                    let lines = lines.take(MAX_CHALLENGES).map(str::to_owned);
                    self.challenges = Some(lines.collect());
                }
                sequence.handle_head(exchange, head, at);
            }
            What::Chunk(bytes) => sequence.handle_chunk(exchange, &bytes, at),
            What::End => sequence.handle_end(exchange, at),
            What::Failed(fault) => {
                sequence.handle_failure(exchange, fault.reason, fault.detail, at);
            }
        }
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Send { exchange, request } => {
                let outlet = Outlet::new(exchange, self.outlet.clone());
                let (link, headers) = (Arc::clone(&self.link), Arc::clone(&self.headers));
                let task = tokio::spawn(exchange::run(link, request, headers, outlet));
                self.exchanges.insert(exchange, task);
            }
            Command::Release(exchange) => {
                if let Some(mut task) = self.exchanges.remove(&exchange) {
                    let drained = tokio::time::timeout(DRAIN, &mut task).await;
                    if drained.is_err() {
                        task.abort();
                    }
                }
            }
            Command::Abort(exchange) => {
                if let Some(task) = self.exchanges.remove(&exchange) {
                    task.abort();
                }
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        for task in self.exchanges.values() {
            task.abort();
        }
    }
}
