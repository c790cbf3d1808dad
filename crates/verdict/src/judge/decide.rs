//! The rules, numbered in the order in which they are asked: a function of the votes.

use model::verdict::Verdict;

use super::ballot::{Ballot, Vote};
use super::standing::WEAKLY_ATTESTED;
use super::tally::{Level, Tally};
use super::{Judge, LOOK, LOOK_SELDOM};
use crate::Ms;
use crate::mesh::Mesh;
use crate::witness::{Set, told};

/// A suspicion that nobody confirms is over after this.
const OVER: Ms = 3000;

/// What the rules say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) scope: Option<String>,
    pub(super) reason: Option<String>,
    /// Which rule said so.
    pub(super) rule: &'static str,
    /// The level that it is about, and the agents that fail there.
    pub(super) level: usize,
    pub(super) failing: Set,
    /// How far its failures lie apart, where it flaps.
    pub(super) rhythm: Option<Ms>,
}

impl Finding {
    pub(super) const fn new(verdict: Verdict, rule: &'static str) -> Self {
        Self {
            verdict,
            scope: None,
            reason: None,
            rule,
            level: 0,
            failing: 0,
            rhythm: None,
        }
    }

    pub(super) fn because(self, reason: &'static str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..self
        }
    }
}

impl Judge {
    /// Looks at the votes, and says what has changed.
    pub(super) fn decide(&mut self, mesh: &Mesh, now: Ms) {
        if self.is_reading {
            // Only since when each region is as it is, and what failed again and again: whose votes
            // counted then is in what was vouched for, and not in how agents are now.
            self.see_regions(self.faulty(mesh), now);
            self.follow_flaps(&self.tally_without(0, now), now);
            return;
        }
        let mut tally = self.tally(mesh, now);
        if self.is_over(&tally, now) {
            self.incident = None;
            tally = self.tally(mesh, now);
        }
        let is_wide = self.standing.is_wide();
        let goes_on = self.outage(&tally).or_else(|| self.still_out(&tally, now));
        if is_wide && goes_on.is_none() {
            // It explained everybody's failures: who fails on begins a row of its own.
            let votes = self
                .ballots
                .iter_mut()
                .flat_map(|ballot| &mut ballot.levels);
            votes.for_each(Vote::begin_anew);
            tally = self.tally(mesh, now);
        }
        let few = self.panel.independent(tally.eligible) < 2;
        self.few_since = few.then(|| self.few_since.unwrap_or(now));
        if let Some(finding) = self.find(&tally, now) {
            self.stand(finding, &tally, mesh, now);
        }
        self.follow_flaps(&tally, now);
        self.compare(&tally, now);
        self.see_regions(self.faulty(mesh), now);
        let is_open = self.standing.verdict != Verdict::Up || self.incident.is_some();
        let flips = self.ballots.iter().flat_map(|ballot| &ballot.levels);
        let flips = flips.filter_map(|vote| vote.flips_end(now)).min();
        let wait = if is_open { LOOK } else { LOOK_SELDOM };
        let look = (now + wait).min(flips.unwrap_or(Ms::MAX));
        let few = self.few_since.map(|since| since + self.policy.ttl() + 1);
        self.next_look = few
            .filter(|few| *few > now)
            .map_or(look, |few| few.min(look));
    }

    /// Whether an incident came to nothing, or is over.
    fn is_over(&self, tally: &Tally, now: Ms) -> bool {
        let Some(incident) = &self.incident else {
            return false;
        };
        let fails = |level: &Level| level.fail | level.lasting | level.walled;
        let is_quiet = tally.levels.iter().all(|level| fails(level) == 0);
        let is_waiting = self.ballots.iter().any(Ballot::is_waiting);
        let reach = self.panel.independent(tally.levels[0].ok_again);
        let needed = self.panel.independent(tally.eligible).min(2);
        is_quiet && !is_waiting && reach >= needed && now.saturating_sub(incident.began) > OVER
    }

