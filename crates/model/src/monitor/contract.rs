//! How the tools of a monitor's server are held as a contract.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::FieldError;
use crate::contract::{ChangeClass, is_fingerprint};

/// What becomes of the tools that a monitor's server lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractSpec {
    /// Whether agents say which tools they see.
    #[serde(default = "yes")]
    pub watch: bool,
    /// The tools that the server should have; without it, those that are seen first, until others
    /// are approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<ContractPin>,
    /// Changes of these classes degrade the monitor; none do where it is empty.
    #[serde(default = "grave")]
    pub degrade_on: BTreeSet<ChangeClass>,
}

/// The tools that a server should have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a fingerprint like `sha256:…`, or the content of a lock file"
)]
pub enum ContractPin {
    /// `sha256:` and 64 hexadecimal digits.
    Fingerprint(String),
    /// A lock file, as `parallax probe --write-baseline` writes it.
    Lock(Map<String, Value>),
}

impl ContractPin {
    /// The fingerprint that is pinned.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        match self {
            Self::Fingerprint(text) => Some(text),
            Self::Lock(members) => members.get("fingerprint")?.as_str(),
        }
    }
}

const fn yes() -> bool {
    true
}

fn grave() -> BTreeSet<ChangeClass> {
    BTreeSet::from([ChangeClass::Breaking, ChangeClass::SecurityRelevant])
}

impl Default for ContractSpec {
    fn default() -> Self {
        Self {
            watch: yes(),
            pin: None,
            degrade_on: grave(),
        }
    }
}

impl ContractSpec {
    /// What is wrong beyond the shape; whether the content of a lock file is whole is another
    /// question.
    pub(super) fn problems(&self, problems: &mut Vec<FieldError>) {
        let Some(pin) = &self.pin else {
            return;
        };
        if !pin.fingerprint().is_some_and(is_fingerprint) {
            let detail = "is neither `sha256:` and 64 hexadecimal digits, nor the content of a lock \
                          file; `parallax contract export` writes one";
            problems.push(FieldError::new("/contract/pin", detail));
        }
        if !self.watch {
            let detail = "nothing is held against it while `watch` is false; remove one of the two";
            problems.push(FieldError::new("/contract/pin", detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let spec: ContractSpec = serde_json::from_str(text).unwrap();
        let mut problems = Vec::new();
        spec.problems(&mut problems);
        problems
            .into_iter()
            .map(|problem| problem.pointer)
            .collect()
    }

    #[test]
    fn a_contract_is_watched_by_default_and_its_pin_is_a_fingerprint_or_a_lock() {
        let spec: ContractSpec = serde_json::from_str("{}").unwrap();
        assert_eq!(spec, ContractSpec::default());
        assert!(spec.watch && spec.degrade_on.contains(&ChangeClass::Breaking));
        let whole = format!("sha256:{}", "0a".repeat(32));
        let at = vec!["/contract/pin".to_owned()];
        let table = [
            (r#"{"watch":false}"#.to_owned(), vec![]),
            (format!(r#"{{"pin":"{whole}"}}"#), vec![]),
            (format!(r#"{{"pin":{{"fingerprint":"{whole}"}}}}"#), vec![]),
            (format!(r#"{{"pin":"{whole}","watch":false}}"#), at.clone()),
            (r#"{"pin":"sha256:12"}"#.to_owned(), at.clone()),
            (r#"{"pin":{}}"#.to_owned(), at),
        ];
        for (text, expected) in table {
            assert_eq!(problems(&text), expected, "{text}");
        }
        for bad in [
            r#"{"pin":1}"#,
            r#"{"degrade_on":["ugly"]}"#,
            r#"{"wach":true}"#,
        ] {
            assert!(serde_json::from_str::<ContractSpec>(bad).is_err(), "{bad}");
        }
    }
}
