//! One target and its agents under virtual time: what is broken when, and what is said of it.

use model::verdict::Flag;
use model::{Failure, Phase, RegionState, Step};
use proptest::prelude::*;

use super::tally::{Level, Tally};
use super::*;
use crate::mesh::SelfTest;

mod flap;
mod hold;
mod invariants;
mod regressions;
mod rules;

const SECOND: Ms = 1000;
const INTERVAL: Ms = 10 * SECOND;
/// Four regions on four providers, two agents in each region and on each provider.
const RING: [(&str, &str); 8] = [
    ("eu", "a"),
    ("eu", "b"),
    ("us", "b"),
    ("us", "c"),
    ("ap", "c"),
    ("ap", "d"),
    ("sa", "d"),
    ("sa", "a"),
];

/// What an agent meets when it probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Fine,
    Refused,
    /// The request hangs until the probe's time is up.
    Hangs,
    Walled,
    Limited,
    ToolFails,
    /// The agent's own network is gone.
    Offline,
    /// The agent does not run.
    Dead,
    Slow,
    /// The agent leaves the target alone: because it was turned away, or because it was told so.
    Held,
    Told,
}

type Plan = Box<dyn Fn(usize, Ms) -> Path>;

struct World {
    interval: Ms,
    judge: Judge,
    mesh: Mesh,
    plan: Plan,
    now: Ms,
    seq: u64,
    /// Results and self-tests on their way: when they come, whose, what.
    coming: Vec<(Ms, usize, Coming)>,
    log: Vec<Transition>,
    confirmations: usize,
    references: usize,
    /// What a target that turns agents away asks for.
    retry_after: Option<Ms>,
    holds: Vec<(Ms, Ms)>,
    /// When confirmations were asked for.
    asked: Vec<Ms>,
    /// Which edge each agent meets.
    edge: fn(usize) -> Option<String>,
    /// Whether each agent that fails has failed on another hosting just before.
    fails_elsewhere: bool,
}

#[derive(Debug, Clone)]
enum Coming {
    Outcome(Seen),
    Test(u64, SelfTest),
    Start(Option<Ask>),
    Held(bool, Ms),
}

fn names() -> Vec<String> {
    (0..RING.len()).map(|n| format!("agent-{n}")).collect()
}

fn policy() -> Policy {
    Policy {
        calls: vec![Call {
            tool: "lookup".to_owned(),
            is_repeatable: true,
        }],
        ..Policy::new(INTERVAL, 5 * SECOND)
    }
}

impl World {
    fn new(agents: usize, plan: impl Fn(usize, Ms) -> Path + 'static) -> Self {
        Self::every(INTERVAL, agents, plan)
    }

    /// A world in which each agent probes so often.
    fn every(interval: Ms, agents: usize, plan: impl Fn(usize, Ms) -> Path + 'static) -> Self {
        let policy = Policy {
            interval,
            ..policy()
        };
        let mut world = Self {
            interval,
            judge: Judge::new(policy, 0),
            mesh: Mesh::default(),
            plan: Box::new(plan),
            now: 0,
            seq: 0,
            coming: Vec::new(),
            log: Vec::new(),
            confirmations: 0,
            references: 5,
            retry_after: None,
            holds: Vec::new(),
            asked: Vec::new(),
            edge: |_| None,
            fails_elsewhere: false,
        };
        let witness = |(n, (region, provider)): (usize, &(&str, &str))| Witness {
            agent: names()[n].clone(),
            region: (*region).to_owned(),
            provider: (*provider).to_owned(),
            ..Witness::default()
        };
        let panel = RING.iter().take(agents).enumerate().map(witness);
        world.judge.assign(panel.collect(), 0);
        for at in 0..agents {
            let offset = (at as u64 * 618 % 1000) * interval / 1000;
            world.coming.push((offset, at, Coming::Start(None)));
        }
        world
    }

    fn without_references(mut self) -> Self {
        self.references = 0;
        self
    }

    fn test(&self, at: usize) -> SelfTest {
        let asked = (1 << self.references) - 1;
        let is_offline = (self.plan)(at, self.now) == Path::Offline;
        SelfTest {
            asked,
            answered: if is_offline { 0 } else { asked },
            ..SelfTest::default()
        }
    }