    /// The first rule that applies; none where the state stays as it is.
    fn find(&self, tally: &Tally, now: Ms) -> Option<Finding> {
        if self.is_maintained {
            return Some(Finding::new(Verdict::Maintenance, "0"));
        }
        let eligible = self.panel.independent(tally.eligible);
        if let Some(finding) = self.outage(tally).or_else(|| self.still_out(tally, now)) {
            return Some(finding);
        }
        if let Some(since) = self.few_since {
            let is_long = now.saturating_sub(since) > self.policy.ttl();
            let reason = if self.panel.independent(self.panel.all()) < 2 {
                "too_few_witnesses"
            } else {
                "witnesses_silent"
            };
            return is_long.then(|| Finding::new(Verdict::Unknown, "2").because(reason));
        }
        let protocol = &tally.levels[0];
        let [fail, ok, twice] = [protocol.fail, protocol.ok_since, protocol.twice];
        let is_all = fail != 0 && ok == 0 && self.panel.independent(twice) >= 1;
        if is_all && eligible < self.quorum() && protocol.span >= self.policy.span {
            let mut finding = Finding::new(Verdict::Unknown, "2b").because("too_few_to_tell");
            finding.failing = fail;
            return Some(finding);
        }
        // That it flaps is what makes it mixed; what lasts now is more than what comes and goes.
        let flapping = self.flapping(now);
        let mixed = if flapping.is_none() {
            self.mixed(tally)
        } else {
            None
        };
        let finding = mixed
            .or_else(|| self.lasting(tally))
            .filter(|found| flapping.is_none() || self.outlasts(found, now))
            .or_else(|| self.limited(tally))
            .or(flapping)
            .or_else(|| self.slow(tally))
            .or_else(|| self.violated(tally));
        finding.or_else(|| self.up(tally))
    }

    /// Rule 1: a quorum sees it fail, and nobody independent sees it well.
    fn outage(&self, tally: &Tally) -> Option<Finding> {
        tally.levels.iter().enumerate().find_map(|(at, level)| {
            if self.is_out(level.fail, level) {
                let mut finding = self.blamed(Verdict::Outage, "1", at, level.fail);
                let is_called = self.standing.verdict == Verdict::Outage;
                let is_vouched = level.vouched & level.fail != 0;
                // What was called is not taken back for want of references.
                if !is_vouched && !is_called && !self.policy.accept_weak {
                    finding.verdict = Verdict::Unknown;
                    finding.reason = Some(WEAKLY_ATTESTED.to_owned());
                }
                return Some(finding);
            }
            let is_walled = self.is_out(level.walled, level) && level.fail == 0;
            is_walled.then(|| self.blamed(Verdict::AuthWalled, "1", at, level.walled))
        })
    }

    pub(super) fn is_out(&self, fail: Set, level: &Level) -> bool {
        let quorum = self.quorum();
        let independent = |set: Set| self.panel.independent(set);
        let count = fail.count_ones();
        let [fails, oks] = [independent(fail), independent(level.ok_since)];
        let twice = self.twice(fail, level);
        let confirmed = if level.ok_since == 0 && !level.saw_ok {
            let least = if quorum > 2 { 1 } else { 2 };
            independent(twice) >= least || fails > quorum
        } else {
            // Against a witness that reaches it everybody must be sure; those who reach it weigh
            // as those who are not, so that one more of them never makes an outage.
            // What fails now and then anyway must fail longer: all do so at once by chance too.
            let is_mixed = independent(level.mixed) >= quorum;
            let sure = if is_mixed {
                twice & level.thrice
            } else {
                twice
            };
            let voters = count + level.ok_since.count_ones();
            independent(sure) >= quorum && sure.count_ones() * 5 >= voters * 3
        };
        let outvoted = oks == 0 || (fails >= 3 * oks && count >= 4 * level.ok_since.count_ones());
        // Others who never failed meet edges of their own: that is a part of the target.
        let is_part = self.edges.failing(fail, level.ok_steady).is_some();
        let lasts = self.span(fail, level) >= self.policy.span;
        fails >= quorum && confirmed && outvoted && lasts && !is_part
    }

