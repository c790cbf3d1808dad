//! The tools that a server offers, as a contract: what changed, and how bad that is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Severity;

crate::closed_words! {
    /// What a change of a tool surface means to a client that calls the tools, worst first.
    pub enum ChangeClass ("class of change") {
        /// Calls that were right are refused, results are not what was promised, or nobody can
        /// tell.
        Breaking = "breaking",
        /// What a model is told, or what a client is told of risks, is another thing: tool
        /// poisoning and rug pulls look so.
        SecurityRelevant = "security_relevant",
        /// More than before; what worked goes on working.
        Additive = "additive",
        /// For people's eyes, or another way to write the same thing.
        Cosmetic = "cosmetic",
    }
}

impl ChangeClass {
    /// What a change of this class does to the outcome, unless the check's severity is given.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Breaking | Self::SecurityRelevant => Severity::Fail,
            Self::Additive => Severity::Degrade,
            Self::Cosmetic => Severity::Note,
        }
    }
}

/// Whether a text is the fingerprint of a tool surface: `sha256:` and 64 lower-case hexadecimal digits.
#[must_use]
pub fn is_fingerprint(text: &str) -> bool {
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(is_digit)
}

crate::closed_words! {
    /// How a tool surface became the one that a server is held against.
    pub enum PinnedBy ("way to pin") {
        /// It was the first that any agent saw.
        FirstSeen = "first_seen",
        /// The monitor's `contract.pin` says so.
        Monitor = "monitor",
        /// Somebody approved it.
        Approval = "approval",
    }
}

/// One difference between two tool surfaces. All text is escaped ([`crate::text::line`]) and cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What it means to a client.
    pub class: ChangeClass,
    /// The tool; absent for what is said of the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Where, as a JSON Pointer (RFC 6901) into the tool's canonical form: the new one, or the old
    /// one for what is gone. Empty for the tool as a whole.
    pub pointer: String,
    /// What changed, as a sentence.
    pub what: String,
}

/// All differences between two tool surfaces, worst first. The counts are complete; of very many
/// changes only the first of each class are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// How many changes are breaking.
    pub breaking: u32,
    /// How many are security-relevant.
    pub security_relevant: u32,
    /// How many are additive.
    pub additive: u32,
    /// How many are cosmetic.
    pub cosmetic: u32,
    /// The changes, worst first.
    pub changes: Vec<Change>,
}

impl Drift {
    /// How many changes of a class there are, listed or not.
    #[must_use]
    pub const fn count(&self, class: ChangeClass) -> u32 {
        match class {
            ChangeClass::Breaking => self.breaking,
            ChangeClass::SecurityRelevant => self.security_relevant,
            ChangeClass::Additive => self.additive,
            ChangeClass::Cosmetic => self.cosmetic,
        }
    }

    /// How many changes there are, listed or not.
    #[must_use]
    pub fn total(&self) -> u32 {
        let counts = ChangeClass::ALL.iter().map(|class| self.count(*class));
        counts.fold(0, u32::saturating_add)
    }

    /// The worst class among the changes; none where nothing changed.
    #[must_use]
    pub fn worst(&self) -> Option<ChangeClass> {
        let mut classes = ChangeClass::ALL.iter().copied();
        classes.find(|class| self.count(*class) > 0)
    }

    /// The counts in words: `2 breaking, 1 cosmetic`.
    #[must_use]
    pub fn counts(&self) -> String {
        let said = ChangeClass::ALL
            .iter()
            .map(|class| (class, self.count(*class)))
            .filter(|(_, count)| *count > 0)
            .map(|(class, count)| format!("{count} {class}"));
        said.collect::<Vec<_>>().join(", ")
    }
}

/// What a probe knows of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractReport {
    /// `sha256:` and 64 hexadecimal digits over the canonical tool surface: the same for equal
    /// surfaces, whatever order they are written in.
    pub fingerprint: String,
    /// How many tools the surface has.
    pub tools: u32,
    /// The comparison with a baseline, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineReport>,
}

/// A comparison with a baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineReport {
    /// The fingerprint of the baseline.
    pub fingerprint: String,
    /// What has changed since.
    #[serde(flatten)]
    pub drift: Drift,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_class_decides_and_counts_are_said_worst_first() {
        let none = Drift::default();
        assert_eq!((none.worst(), none.total()), (None, 0));
        assert_eq!(none.counts(), "");
        let drift = Drift {
            cosmetic: 3,
            security_relevant: 1,
            ..Drift::default()
        };
        assert_eq!(drift.worst(), Some(ChangeClass::SecurityRelevant));
        assert_eq!(drift.counts(), "1 security_relevant, 3 cosmetic");
        assert_eq!(drift.total(), 4);
    }
}
