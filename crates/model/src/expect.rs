//! What a user demands of a target beyond the protocol. Each demand is a check, so that its
//! severity can be chosen like that of every other one.

mod assertion;
mod origin;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::monitor::FieldError;
use crate::period::Period;
use crate::{Era, Revision, Step, TargetUrl, json_schema};

pub use assertion::Assertion;
pub use origin::{MAX_ORIGINS, OriginExpect, WebOrigin, WebOriginError};

/// Assertions on the result of one call.
const MAX_ASSERTIONS: usize = 32;
/// The longest path, pattern, name or version.
const MAX_TEXT: usize = 512;
/// Tools that must be there.
const MAX_TOOLS: usize = 256;

/// What the whole target must be. What is absent is not demanded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Tools that must be listed (`list.expected`).
    pub tools: Vec<String>,
    /// The name that the server must give itself (`server.expected`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The version that the server must give itself: whether the new build is live
    /// (`server.expected`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// The era that must be spoken (`era.expected`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
    /// The revision that must be agreed on (`era.expected`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<Revision>,
    /// Origins that must be let in or kept out (`origin.expected`).
    #[serde(skip_serializing_if = "OriginExpect::is_empty")]
    pub origin: OriginExpect,
    /// How many days every certificate must still be valid, 14 where absent
    /// (`net.cert_expiry`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_days: Option<u32>,
    /// How long the whole probe may take (`perf.total`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total: Option<Period>,
    /// How long a step may take, by its name (`perf.step`).
    pub max_step: BTreeMap<Step, Period>,
    /// How many bytes one answer may have (`http.size`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_response_bytes: Option<u64>,
}

/// What the result of a call must be (`call.expected`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallExpect {
    /// A JSON Schema that `structuredContent` must conform to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// What must hold of the result; all of them.
    #[serde(rename = "assert")]
    pub assertions: Vec<Assertion>,
    /// How long the call may take (`perf.step`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Period>,
}

/// A plain HTTP resource to ask beside the sequence, and what it must say (`health.expected`).
/// What it says is reported beside what MCP says, and replaces nothing of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// What to GET. Headers of the monitor are sent only to the target's own origin.
    pub url: TargetUrl,
    /// The status that it must answer with; any 2xx where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What must hold of its JSON body; all of them.
    #[serde(default, rename = "assert", skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
}

impl HealthSpec {
    /// Everything that is wrong with the demands beyond their shape.
    #[must_use]
    pub fn problems(&self, pointer: &str) -> Vec<FieldError> {
        let mut problems = assertion_problems(&self.assertions, pointer);
        if self
            .status
            .is_some_and(|status| !(100..=599).contains(&status))
        {
            let detail = "an HTTP status is 100 to 599";
            problems.push(FieldError::new(format!("{pointer}/status"), detail));
        }
        problems
    }
}

impl Expect {
    /// Everything that is wrong with the demands beyond their shape.
    #[must_use]
    pub fn problems(&self, pointer: &str) -> Vec<FieldError> {
        let mut problems = Vec::new();
        if self.tools.len() > MAX_TOOLS {
            let detail = format!("{} tools; at most {MAX_TOOLS}", self.tools.len());
            problems.push(FieldError::new(format!("{pointer}/tools"), detail));
        }
        for (n, tool) in self.tools.iter().enumerate() {
            texts(&format!("{pointer}/tools/{n}"), tool, &mut problems);
        }
        for (field, text) in [
            ("server_name", &self.server_name),
            ("server_version", &self.server_version),
        ] {
            if let Some(text) = text {
                texts(&format!("{pointer}/{field}"), text, &mut problems);
            }
        }
        problems.extend(self.origin.problems(&format!("{pointer}/origin")));
        if let (Some(era), Some(revision)) = (self.era, self.protocol_version)
            && revision.era() != era
        {
            let detail = format!("{revision} is of the {} era, not {era}", revision.era());
            problems.push(FieldError::new(
                format!("{pointer}/protocol_version"),
                detail,
            ));
        }
        problems
    }
}

impl CallExpect {
    /// Everything that is wrong with the demands beyond their shape.
    #[must_use]
    pub fn problems(&self, pointer: &str) -> Vec<FieldError> {
        let mut problems = Vec::new();
        if self
            .schema
            .as_ref()
            .is_some_and(|schema| !schema.is_object() && !schema.is_boolean())
        {
            let detail = "a JSON Schema is an object";
            problems.push(FieldError::new(format!("{pointer}/schema"), detail));
        }
        let schema = self.schema.as_ref().filter(|_| problems.is_empty());
        if let Some(why) = schema.and_then(json_schema::refusal) {
            problems.push(FieldError::new(format!("{pointer}/schema"), why));
        }
        problems.extend(assertion_problems(&self.assertions, pointer));
        problems
    }
}

