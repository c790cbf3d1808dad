//! The loop of one probe: events in, commands out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dial::{Dialer, Endpoint};
use http::HeaderMap;
use http::header::USER_AGENT;
use mcp::{Command, EraRecord, ExchangeId, Sequence};
use model::Report;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::now;
use crate::exchange::{self, Event, Outlet, What};
use crate::job::Job;
use crate::link::Link;
use crate::report;

/// Events that may wait for the state machine: enough for the phases of some exchanges, few
/// enough that a flood of chunks is throttled at the socket.
const EVENT_QUEUE: usize = 64;
/// How long the rest of an answered response may take before its connection is given up.
const DRAIN: Duration = Duration::from_millis(20);

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
    let started = now();
    let endpoint = Endpoint::of(&job.plan.url).map(|endpoint| endpoint.through(job.proxy));
    let url = job.plan.url.clone();
    let mut plan = job.plan;
    plan.is_proxied = endpoint.as_ref().is_some_and(|to| to.proxy().is_some());
    let wall = job.wall.duration_since(jiff::Timestamp::UNIX_EPOCH);
    plan.wall = Duration::try_from(wall).ok();
    let secrets = secrets(&job.headers);
    let mut headers = job.headers;
    headers
        .entry(USER_AGENT)
        .or_insert_with(|| job.contact.user_agent());
    let mut sequence = Sequence::new(plan.clone(), started);
    let mut facts = None;
    // A target URL always has a host; without one there is nothing to run.
    if let Some(endpoint) = endpoint {
        let link = Link::new(dialer.clone(), endpoint, job.origin, job.alpn);
        let mut driver = Driver::new(link, headers);
        driver.run(&mut sequence, cancel).await;
        facts = driver.link.facts();
    }
    let elapsed = now().saturating_duration_since(started);
    report::assemble(url, &plan, sequence, facts, &secrets, job.wall, elapsed)
}

/// The values of the user's headers and, of `Bearer x`, also x: those long enough to be secrets.
fn secrets(headers: &HeaderMap) -> Vec<String> {
    const SHORTEST: usize = 6;
    let mut secrets: Vec<String> = Vec::new();
    for value in headers.values().filter_map(|value| value.to_str().ok()) {
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
                        feed(sequence, event);
                    }
                    sequence.handle_cancel(now());
                }
                Some(event) = self.events.recv() => {
                    // Time is up where the event happened, however full the queue is.
                    if event.at >= deadline {
                        sequence.handle_timeout(event.at);
                    }
                    feed(sequence, event);
                }
                () = tokio::time::sleep_until(deadline.into()) => sequence.handle_timeout(now()),
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

fn feed(sequence: &mut Sequence, event: Event) {
    let Event { exchange, at, what } = event;
    match what {
        What::Phase(phase) => sequence.handle_phase(exchange, phase, at),
        What::Head(head) => sequence.handle_head(exchange, head, at),
        What::Chunk(bytes) => sequence.handle_chunk(exchange, &bytes, at),
        What::End => sequence.handle_end(exchange, at),
        What::Failed(fault) => {
            sequence.handle_failure(exchange, fault.reason, fault.detail, at);
        }
    }
}
