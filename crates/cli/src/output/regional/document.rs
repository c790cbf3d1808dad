//! What agents of several regions found, and how it is judged.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use model::regional::{Absence, NoReport, RegionalProbe, RegionalResult};
use model::report::SCHEMA_VERSION;
use schemars::JsonSchema;
use serde::Serialize;

use super::finding::{self, Finding, Level, Tell, Told};
use crate::exit;
use crate::output::{Document, Place, Run};
use crate::probe::wait::{End, Seen, Waited};

/// The exit statuses of one result, worst first: what says that the server is broken goes before
/// what says that a way to it is.
const WORST: [u8; 9] = [
    exit::INTERNAL,
    exit::CONFIG,
    exit::USAGE,
    exit::UNHEALTHY,
    exit::UNREACHABLE,
    exit::TIMEOUT,
    exit::REFUSED,
    exit::DEGRADED,
    exit::HEALTHY,
];

/// What `parallax probe --regions … --output json` prints. Fields are only added within a
/// `schema_version`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Regional {
    /// That of the reports.
    pub(crate) schema_version: u32,
    /// The result in a word: `healthy`, `degraded`, `unhealthy`, `inconclusive`.
    pub(crate) verdict: String,
    /// The result in a sentence.
    pub(crate) summary: String,
    #[serde(flatten)]
    pub(crate) probe: RegionalProbe,
    /// Whether each region is healthy: all of its agents that were asked say so.
    pub(crate) regions: BTreeMap<String, bool>,
    /// What came of `--wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<Waited>,
}

/// What makes the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Judge {
    pub(crate) fail_on_degraded: bool,
    /// How many regions must be healthy; all of them where it is absent.
    pub(crate) min_regions_ok: Option<NonZeroU32>,
}

/// A document, and how it is judged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RegionalRun {
    pub(crate) document: Regional,
    /// The exit status, one of [`crate::exit`].
    pub(crate) code: u8,
    pub(crate) judge: Judge,
    /// What findings point at.
    pub(crate) place: Option<Place>,
}

impl Judge {
    /// The exit status of one result.
    pub(crate) fn code(self, result: &RegionalResult) -> u8 {
        match (&result.report, &result.no_report) {
            (Some(report), _) => exit::of(&report.outcome, self.fail_on_degraded),
            (None, Some(no_report)) => of_absence(no_report.reason),
            (None, None) => exit::INTERNAL,
        }
    }

    /// The exit status of all, and the document.
    pub(crate) fn judge(self, probe: RegionalProbe) -> (u8, Regional) {
        let mut regions: BTreeMap<String, bool> = BTreeMap::new();
        for result in &probe.results {
            let is_ok = self.code(result) == exit::HEALTHY;
            *regions.entry(result.region.clone()).or_insert(true) &= is_ok;
        }
        let healthy = regions.values().filter(|is_ok| **is_ok).count();
        let wanted = self.wanted(regions.len());
        let codes = probe.results.iter().map(|result| self.code(result));
        let rank = |code: &u8| WORST.iter().position(|known| known == code);
        let worst = codes.min_by_key(rank).unwrap_or(exit::INTERNAL);
        let code = match worst {
            _ if healthy >= wanted && healthy > 0 => exit::HEALTHY,
            // More regions are wanted than there are.
            exit::HEALTHY => exit::UNHEALTHY,
            worst => worst,
        };
        let verdict = self.word(&probe, code).to_owned();
        let mut summary = format!("{verdict}: {healthy} of {} regions healthy", regions.len());
        let bad = probe
            .results
            .iter()
            .filter(|result| self.code(result) != exit::HEALTHY);
        for result in bad {
            summary.push_str(&format!("; {}: {}", from(result), said(result)));
        }
        let regional = Regional {
            schema_version: SCHEMA_VERSION,
            verdict,
            summary,
            probe,
            regions,
            wait: None,
        };
        (code, regional)
    }