    fn probe(&mut self, at: usize, ask: Option<Ask>) {
        let path = (self.plan)(at, self.now);
        if path == Path::Dead {
            return;
        }
        if matches!(path, Path::Held | Path::Told) {
            if ask.is_none() {
                let held = Coming::Held(path == Path::Held, self.now);
                self.coming.push((self.now + 50, at, held));
            }
            return;
        }
        let timeout = ask.as_ref().map_or(policy().timeout, |ask| ask.timeout);
        let with_calls = ask.as_ref().map(|ask| ask.with_calls);
        let failed = |step, reason| {
            Outcome::of_failure(Failure {
                step,
                phase: Phase::Wait,
                reason,
            })
        };
        let (outcome, took) = match path {
            Path::Fine | Path::Dead | Path::Held | Path::Told => (Outcome::Ok, 100),
            Path::Slow => (Outcome::Ok, 2000),
            Path::Refused => (failed(Step::Initialize, Reason::TcpRefused), 20),
            Path::Hangs | Path::Offline => (failed(Step::Initialize, Reason::TcpTimeout), timeout),
            Path::Walled => (failed(Step::Initialize, Reason::AuthTokenRejected), 50),
            Path::Limited => (failed(Step::Initialize, Reason::RateLimited), 50),
            Path::ToolFails if with_calls == Some(false) => (Outcome::Ok, 100),
            Path::ToolFails => (failed(Step::ToolsCall, Reason::ToolError), 120),
        };
        self.seq += 1;
        let is_failure = matches!(outcome, Outcome::Failed(_));
        let seen = Seen {
            began: self.now,
            seq: self.seq,
            took,
            outcome,
            tool: (path == Path::ToolFails).then(|| "lookup".to_owned()),
            confirms: with_calls,
            retry_after: (path == Path::Limited)
                .then_some(self.retry_after)
                .flatten(),
            edge: (self.edge)(at),
            ..Seen::default()
        };
        let comes = self.now + took + 50;
        self.coming.push((comes, at, Coming::Outcome(seen)));
        if is_failure {
            let attests = comes + if path == Path::Offline { 2500 } else { 200 };
            let (now, seq) = (self.now, self.seq);
            self.now = comes;
            let test = self.test(at);
            self.now = now;
            self.coming.push((attests, at, Coming::Test(seq, test)));
        }
    }

    fn take(&mut self, at: usize, coming: Coming) {
        let agent = self.judge.panel().witnesses()[at].agent.clone();
        match coming {
            Coming::Start(None) => {
                self.probe(at, None);
                self.coming
                    .push((self.now + self.interval, at, Coming::Start(None)));
            }
            Coming::Start(ask) => self.probe(at, ask),
            Coming::Held(is_limited, began) => {
                let judge = &mut self.judge;
                judge.handle_held(&agent, is_limited, began, &self.mesh, self.now);
            }
            Coming::Outcome(seen) => {
                self.mesh.handle_heard(&agent, self.now);
                if self.fails_elsewhere && matches!(seen.outcome, Outcome::Failed(_)) {
                    self.mesh.handle_failure(&agent, "elsewhere", self.now);
                }
                self.judge
                    .handle_outcome(&agent, &seen, &self.mesh, self.now);
            }
            Coming::Test(seq, test) => {
                let attested = self.mesh.attest(&agent, &test, self.now);
                self.judge
                    .handle_attestation(&agent, seq, attested, &self.mesh, self.now);
            }
        }
    }

    /// Runs until `end`, in steps of 50 ms.
    fn run(&mut self, end: Ms) {
        while self.now < end {
            if self.now.is_multiple_of(15 * SECOND) {
                for at in 0..self.judge.ballots.len() {
                    if (self.plan)(at, self.now) != Path::Dead {
                        let test = self.test(at);
                        let now = self.now;
                        let agent = self.judge.panel().witnesses()[at].agent.clone();
                        self.mesh.handle_heartbeat(&agent, now + 1, test, now);
                    }
                }
            }
            self.mesh.handle_timeout(self.now);
            while self.mesh.poll_change().is_some() {}
            while let Some(n) = self.coming.iter().position(|(at, ..)| *at <= self.now) {
                let (_, at, coming) = self.coming.remove(n);
                self.take(at, coming);
            }
            if self.judge.poll_timeout() <= self.now {
                let now = self.now;
                self.judge.handle_timeout(&self.mesh, now);
            }
            while let Some(ask) = self.judge.poll_ask() {
                self.confirmations += 1;
                self.asked.push(self.now);
                let at = self.judge.panel().find(&ask.agent).unwrap();
                self.coming
                    .push((self.now + 50, at, Coming::Start(Some(ask))));
            }
            while let Some(change) = self.judge.poll_transition() {
                self.log.push(change);
            }
            while let Some(pause) = self.judge.poll_hold() {
                self.holds.push((self.now, pause));
            }
            self.now += 50;
        }
    }

