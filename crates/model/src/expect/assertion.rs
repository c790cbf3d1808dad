//! One thing that must hold of a JSON value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::JsonPath;

/// One thing that must hold of a value that a path finds. With several values it must hold of
/// each; without one it fails, unless `exists` is false.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Where, by RFC 9535, from the result of the call: `$.structuredContent.status`.
    pub path: JsonPath,
    /// Whether there must be a value there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// The value that it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
    /// A text that it must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// The least number that it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest number that it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Where the value is that it must equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals_path: Option<JsonPath>,
    /// Where the number is that it must not be below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_path: Option<JsonPath>,
}

impl Assertion {
    pub(super) const fn demands(&self) -> bool {
        self.exists.is_some()
            || self.equals.is_some()
            || self.contains.is_some()
            || self.min.is_some()
            || self.max.is_some()
            || self.equals_path.is_some()
            || self.min_path.is_some()
    }

    /// What is wrong with `value` by this assertion, if anything. Values of the server are not
    /// repeated at length.
    #[must_use]
    pub fn broken(&self, value: &Value) -> Option<String> {
        let result = value;
        let path = &self.path;
        let found = path.find(result);
        if self.exists == Some(false) {
            return (!found.is_empty()).then(|| format!("{path} is there"));
        }
        if found.is_empty() {
            return Some(format!("{path} finds nothing"));
        }
        let other = |path: &Option<JsonPath>| {
            path.as_ref()
                .map(|path| path.find(result).first().map(|value| (*value).clone()))
        };
        let (equals_path, min_path) = (other(&self.equals_path), other(&self.min_path));
        found.into_iter().find_map(|value| {
            let shown = || crate::text::line(&value.to_string(), 60);
            let text = |value: &Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            let is_below = |least: f64| value.as_f64().is_none_or(|number| number < least);
            if let Some(wanted) = self.equals.as_ref().filter(|wanted| !equal(value, wanted)) {
                let wanted = crate::text::line(&wanted.to_string(), 60);
                return Some(format!("{path} is {}, not {wanted}", shown()));
            }
            if let Some(part) = self
                .contains
                .as_ref()
                .filter(|part| !text(value).contains(*part))
            {
                let part = crate::text::line(part, 60);
                return Some(format!("{path} is {}, without `{part}`", shown()));
            }
            if let Some(least) = self.min.filter(|least| is_below(*least)) {
                return Some(format!(
                    "{path} is {}, at least {least} is demanded",
                    shown()
                ));
            }
            let is_above = |most: f64| value.as_f64().is_none_or(|number| number > most);
            if let Some(most) = self.max.filter(|most| is_above(*most)) {
                return Some(format!("{path} is {}, at most {most} is demanded", shown()));
            }
            match &equals_path {
                Some(Some(wanted)) if equal(value, wanted) => {}
                None => {}
                Some(_) => {
                    let to = self.equals_path.as_ref()?;
                    return Some(format!("{path} is {}, unlike {to}", shown()));
                }
            }
            match &min_path {
                Some(Some(least)) if least.as_f64().is_some_and(|least| !is_below(least)) => None,
                None => None,
                Some(_) => {
                    let to = self.min_path.as_ref()?;
                    Some(format!("{path} is {}, below {to}", shown()))
                }
            }
        })
    }
}

/// Equality as JSON has it: 1 and 1.0 are one number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, value): (&String, &Value)| {
                b.get(name).is_some_and(|other| equal(value, other))
            };
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}