    fn word(self, probe: &RegionalProbe, code: u8) -> &'static str {
        let mut reports = probe
            .results
            .iter()
            .filter_map(|result| result.report.as_ref());
        let is = |word: &str| reports.any(|report| report.outcome.as_str() == word);
        if code == exit::HEALTHY {
            return if { is }("degraded") {
                "degraded"
            } else {
                "healthy"
            };
        }
        let is_said = probe.results.iter().any(|result| {
            let outcome = result.report.as_ref().map(|report| report.outcome.as_str());
            matches!(outcome, Some("failed" | "degraded")) && self.code(result) != exit::HEALTHY
        });
        if is_said { "unhealthy" } else { "inconclusive" }
    }
}

/// Nothing is said of the target but by a pause that it asked for: who was to say it is not there.
const fn of_absence(reason: Absence) -> u8 {
    match reason {
        Absence::NoAgent | Absence::Busy | Absence::Draining | Absence::AgentLost => {
            exit::UNREACHABLE
        }
        Absence::Timeout => exit::TIMEOUT,
        Absence::Held => exit::REFUSED,
        Absence::NotSupported => exit::CONFIG,
        Absence::Rejected => exit::USAGE,
        Absence::BadReport => exit::INTERNAL,
    }
}

/// `region/agent`, or the region where there is no agent.
pub(super) fn from(result: &RegionalResult) -> String {
    let region = model::text::line(&result.region, 64);
    match &result.agent {
        Some(agent) => format!("{region}/{}", model::text::line(agent, 64)),
        None => region,
    }
}

/// What came of it: the report's sentence, or why there is none.
pub(super) fn said(result: &RegionalResult) -> String {
    match (&result.report, &result.no_report) {
        (Some(report), _) => report.summary.clone(),
        (
            None,
            Some(NoReport {
                reason,
                detail,
                retry_after_seconds,
            }),
        ) => {
            let again = retry_after_seconds.map(|seconds| format!("; ask again in {seconds} s"));
            format!("{reason}: {detail}{}", again.unwrap_or_default())
        }
        (None, None) => "the coordinator says nothing of it".to_owned(),
    }
}

impl Judge {
    /// What a wait looks at: whether as many regions as are wanted may still become healthy, and the
    /// longest pause that any of them asked for.
    pub(crate) fn seen(self, regional: &Regional, code: u8) -> Seen {
        let is_healthy = code == exit::HEALTHY;
        let mut wanted = None;
        let mut words = Vec::new();
        let mut hopeful: BTreeMap<&str, bool> = BTreeMap::new();
        for result in &regional.probe.results {
            let (word, is_curable, pause) = match (&result.report, &result.no_report) {
                (Some(report), _) => {
                    let seen = Seen::of(report, is_healthy);
                    (seen.result, seen.is_curable, seen.wanted)
                }
                (None, Some(no_report)) => {
                    let pause = no_report.retry_after_seconds.map(Duration::from_secs);
                    let is_curable = is_curable_absence(no_report.reason);
                    (no_report.reason.to_string(), is_curable, pause)
                }
                (None, None) => ("no_report".to_owned(), true, None),
            };
            wanted = wanted.max(pause);
            *hopeful.entry(&result.region).or_insert(true) &= is_curable;
            words.push(format!("{} {word}", from(result)));
        }
        let hopeful = hopeful.values().filter(|is_curable| **is_curable).count();
        Seen {
            result: model::text::line(&words.join(", "), 300),
            is_healthy,
            is_interrupted: false,
            is_curable: hopeful >= self.wanted(regional.regions.len()),
            wanted,
        }
    }

    /// How many of so many regions must be healthy.
    fn wanted(self, regions: usize) -> usize {
        let named = self.min_regions_ok.map(NonZeroU32::get);
        named.map_or(regions, |n| usize::try_from(n).unwrap_or(usize::MAX))
    }
}

const fn is_curable_absence(reason: Absence) -> bool {
    match reason {
        Absence::NotSupported | Absence::Rejected | Absence::BadReport => false,
        Absence::NoAgent
        | Absence::Busy
        | Absence::Held
        | Absence::Draining
        | Absence::AgentLost
        | Absence::Timeout => true,
    }
}

