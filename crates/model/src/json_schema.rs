//! JSON Schemas that servers hand out, and that users demand: whether they are valid, and whether a
//! value conforms.
//!
//! A schema of a stranger can be made to take for ever: by patterns that backtrack, by references
//! that double at each level, by references to other hosts. So patterns run in linear time,
//! nothing is ever fetched (2026-07-28 basic, "$ref Resolution"), and a schema is applied only if
//! its references, written out, are few: then applying it costs at most schema × value.

use jsonschema::PatternOptions;
use serde_json::{Map, Value};

/// The most that a schema may come to with its references written out.
const MAX_UNFOLDED: u32 = 4096;
/// The most that a schema and a value may come to together: some milliseconds.
const MAX_WORK: u64 = 2_000_000;
/// How much memory a pattern may take once compiled.
const PATTERN_BYTES: usize = 1 << 18;
/// Patterns of one schema, references written out.
const MAX_PATTERNS: u32 = 32;
/// References within references.
const MAX_REFERENCES: usize = 64;

/// What is wrong with a schema, if anything: it breaks the rules of its dialect, or refers to
/// another document. A dialect that is not known is not judged.
#[must_use]
pub fn problem(schema: &Value) -> Option<String> {
    if let Some(elsewhere) = foreign_reference(schema) {
        let shown = crate::text::line(elsewhere, 80);
        return Some(format!("refers to another document, {shown}"));
    }
    let dialect = schema.get("$schema").and_then(Value::as_str).unwrap_or("");
    let error = match dialect.trim_end_matches('#') {
        "" | "https://json-schema.org/draft/2020-12/schema" => {
            jsonschema::draft202012::meta::validate(schema).err()
        }
        "https://json-schema.org/draft/2019-09/schema" => {
            jsonschema::draft201909::meta::validate(schema).err()
        }
        "http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema" => {
            jsonschema::draft7::meta::validate(schema).err()
        }
        _ => None,
    };
    error.map(|error| {
        let at = crate::text::line(&error.instance_path().to_string(), 60);
        let what = crate::text::line(&error.to_string(), 100);
        format!("is no valid JSON Schema at `{at}`: {what}")
    })
}

/// Whether a value conforms to a schema: `None` where that cannot be judged.
#[must_use]
pub fn conforms(schema: &Value, value: &Value) -> Option<Result<(), String>> {
    let unfolded = Unfolding::of(schema)?;
    if u64::from(unfolded) * size(value) > MAX_WORK {
        return None;
    }
    let validator = options().build(schema).ok()?;
    Some(validator.validate(value).map_err(|error| {
        let at = crate::text::line(&error.instance_path().to_string(), 60);
        let what = crate::text::line(&error.to_string(), 120);
        if at.is_empty() {
            what
        } else {
            format!("`{at}`: {what}")
        }
    }))
}

/// Why a schema cannot be applied to any value, if it cannot: it breaks the rules of its dialect,
/// refers elsewhere, or is beyond the bounds of what is applied.
#[must_use]
pub fn refusal(schema: &Value) -> Option<String> {
    if let Some(problem) = problem(schema) {
        return Some(problem);
    }
    if Unfolding::of(schema).is_none() {
        return Some(format!(
            "is too intricate to apply: with its references written out it may have {MAX_UNFOLDED} \
             values and {MAX_PATTERNS} patterns; references must lead to a place in it (`#/…`) and to \
             an end, without $dynamicRef, $anchor and an $id within"
        ));
    }
    let error = options().build(schema).err()?;
    let what = crate::text::line(&error.to_string(), 120);
    Some(format!("cannot be applied: {what}"))
}

fn options() -> jsonschema::ValidationOptions<'static> {
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES);
    jsonschema::options()
        .offline()
        .with_pattern_options(patterns)
}

/// The first reference that leaves the document.
fn foreign_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(members) => members.iter().find_map(|(key, inner)| {
            let reference = matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
            match inner.as_str() {
                Some(to) if reference && !to.starts_with('#') => Some(to),
                _ if is_data(key) => None,
                _ => foreign_reference(inner),
            }
        }),
        Value::Array(items) => items.iter().find_map(foreign_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn is_data(keyword: &str) -> bool {
    matches!(keyword, "default" | "const" | "enum" | "examples")
}

/// How much work a JSON tree is: its values, and its texts by their length.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<u64>(),
        Value::String(text) => 1 + text.len() as u64 / 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// Counts the values of a schema whose references are written out.
struct Unfolding<'a> {
    root: &'a Value,
    count: u32,
    patterns: u32,
    /// The references that led here: one that comes twice never ends.
    open: Vec<&'a str>,
}

impl<'a> Unfolding<'a> {
    /// `None` where they are too many, endless, or not to be found.
    fn of(root: &'a Value) -> Option<u32> {
        let mut unfolding = Self {
            root,
            count: 0,
            patterns: 0,
            open: Vec::new(),
        };
        unfolding.walk(root)?;
        Some(unfolding.count)
    }