fn assertion_problems(assertions: &[Assertion], pointer: &str) -> Vec<FieldError> {
    let mut problems = Vec::new();
    if assertions.len() > MAX_ASSERTIONS {
        let detail = format!("{} assertions; at most {MAX_ASSERTIONS}", assertions.len());
        problems.push(FieldError::new(format!("{pointer}/assert"), detail));
    }
    for (n, assertion) in assertions.iter().enumerate() {
        if !assertion.demands() {
            let detail = "demands nothing; say exists, equals, contains, min, max, \
                          equals_path or min_path";
            problems.push(FieldError::new(format!("{pointer}/assert/{n}"), detail));
        }
        if let Some(text) = &assertion.contains {
            texts(
                &format!("{pointer}/assert/{n}/contains"),
                text,
                &mut problems,
            );
        }
    }
    problems
}

fn texts(pointer: &str, text: &str, problems: &mut Vec<FieldError>) {
    if text.is_empty() || text.len() > MAX_TEXT {
        let detail = format!("use 1 to {MAX_TEXT} bytes");
        problems.push(FieldError::new(pointer, detail));
    }
}

/// A query of RFC 9535 that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(String);

/// A text that is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is no JSONPath (RFC 9535): {why}; write it like $.structuredContent.status")]
pub struct JsonPathError {
    path: String,
    why: String,
}

impl JsonPath {
    /// The query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The values that the query finds in `value`, in document order as RFC 9535 §2.3 says.
    #[must_use]
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        // It was read once; it can be read again.
        let path = serde_json_path::JsonPath::parse(&self.0);
        path.map(|path| path.query(value).all()).unwrap_or_default()
    }
}

impl FromStr for JsonPath {
    type Err = JsonPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |why: &str| JsonPathError {
            path: crate::text::line(text, 80),
            why: crate::text::line(why, 120),
        };
        if text.len() > MAX_TEXT {
            return Err(refuse("it is too long"));
        }
        // Each of these multiplies what is looked at by all that there is.
        if text.matches("..").count() > 1 || text.matches('?').count() > 2 {
            return Err(refuse("more than one `..`, or more than two filters"));
        }
        match serde_json_path::JsonPath::parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(refuse(error.message())),
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for JsonPath {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for JsonPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonPath".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^\$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 9535 §1.5, its own example.
    #[test]
    fn paths_find_what_the_rfc_says() {
        let store = json!({ "store": { "book": [
            { "author": "Nigel Rees", "price": 8.95 },
            { "author": "Evelyn Waugh", "price": 12.99 },
        ], "bicycle": { "price": 399 } } });
        let find = |path: &str| {
            let path: JsonPath = path.parse().unwrap();
            path.find(&store).into_iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(
            find("$.store.book[*].author"),
            [json!("Nigel Rees"), json!("Evelyn Waugh")]
        );
        assert_eq!(find("$.store.book[-1].price"), [json!(12.99)]);
        assert_eq!(find("$..book[?@.price<10].author"), [json!("Nigel Rees")]);
        assert_eq!(find("$.nothing"), Vec::<Value>::new());
        let error = "store".parse::<JsonPath>().unwrap_err().to_string();
        assert!(error.contains("`store` is no JSONPath"), "{error}");
    }

    #[test]
    fn demands_that_cannot_be_meant_are_named() {
        let expect: Expect = serde_json::from_value(json!({
            "tools": [""], "server_version": "", "era": "modern",
            "protocol_version": "2025-11-25",
        }))
        .unwrap();
        let pointers: Vec<_> = expect
            .problems("/expect")
            .into_iter()
            .map(|p| p.pointer)
            .collect();
        let expected = [
            "/expect/tools/0",
            "/expect/server_version",
            "/expect/protocol_version",
        ];
        assert_eq!(pointers, expected);
        let call: CallExpect =
            serde_json::from_value(json!({ "assert": [{ "path": "$.a" }], "schema": 7 })).unwrap();
        let pointers: Vec<_> = call.problems("/e").into_iter().map(|p| p.pointer).collect();
        assert_eq!(pointers, ["/e/schema", "/e/assert/0"]);
        let schema = json!({ "properties": { "a": { "$ref": "https://example.com/s.json" } } });
        let call: CallExpect = serde_json::from_value(json!({ "schema": schema })).unwrap();
        let problems = call.problems("/e");
        assert_eq!(problems[0].pointer, "/e/schema");
        assert_eq!(
            problems[0].detail,
            "refers to another document, https://example.com/s.json"
        );
        let unknown = serde_json::from_value::<Expect>(json!({ "tool": [] }));
        assert!(
            unknown
                .unwrap_err()
                .to_string()
                .contains("unknown field `tool`")
        );
    }
}
