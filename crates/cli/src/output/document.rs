//! What a run found: a report, and what came of asking more than once.

use model::{Outcome, Report};
use schemars::JsonSchema;
use serde::Serialize;

use super::Place;
use crate::probe::load::Loaded;
use crate::probe::repeat::Repeated;
use crate::probe::wait::{End, Waited};

/// What `parallax probe --output json` prints: the report of a probe and, where there was more
/// than one, what came of all. Fields are only added within a `schema_version`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Document {
    /// The probe that decides the exit status: the last of `--wait`, the last that was not healthy
    /// of `--repeat`, the one before the load of `--for`.
    #[serde(flatten)]
    pub(crate) report: Report,
    /// What came of `--wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<Waited>,
    /// What came of `--repeat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeat: Option<Repeated>,
    /// What came of `--for`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) load: Option<Loaded>,
}

impl Document {
    /// The document of one probe.
    pub(crate) const fn of(report: Report) -> Self {
        Self {
            report,
            wait: None,
            repeat: None,
            load: None,
        }
    }
}

/// A document, and how it is judged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    /// What was found.
    pub(crate) document: Document,
    /// The exit status, one of [`crate::exit`].
    pub(crate) code: u8,
    /// Whether degraded is a failure here.
    pub(crate) fail_on_degraded: bool,
    /// What findings point at.
    pub(crate) place: Option<Place>,
}

impl Run {
    /// The verdict in one word: what the exit status means, since a load or a wait may fail where
    /// the last probe did not.
    pub(crate) fn word(&self) -> &'static str {
        match &self.document.report.outcome {
            Outcome::Degraded { .. } if self.code == crate::exit::HEALTHY => "degraded",
            _ if self.code == crate::exit::HEALTHY => "healthy",
            _ if self.code == crate::exit::INTERRUPTED => "interrupted",
            Outcome::Inconclusive { .. } => "inconclusive",
            Outcome::Degraded { .. } => "degraded",
            Outcome::Ok | Outcome::Failed(_) => "unhealthy",
        }
    }

    /// The verdict in one line, without a line feed: the word, the target, the sentence.
    pub(crate) fn line(&self) -> String {
        let report = &self.document.report;
        let mut line = format!("{}: {}: {}", self.word(), report.url, report.summary);
        for more in self.more() {
            line.push_str("; ");
            line.push_str(&more);
        }
        line
    }

    /// What came of asking more than once, a sentence each.
    pub(crate) fn more(&self) -> Vec<String> {
        let document = &self.document;
        let wait = document.wait.as_ref().map(Waited::sentence);
        let repeat = document.repeat.as_ref().map(Repeated::sentence);
        let load = document.load.as_ref().map(Loaded::sentence);
        [wait, repeat, load].into_iter().flatten().collect()
    }

    /// Whether time ran out before a healthy server was so often enough.
    pub(crate) fn is_unsteady(&self) -> bool {
        let wait = self.document.wait.as_ref();
        self.code == crate::exit::TIMEOUT
            && wait.is_some_and(|wait| wait.end == End::TimeUp && wait.streak > 0)
    }
}