    fn verdicts(&self) -> Vec<(Verdict, Option<&str>)> {
        let changes = self.log.iter();
        changes.map(|c| (c.verdict, c.scope.as_deref())).collect()
    }

    fn pages(&self) -> usize {
        self.log.iter().filter(|change| change.page).count()
    }
}

/// Broken for those in `who`, from 60 s to 180 s.
fn broken(who: &'static [usize], path: Path) -> impl Fn(usize, Ms) -> Path {
    move |at, now| {
        let is_broken = (60 * SECOND..180 * SECOND).contains(&now) && who.contains(&at);
        if is_broken { path } else { Path::Fine }
    }
}

const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7];
const UP: (Verdict, Option<&str>) = (Verdict::Up, None);

#[test]
fn what_is_broken_is_what_is_said() {
    let regional = |scope| vec![UP, (Verdict::Regional, Some(scope)), UP];
    let table: Vec<(&str, &'static [usize], Path, Vec<_>, usize)> = vec![
        ("nothing", &[], Path::Fine, vec![UP], 0),
        (
            "the server",
            ALL,
            Path::Refused,
            vec![UP, (Verdict::Outage, Some("protocol")), UP],
            1,
        ),
        (
            "it hangs",
            ALL,
            Path::Hangs,
            vec![UP, (Verdict::Outage, Some("protocol")), UP],
            1,
        ),
        (
            "a tool",
            ALL,
            Path::ToolFails,
            vec![UP, (Verdict::Outage, Some("tool lookup")), UP],
            1,
        ),
        (
            "the credential",
            ALL,
            Path::Walled,
            vec![UP, (Verdict::AuthWalled, Some("protocol")), UP],
            0,
        ),
        (
            "the client's patience",
            ALL,
            Path::Limited,
            vec![UP, (Verdict::RateLimited, Some("protocol")), UP],
            0,
        ),
        (
            "two agents' own network",
            &[5, 6],
            Path::Offline,
            vec![UP],
            0,
        ),
        ("an agent", &[3], Path::Dead, vec![UP], 0),
        (
            "one agent's path",
            &[0],
            Path::Refused,
            regional("region:eu or provider:a"),
            0,
        ),
        (
            "it is slow",
            ALL,
            Path::Slow,
            vec![UP, (Verdict::Degraded, None), UP],
            0,
        ),
    ];
    for (name, who, path, expected, pages) in table {
        let mut world = World::new(8, broken(who, path));
        world.run(400 * SECOND);
        assert_eq!(world.verdicts(), expected, "{name}: {:#?}", world.log);
        assert_eq!(world.pages(), pages, "{name}");
        assert!(world.judge.suspected_since().is_none(), "{name}");
    }
}

/// The scope may be open until the second agent has failed for long enough; then it is one.
#[test]
fn a_region_or_a_provider_is_named_by_the_agents_that_share_it() {
    let table: [(&[usize], &str); 2] = [(&[0, 1], "region:eu"), (&[3, 4], "provider:c")];
    for (who, scope) in table {
        for path in [Path::Refused, Path::Hangs] {
            let mut world = World::new(8, broken(who, path));
            world.run(170 * SECOND);
            let last = world.verdicts().last().copied();
            assert_eq!(last, Some((Verdict::Regional, Some(scope))));
            assert_eq!(world.pages(), 0);
            let why = &world.log.last().unwrap().why;
            assert!(why.contains(&format!("explained by {scope};")), "{why}");
            let said = world.log.len();
            world.run(400 * SECOND);
            assert_eq!(world.verdicts()[said..], [UP], "it ends as what it was");
        }
    }
}

