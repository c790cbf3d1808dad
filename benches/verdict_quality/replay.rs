//! The engine in a world: the same calls as the coordinator makes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::{Failure, Outcome, Phase, Reason, Step};
use serde_json::json;
use verdict::{Judge, Mesh, Ms, Policy, Seen, Witness};

use super::clock::Clock;
use super::score::Told;
use super::sim::as_u64;
use super::world::{Event, Meta, Sample, SelfTest, Source};

/// A scheduled probe that is not answered by then is told to be slow.
const SLOW: Ms = 3000;
/// What comes later than this after its end came with a stall, and so did the word that it is slow.
const STALLED: Ms = 1500;

/// What happens next, beside what the world tells: first what was waited for, then time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    Answer(Sample),
    Slow {
        agent: usize,
        target: usize,
        began: Ms,
    },
}

#[derive(Debug)]
struct Later(Ms, u64, Due);

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Later {}
impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// How a world is replayed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Another span than the policy's own.
    pub(crate) span: Option<Ms>,
    /// The clock of this agent is ahead by so much.
    pub(crate) shift: Option<(usize, i64)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// Lines of the verdict file.
    pub(crate) lines: Vec<String>,
    pub(crate) told: Vec<Told>,
    pub(crate) on_demand: u64,
    pub(crate) scheduled: u64,
}

pub(crate) struct Replay<'a, S> {
    source: &'a mut S,
    meta: Meta,
    options: Options,
    mesh: Mesh,
    judges: Vec<Judge>,
    /// Whether each target was suspected when last looked at.
    suspected: Vec<bool>,
    clocks: Vec<Clock>,
    due: BinaryHeap<Reverse<Later>>,
    seq: u64,
    /// When time was last told to pass.
    now: Ms,
    out: Outcomes,
}

impl<'a, S: Source> Replay<'a, S> {
    pub(crate) fn new(source: &'a mut S, options: Options) -> Self {
        let meta = source.meta().clone();
        let agents = meta.agents.iter().map(|agent| Witness {
            agent: agent.id.clone(),
            region: agent.region.clone(),
            provider: agent.provider.clone(),
            transit: agent.transit.clone(),
            resolver: agent.resolver.clone(),
            version: agent.version.clone(),
            ..Witness::default()
        });
        let panel: Vec<Witness> = agents.collect();
        let mut mesh = Mesh::default();
        for witness in &panel {
            let names = (0..meta.references).map(|n| format!("reference-{n}"));
            mesh.handle_hello(&witness.agent, names.collect(), 0);
        }
        let judges = meta.targets.iter().map(|target| {
            let mut policy = Policy::new(meta.interval, meta.timeout);
            policy.span = options.span.unwrap_or(policy.span);
            policy.hosting.clone_from(&target.hosting);
            policy.holds_credential = true;
            let mut judge = Judge::new(policy, 0);
            judge.assign(panel.clone(), 0);
            judge
        });
        Self {
            mesh,
            judges: judges.collect(),
            suspected: vec![false; meta.targets.len()],
            clocks: vec![Clock::default(); meta.agents.len()],
            source,
            meta,
            options,
            due: BinaryHeap::new(),
            seq: 0,
            now: 0,
            out: Outcomes::default(),
        }
    }

    pub(crate) fn run(mut self) -> Outcomes {
        let mut now = 0;
        while let Some((at, mut event)) = self.source.next() {
            self.shift(&mut event);
            self.foresee(at, &event);
            loop {
                let next = self.due.peek().map_or(Ms::MAX, |Reverse(due)| due.0);
                let timer = self.timer().max(now + 1);
                if timer.min(next) > at {
                    break;
                }
                now = timer.min(next);
                if timer <= next {
                    self.time(timer);
                } else if let Some(Reverse(Later(at, _, due))) = self.due.pop() {
                    self.later(at, due);
                }
            }
            match event {
                Event::Result(sample) => {
                    self.out.scheduled += 1;
                    let end = sample.sent + signed(sample.ms);
                    self.clocks[sample.agent].hear(end, at);
                    let began = self.clocks[sample.agent]
                        .ours(sample.sent)
                        .saturating_sub(40);
                    self.result(&sample, began, at, None);
                }
                Event::Beat(agent, sent, test) => self.heartbeat(agent, sent, &test, at),
            }
        }
        self.out
    }