    fn walk(&mut self, value: &'a Value) -> Option<()> {
        self.count += 1;
        if self.count > MAX_UNFOLDED {
            return None;
        }
        match value {
            Value::Object(members) => self.object(members),
            Value::Array(items) => items.iter().try_for_each(|item| self.walk(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
        }
    }

    fn pattern(&mut self, more: usize) -> Option<()> {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.patterns = self.patterns.saturating_add(more);
        (self.patterns <= MAX_PATTERNS).then_some(())
    }

    fn object(&mut self, members: &'a Map<String, Value>) -> Option<()> {
        for (key, inner) in members {
            match (key.as_str(), inner) {
                ("$ref", Value::String(to)) => {
                    let pointer = to.strip_prefix('#')?;
                    let target = self.root.pointer(pointer)?;
                    if self.open.len() >= MAX_REFERENCES || self.open.contains(&pointer) {
                        return None;
                    }
                    self.open.push(pointer);
                    self.walk(target)?;
                    self.open.pop();
                }
                // These depend on the way that led here.
                ("$dynamicRef" | "$recursiveRef" | "$id" | "$anchor", Value::String(_))
                    if self.count > 1 || key != "$id" =>
                {
                    return None;
                }
                ("pattern", Value::String(_)) => self.pattern(1)?,
                ("patternProperties", Value::Object(properties)) => {
                    self.pattern(properties.len())?;
                    self.walk(inner)?;
                }
                // Written out where they are referred to.
                ("$defs" | "definitions", _) => {}
                _ => self.walk(inner)?,
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn schemas_are_judged_by_their_dialect() {
        let good = [
            json!({ "type": "object", "properties": { "a": { "type": "string" } } }),
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "object" }),
            json!({ "$schema": "https://example.com/mine", "type": 7 }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": {} } }),
            json!({ "default": { "$ref": "https://example.com/" } }),
        ];
        for schema in good {
            assert_eq!(problem(&schema), None, "{schema}");
        }
        let bad = [
            (
                json!({ "type": "objekt" }),
                "no valid JSON Schema at `/type`",
            ),
            (
                json!({ "required": "a" }),
                "no valid JSON Schema at `/required`",
            ),
            (
                json!({ "properties": { "a": { "$ref": "https://example.com/s.json" } } }),
                "another document, https://example.com/s.json",
            ),
        ];
        for (schema, why) in bad {
            let said = problem(&schema).unwrap();
            assert!(said.contains(why), "{schema}: {said}");
        }
    }

    #[test]
    fn values_conform_or_the_place_is_named() {
        let schema = json!({
            "type": "object", "required": ["city"],
            "properties": { "city": { "$ref": "#/$defs/name" }, "code": { "pattern": "^[0-9]+$" } },
            "$defs": { "name": { "type": "string" } },
        });
        assert_eq!(conforms(&schema, &json!({ "city": "Bern" })), Some(Ok(())));
        let wrong = conforms(&schema, &json!({ "city": 7 })).unwrap();
        assert!(wrong.unwrap_err().contains("`/city`"));
        let wrong = conforms(&schema, &json!({ "city": "x", "code": "12a" })).unwrap();
        assert!(wrong.unwrap_err().contains("`/code`"));
    }

    /// Each would take for ever, or would fetch something.
    #[test]
    fn schemas_that_are_traps_are_not_applied() {
        let level = |n: u32| {
            let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
            json!({ "allOf": [next, next] })
        };
        let mut doubling: Map<String, Value> =
            (0..40).map(|n| (format!("d{n}"), level(n))).collect();
        doubling.insert("d40".into(), json!({}));
        let tree = json!({ "properties": { "x": { "$ref": "#" } }, "allOf": [{ "$ref": "#" }] });
        let patterns = (0..40).map(|n| json!({ "pattern": format!("^[a-z]{{{n},99}}$") }));
        let patterns: Value = patterns.collect();
        let link = |n: u32| (format!("c{n}"), json!({ "$ref": format!("#/c{}", n + 1) }));
        let mut chain: Map<String, Value> = (0..100).map(link).collect();
        chain.insert("$ref".into(), "#/c0".into());
        chain.insert("c100".into(), json!({}));
        let traps = [
            json!({ "$ref": "#" }),
            json!({ "$ref": "#/$defs/d0", "$defs": doubling }),
            tree,
            json!({ "$ref": "https://example.com/s.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "$ref": "#/nowhere" }),
            json!({ "$dynamicRef": "#a", "$dynamicAnchor": "a" }),
            json!({ "pattern": "(a+)+(?=b)$" }),
            Value::Object([("allOf".to_owned(), patterns)].into_iter().collect()),
            Value::Object(chain),
        ];
        for schema in traps {
            assert_eq!(conforms(&schema, &json!("aaaa")), None, "{schema}");
            assert!(refusal(&schema).is_some(), "{schema}");
        }
        let slow = json!({ "pattern": "^(a+)+$" });
        let text = format!("{}b", "a".repeat(100_000));
        assert!(conforms(&slow, &json!(text)).unwrap().is_err());
    }

    #[test]
    fn what_can_be_applied_is_not_refused() {
        let good = [
            json!(true),
            json!({}),
            json!({ "$id": "https://a/s", "type": "object", "required": ["a"],
                "properties": { "a": { "$ref": "#/$defs/a" } }, "$defs": { "a": { "pattern": "^x" } } }),
        ];
        for schema in good {
            assert_eq!(refusal(&schema), None, "{schema}");
            assert!(conforms(&schema, &json!("a")).is_some());
        }
        for bad in [json!({ "type": "objekt" }), json!({ "pattern": "(" })] {
            assert!(refusal(&bad).is_some(), "{bad}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a-z#/$]{0,8}".prop_map(Value::from),
        ];
        let key = prop_oneof![
            Just("$ref".to_owned()),
            Just("type".to_owned()),
            Just("allOf".to_owned()),
            Just("properties".to_owned()),
            Just("$defs".to_owned()),
            Just("$schema".to_owned()),
            Just("$id".to_owned()),
            Just("pattern".to_owned()),
            "[a-z]{0,3}",
        ];
        leaf.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(key.clone(), inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_schema_panics(schema in any_json(), value in any_json()) {
            let _ = problem(&schema);
            let _ = conforms(&schema, &value);
            // What is taken at registration can be applied by every probe.
            if refusal(&schema).is_none() {
                prop_assert!(conforms(&schema, &Value::Null).is_some(), "{schema}");
            }
        }
    }
}
