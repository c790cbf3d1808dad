//! The engine in a recorded world: the same calls as the coordinator makes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use model::{Failure, Outcome, Phase, Reason, Step};
use serde_json::{Value, json};
use verdict::{Judge, Mesh, Ms, Policy, Seen, SelfTest, Witness};

use super::world::{Answer, World, text};

/// How long the wall clock of an agent is believed to go as it went.
const OFFSET_LIFE: Ms = 3_600_000;

/// A result of a probe on demand, when it comes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Ms,
    number: u64,
    agent: String,
    target: String,
    event: String,
}

pub(crate) struct Replay<'a> {
    world: &'a World,
    mesh: Mesh,
    judges: BTreeMap<String, Judge>,
    /// How far each agent's clock is ahead, and when that was learned.
    offsets: BTreeMap<String, (i64, Ms)>,
    references: u64,
    timeout: Ms,
    due: BinaryHeap<Reverse<Due>>,
    seq: u64,
    asked: u64,
    lines: Vec<String>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let meta = &world.meta;
        let number = |name: &str| meta[name].as_u64().unwrap_or_default();
        let policy = Policy {
            interval: number("interval"),
            timeout: number("timeout"),
            calls: Vec::new(),
            accept_weak: false,
        };
        let agents = meta["agents"].as_array().into_iter().flatten();
        let witness = |agent: &Value| Witness {
            agent: text(&agent["id"]),
            region: text(&agent["region"]),
            provider: text(&agent["provider"]),
        };
        let panel: Vec<Witness> = agents.map(witness).collect();
        let references = number("n_refs");
        let mut mesh = Mesh::default();
        for witness in &panel {
            let names = (0..references).map(|n| format!("reference-{n}"));
            mesh.handle_hello(&witness.agent, names.collect(), 0);
        }
        let targets = meta["targets"].as_array().into_iter().flatten();
        let judges = targets.map(|target| {
            let mut judge = Judge::new(policy.clone(), 0);
            judge.assign(panel.clone(), 0);
            (text(&target["id"]), judge)
        });
        Self {
            world,
            mesh,
            judges: judges.collect(),
            offsets: BTreeMap::new(),
            references,
            timeout: number("timeout"),
            due: BinaryHeap::new(),
            seq: 0,
            asked: 0,
            lines: Vec::new(),
        }
    }

    pub(crate) const fn confirmations(&self) -> u64 {
        self.asked
    }

    pub(crate) fn run(&mut self) -> Vec<String> {
        let world = self.world;
        let mut tick = 1000;
        for event in &world.events {
            let at = event["t"].as_u64().unwrap_or_default();
            loop {
                let next = self.due.peek().map_or(Ms::MAX, |Reverse(due)| due.at);
                if tick.min(next) > at {
                    break;
                }
                if tick <= next {
                    self.time(tick);
                    tick += 1000;
                } else if let Some(Reverse(due)) = self.due.pop() {
                    let event = serde_json::from_str(&due.event).unwrap_or(Value::Null);
                    self.result(&event, true);
                }
            }
            match event["k"].as_str() {
                Some("r") => self.result(event, false),
                Some("h") => self.heartbeat(event),
                _ => {}
            }
        }
        std::mem::take(&mut self.lines)
    }

    fn time(&mut self, now: Ms) {
        self.mesh.handle_timeout(now);
        let is_changed = self.agents();
        for judge in self.judges.values_mut() {
            if is_changed || judge.poll_timeout() <= now {
                judge.handle_timeout(&self.mesh, now);
            }
        }
        self.pass_on(now);
    }

    /// When something of an agent's clock was on our axis: what is in a frame has an age there,
    /// which these worlds do not record.
    fn ours(&mut self, agent: &str, end: u64, at: Ms, then: u64) -> Ms {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let ahead = signed(end) - signed(at);
        let known = self.offsets.get(agent);
        let is_better = known.is_none_or(|(offset, since)| {
            ahead > *offset || at.saturating_sub(*since) > OFFSET_LIFE
        });
        if is_better {
            self.offsets.insert(agent.to_owned(), (ahead, at));
        }
        let offset = self.offsets.get(agent).map_or(0, |(offset, _)| *offset);
        u64::try_from(signed(then) - offset).unwrap_or(0)
    }

    fn heartbeat(&mut self, event: &Value) {
        let (agent, at) = (text(&event["a"]), number(&event["t"]));
        let sent = number(&event["ts"]);
        let began = self.ours(&agent, sent, at, sent);
        if at.saturating_sub(began) > 30_000 {
            return; // it says nothing of now
        }
        let test = self.test(&text(&event["ref"]), number(&event["lag"]));
        self.mesh.handle_heartbeat(&agent, sent, test, at);
        if self.agents() {
            self.time(at);
        }
        self.pass_on(at);
    }

    fn test(&self, references: &str, lag: Ms) -> SelfTest {
        let bits = references.bytes().enumerate();
        let answered = bits.filter(|(_, bit)| *bit == b'1');
        SelfTest {
            asked: (1 << self.references) - 1,
            answered: answered.fold(0, |set, (n, _)| set | 1 << n),
            lag,
            ..SelfTest::default()
        }
    }

    fn result(&mut self, event: &Value, is_confirmation: bool) {
        let (agent, target) = (text(&event["a"]), text(&event["x"]));
        let (at, sent, took) = (
            number(&event["t"]),
            number(&event["ts"]),
            number(&event["ms"]),
        );
        let began = if is_confirmation {
            sent
        } else {
            self.ours(&agent, sent + took, at, sent).saturating_sub(40)
        };
        self.seq += 1;
        let outcome = outcome(event);
        let is_failure = matches!(outcome, Outcome::Failed(_));
        let seen = Seen {
            began,
            seq: self.seq,
            took,
            outcome,
            tool: None,
            confirms: is_confirmation.then_some(false),
            retry_after: None,
        };
        if at.saturating_sub(began) < 30_000 {
            self.mesh.handle_heard(&agent, at);
        }
        let test = self.test(&text(&event["ref"]), number(&event["lag"]));
        if let Some(judge) = self.judges.get_mut(&target) {
            judge.handle_outcome(&agent, &seen, &self.mesh, at);
            if is_failure {
                let attested = self.mesh.attest(&agent, &test, at);
                judge.handle_attestation(&agent, self.seq, attested, &self.mesh, at);
            }
        }
        if self.agents() {
            self.time(at);
        }
        self.pass_on(at);
    }

    /// Tells what has changed of agents; whether anything has.
    fn agents(&mut self) -> bool {
        let mut is_changed = false;
        while let Some(change) = self.mesh.poll_change() {
            is_changed = true;
            let state = if change.fault.is_some() {
                "agent_fault"
            } else {
                "ok"
            };
            let line = json!({ "t": change.at, "a": change.agent, "state": state });
            self.lines.push(line.to_string());
        }
        is_changed
    }

    fn pass_on(&mut self, now: Ms) {
        let mut asks = Vec::new();
        for (target, judge) in &mut self.judges {
            while let Some(ask) = judge.poll_ask() {
                asks.push((target.clone(), ask));
            }
            while let Some(change) = judge.poll_transition() {
                let line = json!({
                    "t": change.at, "x": target, "state": change.verdict.as_str(),
                    "scope": change.scope, "reason": change.reason, "why": change.why,
                });
                self.lines.push(line.to_string());
            }
        }
        for (target, ask) in asks {
            self.asked += 1;
            self.probe(&ask.agent, &target, now + 50, ask.timeout.min(self.timeout));
        }
    }

    /// A probe on demand, as the recorded world answers it.
    fn probe(&mut self, agent: &str, target: &str, start: Ms, timeout: Ms) {
        let world = self.world;
        let lasts = |from: Ms, to: Ms| (from..to).contains(&start);
        let mut held = 0;
        for fate in world.fates.get(agent).into_iter().flatten() {
            if lasts(fate.from, fate.to) {
                if fate.mode == "dead" {
                    return;
                }
                held = fate.to + 100;
            }
        }
        let path = (agent.to_owned(), target.to_owned());
        let usual = world.usual.get(&path).copied().unwrap_or(100);
        let answers = world.answers.get(&path).into_iter().flatten();
        let mut answers = answers.filter(|answer: &&Answer| lasts(answer.from, answer.to));
        let answer = answers.next();
        let ms = answer.map_or(usual, |answer| answer.ms).min(timeout);
        let mut event =
            json!({ "k": "r", "a": agent, "x": target, "ok": true, "ms": ms, "ts": start });
        match answer {
            Some(answer) if !answer.ok => {
                event["ok"] = json!(false);
                event["step"] = json!(answer.step);
                event["err"] = json!(answer.err);
            }
            Some(answer) if answer.ms >= timeout => {
                event["ok"] = json!(false);
                event["step"] = json!("tools_list");
                event["err"] = json!("timeout");
            }
            Some(_) | None => {}
        }
        let tests = world.tests.get(agent).into_iter().flatten();
        let mut tests = tests.filter(|test| (test.from..test.to).contains(&(start + ms)));
        let all = "1".repeat(usize::try_from(self.references).unwrap_or(0));
        let test = tests.next();
        event["ref"] = json!(test.map_or(&all, |test| &test.references));
        event["lag"] = json!(test.map_or(5, |test| test.lag));
        let at = (start + ms + 80).max(held);
        event["t"] = json!(at);
        self.seq += 1;
        self.due.push(Reverse(Due {
            at,
            number: self.seq,
            agent: agent.to_owned(),
            target: target.to_owned(),
            event: event.to_string(),
        }));
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn outcome(event: &Value) -> Outcome {
    if event["ok"] == true {
        return Outcome::Ok;
    }
    let (step, phase) = match event["step"].as_str() {
        Some("dns") => (Step::Initialize, Phase::Dns),
        Some("tcp") => (Step::Initialize, Phase::Connect),
        Some("tls") => (Step::Initialize, Phase::Tls),
        Some("tools_list") => (Step::ToolsList, Phase::Wait),
        _ => (Step::Initialize, Phase::Wait),
    };
    let reason = match (event["err"].as_str().unwrap_or_default(), phase) {
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