/// Half of a region comes back, and the other half does not: that is said once it stays so.
#[test]
fn a_fault_that_hits_fewer_is_another_one_after_a_while() {
    let plan = |at: usize, now: Ms| match now / SECOND {
        60..120 if at < 2 => Path::Refused,
        120.. if at == 0 => Path::Refused,
        _ => Path::Fine,
    };
    let mut world = World::new(8, plan);
    world.run(300 * SECOND);
    let regional = |scope| (Verdict::Regional, Some(scope));
    let last = world.log.last().unwrap();
    assert_eq!(
        world.verdicts()[1..].last(),
        Some(&regional("region:eu or provider:a"))
    );
    assert!(last.at >= 150 * SECOND, "{}", last.at);
    assert_eq!(
        world
            .verdicts()
            .iter()
            .filter(|said| **said == regional("region:eu"))
            .count(),
        1
    );
}

#[test]
fn an_outage_is_seen_and_over_within_seconds() {
    for (path, most) in [(Path::Refused, 16), (Path::Hangs, 22)] {
        let mut world = World::new(8, broken(ALL, path));
        world.run(400 * SECOND);
        let at = |n: usize| world.log[n].at;
        assert!(at(1) - 60 * SECOND <= most * SECOND, "{path:?}: {}", at(1));
        assert!(at(2) - 180 * SECOND <= 10 * SECOND, "{path:?}: {}", at(2));
        let evidence = &world.log[1].evidence;
        assert!(evidence.independent_failing >= 3 && evidence.quorum == 3);
    }
}

/// Who reads it learns what fails, for whom, and what else would have to be wrong.
#[test]
fn an_outage_explains_itself() {
    let table = [
        (
            Path::Refused,
            "4 independent witnesses see it fail: tcp_refused at initialize; to explain that away 4 \
             regions or providers would have to be broken at once",
        ),
        (
            Path::ToolFails,
            "4 independent witnesses see calls of `lookup` fail while the protocol works: tool_error \
             at tools_call; to explain that away 4 regions or providers would have to be broken at \
             once",
        ),
    ];
    for (path, why) in table {
        let mut world = World::new(8, broken(ALL, path));
        world.run(100 * SECOND);
        let said = world.judge.view(&world.mesh, world.now);
        assert_eq!(crate::transition::sentence(&said), why);
    }
}

/// A restart of a few seconds wakes nobody.
#[test]
fn a_blip_is_no_outage() {
    let blip = |_: usize, now: Ms| {
        let is_down = (60 * SECOND..64 * SECOND).contains(&now);
        if is_down { Path::Refused } else { Path::Fine }
    };
    let mut world = World::new(8, blip);
    world.run(200 * SECOND);
    assert_eq!(world.verdicts(), [UP]);
}

#[test]
fn confirmations_stay_within_their_budget() {
    for path in [Path::Refused, Path::Hangs, Path::Limited] {
        let from_the_first = move |_: usize, now: Ms| {
            let is_broken = now >= 60 * SECOND;
            if is_broken { path } else { Path::Fine }
        };
        let mut world = World::new(8, from_the_first);
        world.run(60 * SECOND);
        assert_eq!(world.confirmations, 0);
        world.run(360 * SECOND);
        let scheduled = 8 * 30;
        assert!(world.confirmations <= scheduled, "{}", world.confirmations);
        if path == Path::Limited {
            assert!(world.confirmations <= 8, "{}", world.confirmations);
        }
    }
}

/// A second wave is seen while the first one lasts.
#[test]
fn an_open_incident_hides_no_outage() {
    let plan = |at: usize, now: Ms| match now / SECOND {
        60..120 if at < 2 => Path::Refused,
        120..240 => Path::Refused,
        _ => Path::Fine,
    };
    let mut world = World::new(8, plan);
    world.run(400 * SECOND);
    let verdicts: Vec<Verdict> = world.log.iter().map(|change| change.verdict).collect();
    assert_eq!(verdicts.last(), Some(&Verdict::Up));
    let outage = world.log.iter().find(|c| c.verdict == Verdict::Outage);
    let seen = outage.expect("the outage is seen").at - 120 * SECOND;
    assert!(seen <= 20 * SECOND, "{seen}");
    assert_eq!(world.pages(), 1);
}

#[test]
fn few_witnesses_say_little() {
    let mut one = World::new(2, broken(&[0, 1], Path::Refused));
    one.run(300 * SECOND);
    // Both are in one region: a verdict needs two.
    let reasons: Vec<_> = one
        .log
        .iter()
        .map(|c| (c.verdict, c.reason.as_deref()))
        .collect();
    assert_eq!(reasons, [(Verdict::Unknown, Some("too_few_witnesses"))]);
    assert!(
        one.log[0]
            .why
            .contains("1 independent witness, and a verdict needs two")
    );

    let mut two = World::new(4, broken(&[0, 1, 2, 3], Path::Refused));
    two.run(300 * SECOND);
    let said: Vec<_> = two
        .log
        .iter()
        .map(|c| (c.verdict, c.flags.clone()))
        .collect();
    let weak = vec![Flag::WeakQuorum];
    let expected = [Verdict::Up, Verdict::Outage, Verdict::Up];
    assert_eq!(said, expected.map(|verdict| (verdict, weak.clone())));
}