    /// When time matters next to anybody.
    fn timer(&self) -> Ms {
        let judges = self.judges.iter().map(Judge::poll_timeout);
        let times = self.meta.maintenance.iter().flat_map(|m| [m.from, m.to]);
        let times = times.filter(|at| *at > self.now);
        judges
            .chain(self.mesh.poll_timeout())
            .chain(times)
            .min()
            .unwrap_or(Ms::MAX)
    }

    fn shift(&self, event: &mut Event) {
        let Some((whose, by)) = self.options.shift else {
            return;
        };
        match event {
            Event::Result(sample) if sample.agent == whose => sample.sent += by,
            Event::Beat(agent, sent, _) if *agent == whose => *sent += by,
            Event::Result(_) | Event::Beat(..) => {}
        }
    }

    /// A probe that hangs is told before it is over: the agent knows after three seconds.
    fn foresee(&mut self, at: Ms, event: &Event) {
        let Event::Result(sample) = event else { return };
        let end = sample.sent + signed(sample.ms);
        let mut clock = self.clocks[sample.agent].clone();
        clock.hear(end, at);
        let began = clock.ours(sample.sent);
        if sample.ms > SLOW && at.saturating_sub(began + sample.ms) <= STALLED {
            let (agent, target) = (sample.agent, sample.target);
            self.push(
                began + SLOW,
                Due::Slow {
                    agent,
                    target,
                    began,
                },
            );
        }
    }

    fn push(&mut self, at: Ms, due: Due) {
        self.seq += 1;
        self.due.push(Reverse(Later(at, self.seq, due)));
    }

    fn later(&mut self, at: Ms, due: Due) {
        match due {
            Due::Answer(sample) => {
                let began = u64::try_from(sample.sent).unwrap_or(0);
                self.result(&sample, began, at, Some(false));
            }
            Due::Slow {
                agent,
                target,
                began,
            } => {
                let agent = &self.meta.agents[agent].id;
                self.judges[target].handle_slow(agent, began, &self.mesh, at);
                self.pass_on(target, at);
            }
        }
    }

    fn time(&mut self, now: Ms) {
        self.now = now;
        self.mesh.handle_timeout(now);
        let is_changed = self.agents();
        for target in 0..self.judges.len() {
            self.maintain(target, now);
            let judge = &mut self.judges[target];
            if is_changed || judge.poll_timeout() <= now {
                judge.handle_timeout(&self.mesh, now);
                self.pass_on(target, now);
            }
        }
    }

    fn maintain(&mut self, target: usize, now: Ms) {
        let id = &self.meta.targets[target].id;
        let mut declared = self.meta.maintenance.iter().filter(|m| m.x == *id);
        let is_declared = declared.any(|m| (m.from..m.to).contains(&now));
        self.judges[target].handle_maintenance(is_declared, now);
    }

    fn heartbeat(&mut self, agent: usize, sent: i64, test: &SelfTest, at: Ms) {
        self.clocks[agent].beat(sent, at, self.meta.heartbeat);
        let began = self.clocks[agent].ours(sent);
        if at.saturating_sub(began) > 30_000 {
            let name = &self.meta.agents[agent].id;
            self.mesh.handle_heard(name, at);
            return; // it says nothing else of now
        }
        // Order is all that matters of when it was made.
        let made = began + 1;
        let test = self.test(test);
        let name = &self.meta.agents[agent].id;
        self.mesh.handle_heartbeat(name, made, test, at);
        if self.agents() {
            self.time(at);
        }
    }

    const fn test(&self, test: &SelfTest) -> verdict::SelfTest {
        verdict::SelfTest {
            asked: (1 << self.meta.references) - 1,
            answered: test.references,
            peers: test.peers.1,
            peers_ok: test.peers.0,
            others: 0,
            others_ok: 0,
            lag: test.lag,
        }
    }

