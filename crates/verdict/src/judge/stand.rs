//! What the rules said becomes what is said: the change is told, with its evidence.

use model::verdict::{Fault, Flag, Verdict};

use super::decide::Finding;
use super::tally::Tally;
use super::{Judge, Standing};
use crate::Ms;
use crate::mesh::Mesh;
use crate::transition::{self, Abstains, Evidence, Said, Transition};
use crate::witness::{Witness, told};

/// Outages so near to each other are one to those who are woken.
const ONE_PAGE: Ms = 300_000;
/// A fault that hits fewer than before is called another one after this.
const EBB: Ms = 30_000;

impl Judge {
    /// Takes what the rules say, and tells the change.
    pub(super) fn stand(&mut self, mut finding: Finding, tally: &Tally, mesh: &Mesh, now: Ms) {
        if self.is_ebbing(&finding, now) {
            finding.scope.clone_from(&self.standing.scope);
        }
        let is_same = finding.verdict == self.standing.verdict
            && finding.scope == self.standing.scope
            && self.is_unknown_alike(&finding);
        if is_same {
            self.standing.reason = finding.reason;
            return;
        }
        let mut flags = Vec::new();
        if self.quorum() == 2 {
            flags.push(Flag::WeakQuorum);
        }
        let level = &tally.levels[finding.level];
        if finding.failing != 0 && level.vouched & finding.failing == 0 {
            flags.push(Flag::WeaklyAttested);
        }
        if finding.rhythm.is_some() {
            flags.push(Flag::Flapping);
        }
        let previous = self.standing.verdict;
        let was_accepted = matches!(previous, Verdict::Up | Verdict::Degraded);
        let was_refused = self.standing.flags.contains(&Flag::CredentialRefused);
        let is_change = was_accepted || (previous == finding.verdict && was_refused);
        if finding.verdict == Verdict::AuthWalled && self.policy.holds_credential && is_change {
            flags.push(Flag::CredentialRefused);
        }
        let is_new_page = self
            .outage_ended
            .is_none_or(|ended| now.saturating_sub(ended) >= ONE_PAGE);
        let page = finding.verdict == Verdict::Outage && previous != Verdict::Outage && is_new_page;
        if previous == Verdict::Outage && finding.verdict != Verdict::Outage {
            self.outage_ended = Some(now);
        }
        let since = if finding.verdict == previous {
            self.standing.since
        } else {
            now
        };
        let evidence = self.evidence(&finding, tally, mesh);
        self.standing = Standing {
            verdict: finding.verdict,
            scope: finding.scope,
            reason: finding.reason,
            flags,
            since,
            evidence,
        };
        let why = transition::sentence(&self.standing);
        self.transitions.push_back(Transition {
            at: now,
            since,
            previous,
            verdict: self.standing.verdict,
            scope: self.standing.scope.clone(),
            reason: self.standing.reason.clone(),
            flags: self.standing.flags.clone(),
            why,
            page,
            evidence: self.standing.evidence.clone(),
        });
    }

    /// Whether a regional fault only loses those whom it hit, one by one, as it does when it ends:
    /// what it was is not said anew for each, until that stays so.
    fn is_ebbing(&mut self, finding: &Finding, now: Ms) -> bool {
        let is_fault = matches!(finding.verdict, Verdict::Regional | Verdict::Partial);
        let hit = &self.standing.evidence.failing;
        let is_hit = |witness: &Witness| hit.iter().any(|said| said.agent == witness.agent);
        let mut failing = self.panel.members(finding.failing);
        let is_fewer = is_fault
            && finding.verdict == self.standing.verdict
            && finding.scope != self.standing.scope
            && failing.all(|(_, witness)| is_hit(witness));
        self.ebbs_since = is_fewer.then(|| self.ebbs_since.unwrap_or(now));
        let since = self.ebbs_since;
        since.is_some_and(|since| now.saturating_sub(since) < EBB)
    }

    /// Unknown for another reason is another thing to say.
    fn is_unknown_alike(&self, finding: &Finding) -> bool {
        finding.verdict != Verdict::Unknown || finding.reason == self.standing.reason
    }

    /// The evidence of this moment for what is said; none where nobody fails any more and the
    /// verdict holds all the same.
    pub(super) fn evidence_now(&self, mesh: &Mesh, now: Ms) -> Option<Evidence> {
        let tally = self.tally(mesh, now);
        let standing = &self.standing;
        let at = standing.evidence.level.min(tally.levels.len() - 1);
        let level = &tally.levels[at];
        let mut finding = Finding::new(standing.verdict, "6");
        let failing = match standing.verdict {
            Verdict::Up | Verdict::Maintenance => 0,
            Verdict::Degraded => level.mixed,
            Verdict::RateLimited => level.limited,
            Verdict::Regional | Verdict::Partial => level.lasting,
            Verdict::Outage | Verdict::AuthWalled | Verdict::Unknown => level.fail | level.walled,
        };
        if standing.verdict != Verdict::Up {
            if failing == 0 && standing.verdict != Verdict::Unknown {
                return None;
            }
            finding.level = at;
        }
        finding.failing = failing;
        let rule = standing.evidence.rule.clone();
        Some(Evidence {
            rule,
            ..self.evidence(&finding, &tally, mesh)
        })
    }

    fn evidence(&self, finding: &Finding, tally: &Tally, mesh: &Mesh) -> Evidence {
        let level = &tally.levels[finding.level];
        let reach = level.ok & !finding.failing;
        let ttl = self.policy.ttl();
        let witness = |(at, witness): (usize, &Witness)| {
            let vote = &self.ballots[at].levels[finding.level];
            let trouble = vote.say.trouble();
            Said {
                agent: witness.agent.clone(),
                region: witness.region.clone(),
                provider: witness.provider.clone(),
                step: trouble.map(|(step, _)| step),
                reason: trouble.map(|(_, reason)| reason),
                began: vote.began,
                in_a_row: vote.fails.max(vote.oks),
            }
        };
        let silent = self.panel.all() & !tally.eligible;
        let silent = self.panel.members(silent).map(|(at, witness)| {
            let fault = mesh.fault(&witness.agent).map(Fault::as_str);
            let ballot = &self.ballots[at];
            let why = fault.unwrap_or(match ballot.heard {
                None => "no_result",
                Some(_) if ballot.is_mute => "agent_fault",
                Some(_) => "stale",
            });
            Abstains {
                agent: witness.agent.clone(),
                why: why.to_owned(),
            }
        });
        let others: Vec<String> = {
            let touched = finding.failing;
            let explained = self.panel.explanations(touched);
            told(&explained)
                .filter(|text| !text.is_empty())
                .into_iter()
                .collect()
        };
        Evidence {
            rule: finding.rule.to_owned(),
            quorum: self.quorum(),
            level: finding.level,
            about: self.name(finding.level),
            independent: self.panel.independent(self.panel.all()),
            independent_eligible: self.panel.independent(tally.eligible),
            independent_failing: self.panel.independent(finding.failing),
            independent_ok: self.panel.independent(reach),
            failing: self.panel.members(finding.failing).map(witness).collect(),
            ok: self
                .panel
                .members(reach)
                .map(|(_, w)| w.agent.clone())
                .collect(),
            abstaining: silent.collect(),
            span_ms: level.span,
            explanations: others,
            ttl_ms: ttl,
            rhythm_ms: finding.rhythm,
        }
    }
}