    /// Of those who fail, the ones that did so twice in a row.
    fn twice(&self, fail: Set, level: &Level) -> Set {
        if fail == level.fail {
            return level.twice;
        }
        fail & self.set_of(|_, ballot| ballot.levels.iter().any(|vote| vote.fails >= 2))
    }

    /// How long they have failed.
    fn span(&self, fail: Set, level: &Level) -> Ms {
        if fail == level.fail {
            return level.span;
        }
        let votes = || {
            let members = self.panel.members(fail);
            members.flat_map(|(at, _)| &self.ballots[at].levels)
        };
        let walled = || votes().filter(|vote| vote.say.trouble().is_some());
        let first = walled().map(|vote| vote.first_fail).min();
        let last = walled().map(|vote| vote.began).max();
        last.unwrap_or(0).saturating_sub(first.unwrap_or(0))
    }

    /// An outage ends when two independent witnesses, or all there are, reach the target and those
    /// who do not are no quorum; or when nobody says anything of it any more.
    pub(super) fn still_out(&self, tally: &Tally, now: Ms) -> Option<Finding> {
        if !self.standing.is_wide() {
            return None;
        }
        let verdict = self.standing.verdict;
        let at = self.standing.evidence.level.min(tally.levels.len() - 1);
        let level = &tally.levels[at];
        let failing = level.fail | level.walled;
        let independent = |set: Set| self.panel.independent(set);
        let eligible = independent(tally.eligible);
        let [fails, oks] = [independent(failing), independent(level.ok_again)];
        let is_back = oks >= eligible.min(2) && oks > 0 && fails < self.quorum() && oks > fails;
        let is_limited = failing == 0 && self.limited(tally).is_some();
        let is_forgotten = failing == 0
            && level.ok == 0
            && eligible < self.quorum()
            && now.saturating_sub(self.standing.since) > self.policy.ttl();
        if is_back || is_limited || is_forgotten {
            return None;
        }
        let mut finding = self.blamed(verdict, "1", at, failing);
        if failing == 0 || verdict == Verdict::Unknown {
            // Nobody fails, and too few reach it: as it was.
            finding.reason.clone_from(&self.standing.reason);
        }
        finding.scope.clone_from(&self.standing.scope);
        Some(finding)
    }

    /// What the failing of a level have in common.
    fn blamed(&self, verdict: Verdict, rule: &'static str, level: usize, failing: Set) -> Finding {
        let cause = self.cause(level, failing);
        Finding {
            verdict,
            scope: Some(self.name(level)),
            reason: cause.map(|(_, reason)| reason.as_str().to_owned()),
            rule,
            level,
            failing,
            rhythm: None,
        }
    }

    /// A level in words.
    pub(super) fn name(&self, level: usize) -> String {
        let call = level
            .checked_sub(1)
            .and_then(|at| self.policy.calls.get(at));
        call.map_or_else(
            || "protocol".to_owned(),
            |call| format!("tool {}", call.tool),
        )
    }

    /// Rule 3: many see it now good, now bad.
    fn mixed(&self, tally: &Tally) -> Option<Finding> {
        let found = tally.levels.iter().enumerate().find(|(_, level)| {
            let mixed = level.mixed;
            let is_much = mixed.count_ones() * 5 >= tally.eligible.count_ones() * 2;
            mixed != 0 && is_much && self.is_quorum(mixed, tally)
        });
        let (at, level) = found?;
        let mut finding = self.blamed(Verdict::Degraded, "3", at, level.mixed);
        finding.reason = finding.reason.or_else(|| Some("errors".to_owned()));
        if let Some(instances) = self.edges.broken() {
            (finding.verdict, finding.scope) = (Verdict::Partial, Some(instances));
        }
        Some(finding)
    }