#[test]
fn without_references_there_is_no_outage_unless_it_is_accepted() {
    let mut world = World::new(8, broken(ALL, Path::Refused)).without_references();
    world.run(400 * SECOND);
    let said: Vec<_> = world
        .log
        .iter()
        .map(|c| (c.verdict, c.reason.as_deref()))
        .collect();
    let expected = [
        (Verdict::Up, None),
        (Verdict::Unknown, Some("weakly_attested")),
        (Verdict::Up, None),
    ];
    assert_eq!(said, expected);
    assert!(
        world.log[1].why.contains("accept_weak"),
        "{}",
        world.log[1].why
    );
    let mut accepting = World::new(8, broken(ALL, Path::Refused)).without_references();
    accepting.judge.policy.accept_weak = true;
    accepting.run(400 * SECOND);
    assert_eq!(accepting.log[1].verdict, Verdict::Outage);
    assert_eq!(accepting.log[1].flags, [Flag::WeaklyAttested]);
}

/// The whole mesh falls silent: an outage is never made of that.
#[test]
fn silence_is_unknown() {
    let mut world = World::new(8, broken(ALL, Path::Dead));
    world.run(400 * SECOND);
    let said: Vec<_> = world
        .log
        .iter()
        .map(|c| (c.verdict, c.reason.as_deref()))
        .collect();
    let silent = (Verdict::Unknown, Some("witnesses_silent"));
    assert_eq!(said, [(Verdict::Up, None), silent, (Verdict::Up, None)]);
}

#[test]
fn regions_are_told_beside_the_verdict() {
    let mut world = World::new(8, broken(&[0, 1, 5, 6], Path::Refused));
    world.plan = Box::new(|at, now| match (at, now / SECOND) {
        (0 | 1, 60..) => Path::Refused,
        (2, 60..) => Path::Walled,
        (3, 60..) => Path::Walled,
        (5 | 6, 60..) => Path::Offline,
        _ => Path::Fine,
    });
    world.run(150 * SECOND);
    let views = world.judge.regions(&world.mesh, world.now);
    let seen: Vec<_> = views
        .iter()
        .map(|v| (v.region.as_str(), v.state, v.reason))
        .collect();
    assert_eq!(
        seen,
        [
            ("ap", RegionState::Ok, None),
            ("eu", RegionState::Failing, Some("tcp_refused")),
            ("sa", RegionState::Ok, None),
            ("us", RegionState::Blocked, Some("auth_token_rejected")),
        ]
    );
    assert!(views[1].since.is_some_and(|at| at >= 60 * SECOND));
}

#[test]
fn what_was_said_before_a_restart_stands_after_it() {
    let mut world = World::new(8, broken(ALL, Path::Refused));
    world.run(120 * SECOND);
    let past: Vec<Transition> = world.log.iter().rev().cloned().collect();
    let mut judge = Judge::new(policy(), world.now);
    judge.begin_reading();
    judge.assign(world.judge.panel().witnesses().to_vec(), world.now);
    judge.end_reading(&past, world.now);
    assert_eq!(judge.standing(), world.judge.standing());
    world.judge = judge;
    world.run(400 * SECOND);
    let verdicts: Vec<Verdict> = world.log.iter().map(|change| change.verdict).collect();
    assert_eq!(verdicts, [Verdict::Up, Verdict::Outage, Verdict::Up]);
    assert_eq!(world.pages(), 1);
}

/// Broken for these agents from so many seconds on, until 300 s.
fn from_on(who: &'static [(usize, Ms)], path: Path) -> impl Fn(usize, Ms) -> Path {
    move |at, now| {
        let begins = who.iter().find(|(agent, _)| *agent == at);
        let is_broken = begins.is_some_and(|(_, begins)| (*begins..300).contains(&(now / SECOND)));
        if is_broken { path } else { Path::Fine }
    }
}

