//! Arguments of a tool that are mirrored into `Mcp-Param-*` headers (2026-07-28
//! transports/streamable-http, "Custom Headers from Tool Parameters").

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::header;

/// The annotation of a property that names its header.
const ANNOTATION: &str = "x-mcp-header";
/// Headers of one call: those of one request fit into 16 KiB anywhere.
const MAX_HEADERS: usize = 64;
/// The longest name that is given to a header.
const MAX_NAME_BYTES: usize = 128;

/// Which arguments of a tool travel in headers too.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// The header, and the way to the argument.
    headers: Vec<(HeaderName, Vec<String>)>,
}

/// Reads the annotations of an input schema. Where one is invalid, a client must drop the tool:
/// the error says which and why.
pub(crate) fn mirror(input_schema: &Value) -> Result<Mirror, String> {
    let mut walk = Walk::default();
    walk.schema(input_schema, &mut Vec::new(), true)?;
    Ok(walk.found)
}

impl Mirror {
    /// The headers of a call with these arguments. What is absent, null or no plain value has none.
    pub(crate) fn headers(&self, arguments: &Map<String, Value>) -> Vec<(HeaderName, HeaderValue)> {
        let value_of = |path: &[String]| {
            let (first, rest) = path.split_first()?;
            let start = arguments.get(first)?;
            let value = rest.iter().try_fold(start, |value, key| value.get(key))?;
            let text = match value {
                Value::String(text) => header::encode(text),
                Value::Bool(yes) => yes.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            HeaderValue::from_str(&text).ok()
        };
        let headers = self.headers.iter();
        headers
            .filter_map(|(name, path)| Some((name.clone(), value_of(path)?)))
            .collect()
    }
}

#[derive(Default)]
struct Walk {
    found: Mirror,
    names: BTreeSet<String>,
}

impl Walk {
    /// `is_chain`: whether only `properties` led here. Depth is bounded by the JSON reader.
    fn schema(
        &mut self,
        schema: &Value,
        path: &mut Vec<String>,
        is_chain: bool,
    ) -> Result<(), String> {
        let Value::Object(members) = schema else {
            return Ok(());
        };
        if let Some(annotation) = members.get(ANNOTATION) {
            self.annotation(annotation, schema, path, is_chain)?;
        }
        for (keyword, inner) in members {
            match keyword.as_str() {
                "properties" => {
                    for (name, property) in inner.as_object().into_iter().flatten() {
                        path.push(name.clone());
                        self.schema(property, path, is_chain)?;
                        path.pop();
                    }
                }
                // Maps from names, which are no keywords.
                "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                    for property in inner.as_object().into_iter().flat_map(Map::values) {
                        self.schema(property, path, false)?;
                    }
                }
                // Data, not schemas.
                "default" | "const" | "enum" | "examples" | ANNOTATION => {}
                _ => match inner {
                    Value::Array(items) => {
                        for item in items {
                            self.schema(item, path, false)?;
                        }
                    }
                    Value::Object(_) => self.schema(inner, path, false)?,
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                },
            }
        }
        Ok(())
    }

    fn annotation(
        &mut self,
        annotation: &Value,
        schema: &Value,
        path: &[String],
        is_chain: bool,
    ) -> Result<(), String> {
        let at = model::text::line(&path.join("."), 60);
        let refuse = |why: &str| Err(format!("{ANNOTATION} of `{at}` {why}"));
        let Some(name) = annotation.as_str() else {
            return refuse("is not a string");
        };
        if !is_chain || path.is_empty() {
            return refuse("is not reached by `properties` alone");
        }
        // RFC 9110 §5.6.2: a token. `HeaderName` takes exactly those.
        let header = HeaderName::from_bytes(format!("mcp-param-{name}").as_bytes());
        let Some(header) = header
            .ok()
            .filter(|_| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
        else {
            return refuse("is no header name");
        };
        let is_primitive = |kind: &Value| {
            matches!(
                kind.as_str(),
                Some("string" | "integer" | "boolean" | "null")
            )
        };
        let kind = &schema["type"];
        let fits = match kind {
            Value::String(_) => is_primitive(kind) && kind != "null",
            // A nullable primitive.
            Value::Array(kinds) => kinds.iter().all(is_primitive),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                schema.get("type").is_none()
            }
        };
        if !fits {
            return refuse("stands on what is no string, integer or boolean");
        }
        if !self.names.insert(name.to_ascii_lowercase()) {
            return refuse("names a header that another property names");
        }
        if self.found.headers.len() >= MAX_HEADERS {
            return refuse("is one too many");
        }
        self.found.headers.push((header, path.to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(properties: &Value) -> Result<Mirror, String> {
        mirror(&json!({ "type": "object", "properties": properties }))
    }

    fn shown(mirror: &Mirror, arguments: &Value) -> Vec<(String, String)> {
        let headers = mirror.headers(arguments.as_object().unwrap());
        let pair = |(name, value): (HeaderName, HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        headers.into_iter().map(pair).collect()
    }

    /// 2026-07-28 transports/streamable-http, "Value Encoding".
    #[test]
    fn arguments_are_mirrored() {
        let mirror = of(&json!({
            "region": { "type": "string", "x-mcp-header": "Region" },
            "priority": { "type": "integer", "x-mcp-header": "Priority" },
            "dry": { "type": ["boolean", "null"], "x-mcp-header": "Dry" },
            "absent": { "type": "string", "x-mcp-header": "Absent" },
            "plain": { "type": "number" },
            "deep": { "type": "object", "properties": {
                "city": { "type": "string", "x-mcp-header": "City" } } },
        }))
        .unwrap();
        let arguments = json!({
            "region": " us-west1", "priority": 42, "dry": false, "plain": 1.5,
            "deep": { "city": "Zürich" },
        });
        let mut headers = shown(&mirror, &arguments);
        headers.sort();
        let expected = [
            ("mcp-param-city", "=?base64?WsO8cmljaA==?="),
            ("mcp-param-dry", "false"),
            ("mcp-param-priority", "42"),
            ("mcp-param-region", "=?base64?IHVzLXdlc3Qx?="),
        ];
        assert_eq!(headers, expected.map(|(n, v)| (n.into(), v.into())));
        assert_eq!(shown(&mirror, &json!({ "dry": null })), []);
    }

    /// The cases that a client must refuse, from the same section.
    #[test]
    fn invalid_annotations_drop_the_tool() {
        let table = [
            (
                json!({ "a": { "type": "string", "x-mcp-header": "" } }),
                "no header name",
            ),
            (
                json!({ "a": { "type": "string", "x-mcp-header": "My Region" } }),
                "no header name",
            ),
            (
                json!({ "a": { "type": "string", "x-mcp-header": "A:B" } }),
                "no header name",
            ),
            (
                json!({ "a": { "type": "string", "x-mcp-header": "Région" } }),
                "no header name",
            ),
            (
                json!({ "a": { "type": "string", "x-mcp-header": "A\t1" } }),
                "no header name",
            ),
            (
                json!({ "a": { "type": "string", "x-mcp-header": 7 } }),
                "not a string",
            ),
            (
                json!({ "a": { "type": "number", "x-mcp-header": "A" } }),
                "no string",
            ),
            (
                json!({ "a": { "type": "object", "x-mcp-header": "A" } }),
                "no string",
            ),
            (
                json!({ "a": { "type": "array", "x-mcp-header": "A" } }),
                "no string",
            ),
            (
                json!({ "a": { "type": "null", "x-mcp-header": "A" } }),
                "no string",
            ),
            (
                json!({ "a": { "type": "string", "x-mcp-header": "Key" },
                        "b": { "type": "string", "x-mcp-header": "kEY" } }),
                "another property",
            ),
            (
                json!({ "a": { "type": "array",
                               "items": { "type": "string", "x-mcp-header": "A" } } }),
                "`properties` alone",
            ),
            (
                json!({ "a": { "anyOf": [{ "type": "string", "x-mcp-header": "A" }] } }),
                "`properties` alone",
            ),
        ];
        for (properties, why) in table {
            let error = of(&properties).unwrap_err();
            assert!(error.contains(why), "{properties}: {error}");
        }
    }

    #[test]
    fn a_property_or_a_value_of_that_name_is_no_annotation() {
        let properties = json!({
            "x-mcp-header": { "type": "array" },
            "a": { "type": "object", "default": { "x-mcp-header": "" } },
        });
        assert_eq!(of(&properties), Ok(Mirror::default()));
    }

    proptest! {
        #[test]
        fn every_argument_becomes_a_legal_header(value: String) {
            let mirror = of(&json!({ "a": { "type": "string", "x-mcp-header": "A" } })).unwrap();
            prop_assert_eq!(shown(&mirror, &json!({ "a": value })).len(), 1);
        }
    }
}
