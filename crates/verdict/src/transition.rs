//! A change of verdict, with what it rests on, and the sentence that tells it.

use model::verdict::{Flag, Verdict};
use model::{Reason, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Ms;
use crate::judge::FLAPPING_OUT;
use crate::judge::Standing;

/// A change of verdict or of its scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When, on the caller's axis.
    pub at: Ms,
    /// Since when the verdict holds: before `at` where only the scope changed.
    pub since: Ms,
    /// What it was.
    pub previous: Verdict,
    /// What it is.
    pub verdict: Verdict,
    /// What is affected.
    pub scope: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What else is to be known.
    pub flags: Vec<Flag>,
    /// In a sentence.
    pub why: String,
    /// Whether somebody should be woken.
    pub page: bool,
    /// What it rests on.
    pub evidence: Evidence,
}

/// What a verdict rests on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The rule that applied, as the engine numbers them: 1 outage, 2 too few votes, 3 mixed, 4
    /// lasting for some, 5 slow or against its checks, 6 up.
    pub rule: String,
    /// How many independent witnesses an outage needs.
    pub quorum: u32,
    /// The place of what it is about: 0 for the protocol, then the configured calls.
    #[serde(default)]
    pub level: usize,
    /// The same in words: `protocol`, `tool NAME`.
    pub about: String,
    /// How many agents of the panel differ in region and provider.
    pub independent: u32,
    /// The same of those who may vote and have something to say.
    pub independent_eligible: u32,
    /// The same of those who fail: also how many faults at once would explain them away.
    pub independent_failing: u32,
    /// The same of those who reach it.
    pub independent_ok: u32,
    /// Who fails, and how.
    pub failing: Vec<Said>,
    /// Who reaches it.
    pub ok: Vec<String>,
    /// Who has no vote, and why.
    pub abstaining: Vec<Abstains>,
    /// From the first failure to the last, milliseconds.
    pub span_ms: Ms,
    /// What would explain the failures without blaming the target.
    pub explanations: Vec<String>,
    /// How long a vote counts, milliseconds.
    pub ttl_ms: Ms,
    /// How far failures that come again and again lie apart, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rhythm_ms: Option<Ms>,
}

/// What one agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// Which agent.
    pub agent: String,
    /// Where it is.
    pub region: String,
    /// On whose network.
    pub provider: String,
    /// The step that failed.
    pub step: Option<Step>,
    /// Why.
    pub reason: Option<Reason>,
    /// When its last probe began, milliseconds on the caller's axis.
    pub began: Ms,
    /// How often in a row.
    pub in_a_row: u32,
}

/// An agent without a vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Abstains {
    /// Which agent.
    pub agent: String,
    /// Why.
    pub why: String,
}

fn witnesses(count: u32) -> String {
    if count == 1 {
        "1 independent witness".to_owned()
    } else {
        format!("{count} independent witnesses")
    }
}

/// What is said of a target, in a sentence.
#[must_use]
pub fn sentence(standing: &Standing) -> String {
    let evidence = &standing.evidence;
    let scope = standing.scope.as_deref().unwrap_or_default();
    let how = how(standing);
    let reach = witnesses(evidence.independent_ok);
    match standing.verdict {
        Verdict::Up => format!("{reach} reach it"),
        Verdict::Outage => format!(
            "{} see {}: {how}; to explain that away {} regions or providers would have to be broken at once",
            witnesses(evidence.independent_failing),
            match tool(scope) {
                Some(tool) => format!("calls of `{tool}` fail while the protocol works"),
                None => "it fail".to_owned(),
            },
            evidence.independent_failing,
        ),
        Verdict::Regional | Verdict::Partial => {
            let who: Vec<&str> = evidence.failing.iter().map(|s| s.agent.as_str()).collect();
            let cause = if scope.is_empty() {
                "no small set of regions and providers explains it".to_owned()
            } else {
                format!("explained by {scope}")
            };
            format!(
                "{} cannot {} ({how}); still reached by {reach}; {cause}; an outage would need {} independent faults",
                who.join(", "),
                match tool(&evidence.about) {
                    Some(tool) => format!("call `{tool}`"),
                    None => "use it".to_owned(),
                },
                evidence.quorum,
            )
        }
        Verdict::AuthWalled => {
            let refused = witnesses(evidence.independent_failing);
            if standing.flags.contains(&Flag::CredentialRefused) {
                format!("the credential that worked until now is refused to {refused}: {how}")
            } else {
                format!("{refused} are turned away: {how}")
            }
        }
        Verdict::RateLimited => format!(
            "{} are told to come back later: {how}",
            witnesses(evidence.independent_failing)
        ),
        Verdict::Degraded => match standing.reason.as_deref() {
            Some("latency") => "half of all witnesses or more find it slower than usual".to_owned(),
            Some("flapping") => format!(
                "it fails again and again, about every {} s, and {}",
                evidence.rhythm_ms.unwrap_or(0) / 1000,
                if evidence.rule == FLAPPING_OUT {
                    "now and then it is an outage"
                } else {
                    "is back each time before it is an outage"
                },
            ),
            Some("checks") => "it answers, and breaks rules that users feel".to_owned(),
            Some(_) | None => format!("it works now and then: {how}"),
        },
        Verdict::Unknown => unknown(standing),
        Verdict::Maintenance => "its operator declared maintenance".to_owned(),
    }
}

/// The step and the reason that most failing agents name.
fn how(standing: &Standing) -> String {
    let reason = standing.reason.as_deref().unwrap_or("no reason");
    let names_it = |said: &&Said| said.reason.is_some_and(|known| known.as_str() == reason);
    let said = standing.evidence.failing.iter().find(names_it);
    match said.and_then(|said| said.step) {
        Some(step) => format!("{reason} at {step}"),
        None => reason.to_owned(),
    }
}

/// The tool that a scope names.
fn tool(scope: &str) -> Option<&str> {
    scope.strip_prefix("tool ")
}

fn unknown(standing: &Standing) -> String {
    let evidence = &standing.evidence;
    match standing.reason.as_deref() {
        Some("too_few_witnesses") => format!(
            "the agents that watch it make {}, and a verdict needs two: add an agent in another region on another provider",
            witnesses(evidence.independent)
        ),
        Some("witnesses_silent") => format!(
            "{} of {} have a say: {}",
            evidence.independent_eligible,
            witnesses(evidence.independent),
            abstaining(evidence)
        ),
        Some("too_few_to_tell") => format!(
            "all who have a say see it fail, but they make only {} of {} that are needed",
            witnesses(evidence.independent_eligible),
            evidence.quorum
        ),
        Some("weakly_attested") => format!(
            "{} see it fail ({}), but fewer than 3 references vouch for each of their own networks: give the agents canaries, or set `accept_weak`",
            witnesses(evidence.independent_failing),
            evidence
                .failing
                .iter()
                .find_map(|s| s.reason)
                .map_or("no reason", Reason::as_str),
        ),
        Some(_) | None => "no two independent witnesses have reported yet".to_owned(),
    }
}

fn abstaining(evidence: &Evidence) -> String {
    let who = evidence.abstaining.iter().take(8);
    let who: Vec<String> = who.map(|a| format!("{} ({})", a.agent, a.why)).collect();
    who.join(", ")
}