    fn is_quorum(&self, set: Set, tally: &Tally) -> bool {
        let eligible = self.panel.independent(tally.eligible);
        self.panel.independent(set) >= self.quorum().min(eligible)
    }

    /// Rule 4: a fault that lasts for some, while others reach the target.
    fn lasting(&self, tally: &Tally) -> Option<Finding> {
        tally.levels.iter().enumerate().find_map(|(at, level)| {
            let lasting = level.lasting;
            let faults = self.panel.independent(lasting);
            if faults == 0 {
                return None;
            }
            let reach = self.panel.independent(level.ok_again & !lasting);
            let all = self.panel.independent(self.panel.all());
            let is_reached = reach >= 2.min(all.saturating_sub(1)).max(1);
            let is_regional = is_reached && (faults <= 2 || 2 * faults <= reach);
            let is_partial = is_reached || faults >= 2;
            if !is_regional && !is_partial {
                return None;
            }
            // Whoever meets the same edge fails, and nobody else: above TCP that is the target's own.
            let edge = self.edges.failing(lasting, level.ok_again & !lasting);
            let edge = edge.filter(|_| is_reached && self.is_above_tcp(at, lasting));
            let verdict = if is_regional && edge.is_none() {
                Verdict::Regional
            } else {
                Verdict::Partial
            };
            let mut finding = self.blamed(verdict, "4", at, lasting);
            finding.scope = edge.or_else(|| told(&self.panel.explanations(lasting)));
            Some(finding)
        })
    }

    /// Whether any of a set got further than to a connection.
    fn is_above_tcp(&self, level: usize, set: Set) -> bool {
        let cause = self.cause(level, set);
        cause.is_some_and(|(_, reason)| {
            use model::Reason;
            !matches!(
                reason,
                Reason::TcpTimeout | Reason::TcpRefused | Reason::DnsTimeout | Reason::DnsNxdomain
            )
        })
    }

    /// A quorum is told to come back later.
    fn limited(&self, tally: &Tally) -> Option<Finding> {
        let found = tally.levels.iter().enumerate().find(|(_, level)| {
            let is_most = level.limited.count_ones() > level.ok.count_ones();
            level.limited != 0 && is_most && self.is_quorum(level.limited, tally)
        });
        let (at, level) = found?;
        Some(self.blamed(Verdict::RateLimited, "4", at, level.limited))
    }

    /// Rule 5: slower than usual for half of all, independently.
    fn slow(&self, tally: &Tally) -> Option<Finding> {
        let is_half = tally.slow.count_ones() * 2 >= tally.eligible.count_ones();
        let is_slow = tally.slow != 0 && is_half && self.is_quorum(tally.slow, tally);
        is_slow.then(|| Finding::new(Verdict::Degraded, "5").because("latency"))
    }

    /// Checks that users feel are violated for half of all, independently.
    fn violated(&self, tally: &Tally) -> Option<Finding> {
        let degraded = tally.levels[0].degraded;
        let is_half = degraded.count_ones() * 2 >= tally.eligible.count_ones();
        let is_so = degraded != 0 && is_half && self.is_quorum(degraded, tally);
        is_so.then(|| Finding::new(Verdict::Degraded, "5").because("checks"))
    }

    /// Rule 6: nothing speaks against it.
    fn up(&self, tally: &Tally) -> Option<Finding> {
        let protocol = &tally.levels[0];
        let reach = self.panel.independent(protocol.ok);
        let was = self.standing.verdict;
        if was == Verdict::Unknown && reach < 2 {
            return None;
        }
        // What is explained ends when nobody fails any more.
        let is_left = |level: &Level| level.fail == 0 && level.lasting == 0;
        let was_fault = matches!(was, Verdict::Regional | Verdict::Partial);
        if was_fault && !tally.levels.iter().all(is_left) {
            return None;
        }
        Some(Finding::new(Verdict::Up, "6"))
    }
}
