//! Where an instance names itself: which of several replicas answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::expect::JsonPath;
use crate::monitor::FieldError;

/// Characters of an instance's name that are kept.
pub const MAX_NAME: usize = 96;
/// Further instances, or servers, of one probe that are told of.
pub const MAX_OTHERS: usize = 8;

/// Where to look for the name of the instance that answered. What is absent is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceSpec {
    /// The name of a header of every response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// A path into every `serverInfo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<JsonPath>,
    /// A path into the result of every call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<JsonPath>,
    /// A path into the JSON of the health page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<JsonPath>,
}

impl InstanceSpec {
    /// Whether nothing is looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Everything that is wrong with it beyond its shape.
    #[must_use]
    pub fn problems(&self, pointer: &str) -> Vec<FieldError> {
        let header = self.header.as_ref();
        let bad = header.filter(|name| !crate::header::is_name(name));
        bad.map(|_| FieldError::new(format!("{pointer}/header"), "this is no legal header name"))
            .into_iter()
            .collect()
    }
}

/// The name that `path` finds in `value`: its first text, number or truth value, escaped and cut.
#[must_use]
pub fn name(path: &JsonPath, value: &Value) -> Option<String> {
    let text = match path.find(value).first()? {
        Value::String(text) => text.clone(),
        found @ (Value::Number(_) | Value::Bool(_)) => found.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(crate::text::line(text.trim(), MAX_NAME)).filter(|name| !name.is_empty())
}

/// Adds a name to those that are known, if it is new and there is room.
pub fn add(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) && names.len() <= MAX_OTHERS {
        names.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_values_and_never_structures() {
        let value =
            json!({ "pod": " a-1\u{1b}[31m ", "n": 7, "list": ["x"], "none": null, "": "" });
        let found = |path: &str| name(&path.parse().unwrap(), &value);
        assert_eq!(found("$.n").as_deref(), Some("7"));
        assert_eq!(found("$.list[0]").as_deref(), Some("x"));
        for nothing in ["$.list", "$.none", "$.gone", "$['']"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
        let pod = found("$.pod").unwrap();
        assert!(pod.starts_with("a-1") && !pod.contains('\u{1b}'), "{pod}");
    }

    #[test]
    fn few_names_are_kept_and_each_once() {
        let mut names = Vec::new();
        for n in 0..100 {
            add(&mut names, (n % 50).to_string());
        }
        assert_eq!(names.len(), MAX_OTHERS + 1);
    }
}