    fn result(&mut self, sample: &Sample, began: Ms, at: Ms, confirms: Option<bool>) {
        self.seq += 1;
        let outcome = sample.failure.as_ref().map_or(Outcome::Ok, outcome);
        let is_failure = matches!(outcome, Outcome::Failed(_));
        let seen = Seen {
            began,
            seq: self.seq,
            took: sample.ms,
            outcome,
            edge: sample.edge.clone(),
            confirms,
            ..Seen::default()
        };
        let agent = self.meta.agents[sample.agent].id.clone();
        self.mesh.handle_heard(&agent, at);
        let test = self.test(&sample.test);
        let judge = &mut self.judges[sample.target];
        judge.handle_outcome(&agent, &seen, &self.mesh, at);
        if is_failure {
            let attested = self.mesh.attest(&agent, &test, at);
            judge.handle_attestation(&agent, self.seq, attested, &self.mesh, at);
        }
        self.pass_on(sample.target, at);
        if self.agents() {
            self.time(at);
        }
    }

    /// Tells what has changed of agents; whether anyone's votes count otherwise now.
    fn agents(&mut self) -> bool {
        let mut is_changed = false;
        while let Some(change) = self.mesh.poll_change() {
            is_changed = true;
            let is_fault = change.fault.is_some();
            let state = if is_fault { "agent_fault" } else { "ok" };
            let line = json!({ "t": change.at, "a": change.agent, "state": state });
            self.out.lines.push(line.to_string());
            let at = self.meta.agents.iter().position(|a| a.id == change.agent);
            let told = at.map(|at| Told::Agent(change.at, at, is_fault));
            self.out.told.extend(told);
        }
        is_changed
    }

    fn pass_on(&mut self, at: usize, now: Ms) {
        let target = self.meta.targets[at].id.clone();
        let mut asked = 0;
        while let Some(ask) = self.judges[at].poll_ask() {
            asked += 1;
            let agent = self.meta.agents.iter().position(|a| a.id == ask.agent);
            let timeout = ask.timeout.min(self.meta.timeout);
            let answer = agent.and_then(|agent| self.source.probe(agent, at, now + 50, timeout));
            if let Some((comes, sample)) = answer {
                self.push(comes, Due::Answer(sample));
            }
        }
        self.out.on_demand += asked;
        while let Some(change) = self.judges[at].poll_transition() {
            let line = json!({
                "t": change.at, "x": target, "state": change.verdict.as_str(),
                "scope": change.scope, "reason": change.reason, "why": change.why,
                "probes": std::mem::take(&mut asked),
            });
            self.out.lines.push(line.to_string());
            let told = Told::Target(change.at, at, change.verdict.as_str());
            self.out.told.push(told);
        }
        while let Some((agent, stance, since)) = self.judges[at].poll_stance() {
            let hosting = &self.meta.targets[at].hosting;
            self.mesh
                .handle_stance(&agent, &target, hosting, stance, since);
        }
        let is_suspected = self.judges[at].suspicion().is_some();
        let was = std::mem::replace(&mut self.suspected[at], is_suspected);
        if is_suspected && !was {
            self.out.told.push(Told::Suspected(now, at));
        }
    }
}

fn signed(ms: Ms) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn outcome((step, err): &(String, String)) -> Outcome {
    let (step, phase) = match step.as_str() {
        "dns" => (Step::Initialize, Phase::Dns),
        "tcp" => (Step::Initialize, Phase::Connect),
        "tls" => (Step::Initialize, Phase::Tls),
        "tools_list" => (Step::ToolsList, Phase::Wait),
        _ => (Step::Initialize, Phase::Wait),
    };
    let reason = match (err.as_str(), phase) {
        ("nxdomain", _) => Reason::DnsNxdomain,
        ("cert_expired", _) => Reason::TlsCertExpired,
        ("http_401", _) => Reason::AuthTokenRejected,
        ("http_403", _) => Reason::Forbidden,
        ("http_429", _) => Reason::RateLimited,
        ("http_5xx", _) => Reason::Server5xx,
        ("jsonrpc_error", _) => Reason::McpRpcError,
        ("refused", _) => Reason::TcpRefused,
        (_, Phase::Dns) => Reason::DnsTimeout,
        (_, Phase::Connect) => Reason::TcpTimeout,
        (_, Phase::Tls) => Reason::TlsTimeout,
        (_, Phase::Send | Phase::Wait | Phase::Receive) => Reason::HttpTimeoutHeaders,
    };
    Outcome::of_failure(Failure {
        step,
        phase,
        reason,
    })
}

/// How many monitors and agents it was, for the table.
pub(crate) fn hours(target_ms: Ms) -> u64 {
    target_ms / as_u64(3_600_000)
}