/// Others reach it: whatever comes on top of a lasting fault is no outage, and what lasts is said
/// once.
#[test]
fn a_second_fault_is_judged_by_those_who_still_reach_it() {
    let table: [(&str, &'static [(usize, Ms)]); 3] = [
        ("two at once", &[(0, 60), (3, 60)]),
        ("a third one later", &[(0, 60), (3, 60), (5, 110)]),
        ("one after the other", &[(0, 60), (3, 115), (6, 120)]),
    ];
    for (name, who) in table {
        for path in [Path::Refused, Path::ToolFails] {
            for has_calls in [true, false] {
                if path == Path::ToolFails && !has_calls {
                    continue;
                }
                let mut world = World::new(8, from_on(who, path));
                if !has_calls {
                    world.judge.policy.calls.clear();
                    world.judge.handle_policy(world.judge.policy.clone(), 0);
                }
                world.run(600 * SECOND);
                let verdicts = world.verdicts();
                let said = format!("{name}, {path:?}, {has_calls}: {verdicts:#?}");
                assert!(
                    verdicts.iter().all(|(v, _)| *v != Verdict::Outage),
                    "{said}"
                );
                assert!(verdicts.len() <= 2 + 2 * who.len(), "{said}");
                assert_eq!(verdicts.last(), Some(&UP), "{said}");
                assert!(
                    world.confirmations <= 120,
                    "{said}: {}",
                    world.confirmations
                );
            }
        }
    }
}

/// The server is back and sends everybody away for a while: that is no outage any more.
#[test]
fn an_outage_ends_in_a_rush() {
    let plan = |_: usize, now: Ms| match now / SECOND {
        60..120 => Path::Refused,
        120..400 => Path::Limited,
        _ => Path::Fine,
    };
    let mut world = World::new(8, plan);
    world.run(600 * SECOND);
    let verdicts: Vec<Verdict> = world.log.iter().map(|change| change.verdict).collect();
    let expected = [
        Verdict::Up,
        Verdict::Outage,
        Verdict::RateLimited,
        Verdict::Up,
    ];
    assert_eq!(verdicts, expected);
}

/// An outage that was called is not taken back because references come and go.
#[test]
fn vouching_that_varies_makes_no_verdict_vary() {
    let mut world = World::new(8, broken(ALL, Path::Refused));
    world.run(90 * SECOND);
    assert_eq!(world.judge.standing().verdict, Verdict::Outage);
    world.references = 0;
    world.run(170 * SECOND);
    assert_eq!(world.judge.standing().verdict, Verdict::Outage);
    world.references = 5;
    world.run(400 * SECOND);
    assert_eq!(world.pages(), 1);
    assert_eq!(world.log.len(), 3, "{:#?}", world.verdicts());
}

/// The self-test of a failure that had to wait for the link comes before it, or we are late.
#[test]
fn a_self_test_that_comes_early_or_late_counts() {
    let mut world = World::new(8, |_, _| Path::Fine);
    world.run(30 * SECOND);
    let failed = |seq| Seen {
        began: 30 * SECOND,
        seq,
        took: 20,
        outcome: Outcome::of_failure(Failure {
            step: Step::Initialize,
            phase: Phase::Connect,
            reason: Reason::TcpRefused,
        }),
        ..Seen::default()
    };
    let (judge, mesh) = (&mut world.judge, &world.mesh);
    let fails = |judge: &Judge| judge.ballots[0].levels[0].fails;
    judge.handle_attestation("agent-0", 7001, Attested::Full, mesh, 31_000);
    assert_eq!(fails(judge), 0);
    judge.handle_outcome("agent-0", &failed(7001), mesh, 31_100);
    assert_eq!(fails(judge), 1);
    judge.handle_outcome("agent-0", &failed(7002), mesh, 32_000);
    judge.handle_timeout(mesh, 32_000 + ATTEST);
    assert!(judge.ballots[0].is_mute);
    judge.handle_attestation("agent-0", 7002, Attested::Full, mesh, 36_000);
    assert!(!judge.ballots[0].is_mute);
    assert_eq!(fails(judge), 2);
}

/// A path whose need is not known gets all the time there is; one with calls is not measured by
/// confirmations without them.
#[test]
fn a_confirmation_has_the_time_that_the_path_needs() {
    let mut world = World::new(8, broken(&[0], Path::Refused));
    world.judge.policy.timeout = 30 * SECOND;
    world.run(61 * SECOND);
    assert!(world.judge.ballots[1].took.is_some());
    let policy = world.judge.policy.clone();
    world.judge.handle_policy(policy, world.now);
    assert!(world.judge.ballots[1].took.is_none());
    let mut timeouts = Vec::new();
    for ballot in &mut world.judge.ballots {
        ballot.asked_until = None;
        ballot.began = None;
    }
    let now = world.now;
    let seen = Seen {
        began: now - 100,
        seq: 9001,
        took: 20,
        outcome: Outcome::of_failure(Failure {
            step: Step::Initialize,
            phase: Phase::Connect,
            reason: Reason::TcpReset,
        }),
        ..Seen::default()
    };
    world
        .judge
        .handle_outcome("agent-0", &seen, &world.mesh, now);
    while let Some(ask) = world.judge.poll_ask() {
        timeouts.push(ask.timeout);
    }
    assert_eq!(timeouts, [30 * SECOND; 7]);
}

/// Evidence that is read again decides nothing, and says since when regions are as they are.
#[test]
fn what_is_read_again_is_known_and_not_decided() {
    let mut world = World::new(8, |_, _| Path::Fine);
    world.judge.begin_reading();
    world.run(60 * SECOND);
    assert_eq!(world.log, []);
    let views = world.judge.regions(&world.mesh, world.now);
    let is_old = |view: &RegionView| view.since.is_some_and(|since| since <= 10 * SECOND);
    assert!(views.iter().all(is_old), "{views:#?}");
    world.judge.end_reading(&[], world.now);
    world.run(61 * SECOND);
    assert_eq!(world.verdicts(), [UP]);
    let after = world.judge.regions(&world.mesh, world.now);
    assert!(after.iter().all(is_old), "{after:#?}");
}

fn any_path() -> impl Strategy<Value = Path> {
    let paths = vec![
        Path::Fine,
        Path::Refused,
        Path::Hangs,
        Path::Walled,
        Path::Limited,
    ];
    let others = vec![Path::ToolFails, Path::Offline, Path::Dead, Path::Slow];
    proptest::sample::select([paths, others].concat())
}

/// What each agent meets in each stretch of 20 s.
fn any_weather() -> impl Strategy<Value = Vec<Vec<Path>>> {
    proptest::collection::vec(proptest::collection::vec(any_path(), 8), 8)
}

fn by(weather: Vec<Vec<Path>>, who: fn(usize) -> bool) -> impl Fn(usize, Ms) -> Path + 'static {
    move |at, now| {
        let stretch = usize::try_from(now / (20 * SECOND)).unwrap_or(0);
        let is_hit = who(at) && (2..10).contains(&stretch);
        if is_hit {
            weather[stretch - 2][at]
        } else {
            Path::Fine
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// I6: what is wrong with one region and one provider is never an outage.
    #[test]
    fn a_region_and_a_provider_never_make_an_outage(weather in any_weather()) {
        // eu (0, 1) and provider d (5, 6)
        let mut world = World::new(8, by(weather, |at| matches!(at, 0 | 1 | 5 | 6)));
        world.run(560 * SECOND);
        let verdicts = world.verdicts();
        prop_assert!(verdicts.iter().all(|(v, _)| *v != Verdict::Outage), "{:#?}", world.log);
        prop_assert_eq!(verdicts.last().map(|(v, _)| *v), Some(Verdict::Up));
    }

    /// I1: an outage has its quorum; I7: the same evidence gives the same verdicts.
    #[test]
    fn an_outage_has_a_quorum_and_a_replay_says_the_same(weather in any_weather()) {
        let run = |weather| {
            let mut world = World::new(8, by(weather, |_| true));
            world.run(560 * SECOND); // until nothing is mixed any more
            world.log
        };
        let log = run(weather.clone());
        for change in log.iter().filter(|c| c.verdict == Verdict::Outage && c.previous != Verdict::Outage) {
            let evidence = &change.evidence;
            prop_assert!(evidence.independent_failing >= evidence.quorum);
            let faulty: Vec<_> = evidence.abstaining.iter().map(|a| &a.agent).collect();
            prop_assert!(evidence.failing.iter().all(|said| !faulty.contains(&&said.agent)));
        }
        prop_assert_eq!(log.last().map(|c| c.verdict), Some(Verdict::Up), "{:#?}", log);
        prop_assert_eq!(log, run(weather));
    }
}