impl RegionalRun {
    /// The verdict in one word.
    pub(crate) fn word(&self) -> &str {
        match self.code {
            exit::INTERRUPTED => "interrupted",
            // Healthy, but not so often as was asked for.
            exit::TIMEOUT if self.is_unsteady() => "unhealthy",
            _ => &self.document.verdict,
        }
    }

    /// The verdict in one line, without a line feed: the word, the target, the sentence.
    pub(crate) fn line(&self) -> String {
        let Regional {
            probe,
            summary,
            wait,
            ..
        } = &self.document;
        let wait = wait.as_ref().map(|wait| format!("; {}", wait.sentence()));
        format!(
            "{}: {}: {summary}{}",
            self.word(),
            probe.url,
            wait.unwrap_or_default()
        )
    }

    /// The first reason of a region that is not healthy; nothing where all are.
    pub(super) fn reason(&self) -> String {
        let bad = self.document.probe.results.iter();
        let mut bad = bad.filter(|result| self.judge.code(result) != exit::HEALTHY);
        let reason = bad.find_map(|result| match (&result.report, &result.no_report) {
            (Some(report), _) => report.outcome.reason().map(|reason| reason.to_string()),
            (None, no_report) => no_report.as_ref().map(|it| it.reason.to_string()),
        });
        reason.unwrap_or_default()
    }

    /// One result as a run of its own, where there is a report.
    pub(super) fn run_of(&self, result: &RegionalResult) -> Option<Run> {
        Some(Run {
            document: Document::of(result.report.clone()?),
            code: self.judge.code(result),
            fail_on_degraded: self.judge.fail_on_degraded,
            place: self.place.clone(),
        })
    }

    fn is_unsteady(&self) -> bool {
        let wait = self.document.wait.as_ref();
        self.code == exit::TIMEOUT
            && wait.is_some_and(|wait| wait.end == End::TimeUp && wait.streak > 0)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut all = Vec::new();
        for result in &self.document.probe.results {
            let from = from(result);
            let found = match (self.run_of(result), &result.no_report) {
                (Some(run), _) => finding::of(&run),
                (None, Some(no_report)) => vec![absent(no_report, said(result))],
                (None, None) => Vec::new(),
            };
            all.extend(found.into_iter().map(|finding| Finding {
                from: from.clone(),
                ..finding
            }));
        }
        if self.code == exit::HEALTHY {
            // Enough regions are healthy: the others are worth a word.
            for finding in &mut all {
                finding.level = finding.level.max(Level::Warning);
            }
        } else if !all.iter().any(|finding| finding.level == Level::Error) {
            all.push(Finding {
                id: if self.is_unsteady() {
                    "wait.consecutive"
                } else {
                    "run"
                },
                level: Level::Error,
                title: "the server is healthy from enough regions".to_owned(),
                message: self.line(),
                source: String::new(),
                from: String::new(),
            });
        }
        all.sort_by_key(|finding| finding.level);
        all
    }
}

fn absent(no_report: &NoReport, message: String) -> Finding {
    Finding {
        id: no_report.reason.as_str(),
        level: Level::Error,
        title: "an agent of the region says what it sees".to_owned(),
        message,
        source: String::new(),
        from: String::new(),
    }
}

impl Tell for RegionalRun {
    fn told(&self) -> Told<'_> {
        let probe = &self.document.probe;
        let mut reports = probe
            .results
            .iter()
            .filter_map(|result| result.report.as_ref());
        Told {
            url: probe.url.as_url().as_str(),
            place: self.place.as_ref(),
            code: self.code,
            started_at: &probe.started_at,
            is_conclusive: reports.any(|report| report.outcome.as_str() != "inconclusive"),
            line: self.line(),
            findings: self.findings(),
        }
    }
}

/// How long the whole took.
pub(super) fn elapsed_us(run: &RegionalRun) -> u64 {
    let wait = run.document.wait.as_ref();
    wait.map_or(run.document.probe.elapsed_us, |wait| wait.elapsed_us)
}
