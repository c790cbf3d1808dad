//! Calls in order, whose arguments take values from earlier results: `{{name}}`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::monitor::{CallSpec, FieldError, is_id};

/// Places that one call may fill: what is sent is bounded by them.
const MAX_PLACES: usize = 64;
/// Names that one call may capture.
const MAX_CAPTURES: usize = 16;
/// The most that a captured value may come to as text: it is sent back.
pub const MAX_CAPTURE_BYTES: usize = 64 << 10;

/// Everything that is wrong with the order of calls: names that no earlier call captures, and
/// calls that clean up before others.
#[must_use]
pub fn problems(calls: &[CallSpec]) -> Vec<FieldError> {
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for (n, call) in calls.iter().enumerate() {
        for name in names(&call.arguments) {
            if !known.contains(name.as_str()) {
                let shown = crate::text::line(&name, 64);
                let detail = format!("{{{{{shown}}}}} is captured by no earlier call");
                problems.push(FieldError::new(format!("/calls/{n}/arguments"), detail));
            }
        }
        let places = call.arguments.values().map(places).sum::<usize>();
        if places > MAX_PLACES {
            let detail = format!("{places} places for captured values; at most {MAX_PLACES}");
            problems.push(FieldError::new(format!("/calls/{n}/arguments"), detail));
        }
        if call.capture.len() > MAX_CAPTURES {
            let detail = format!("{} names; at most {MAX_CAPTURES}", call.capture.len());
            problems.push(FieldError::new(format!("/calls/{n}/capture"), detail));
        }
        for name in call.capture.keys() {
            if !is_id(name) {
                let shown = crate::text::line(name, 40);
                let detail = "use 1 to 64 letters, digits, `-`, `_` and `.`";
                problems.push(FieldError::new(
                    format!("/calls/{n}/capture/{shown}"),
                    detail,
                ));
            }
            known.insert(name.as_str());
        }
        if !call.cleanup && calls[..n].iter().any(|earlier| earlier.cleanup) {
            let detail = "comes after a call that cleans up; those come last";
            problems.push(FieldError::new(format!("/calls/{n}"), detail));
        }
    }
    problems
}

/// The names that arguments take from earlier results.
#[must_use]
pub fn names(arguments: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for value in arguments.values() {
        collect(value, &mut found);
    }
    found
}

/// How many places for captured values there are.
fn places(value: &Value) -> usize {
    match value {
        Value::String(text) => {
            let parts = parts(text).into_iter();
            parts.filter(|part| matches!(part, Part::Name(_))).count()
        }
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(members) => members.values().map(places).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            for part in parts(text) {
                if let Part::Name(name) = part {
                    found.insert(name.to_owned());
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The arguments with captured values in their places. A text that is one `{{name}}` becomes the
/// value itself, whatever its type; within a text a value is written as text. A name that is not
/// known stays as it is.
#[must_use]
pub fn filled(
    arguments: &Map<String, Value>,
    known: &BTreeMap<String, Value>,
) -> Map<String, Value> {
    let pairs = arguments.iter();
    pairs
        .map(|(name, value)| (name.clone(), fill(value, known)))
        .collect()
}

fn fill(value: &Value, known: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::String(text) => fill_text(text, known),
        Value::Array(items) => items.iter().map(|item| fill(item, known)).collect(),
        Value::Object(members) => Value::Object(filled(members, known)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn fill_text(text: &str, known: &BTreeMap<String, Value>) -> Value {
    let parts = parts(text);
    if let [Part::Name(name)] = parts[..]
        && let Some(value) = known.get(name)
    {
        return value.clone();
    }
    let written = parts.into_iter().map(|part| match part {
        Part::Text(text) => text.to_owned(),
        Part::Name(name) => match known.get(name) {
            Some(Value::String(value)) => value.clone(),
            Some(value) => value.to_string(),
            None => format!("{{{{{name}}}}}"),
        },
    });
    Value::String(written.collect())
}

enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else {
            break;
        };
        if !is_id(name) {
            // Not ours: braces of somebody else's template.
            let end = before.len() + 2;
            parts.push(Part::Text(&rest[..end]));
            rest = &rest[end..];
            continue;
        }
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        parts.push(Part::Name(name));
        rest = behind;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn values_keep_their_type_alone_and_become_text_within_one() {
        let known = BTreeMap::from([
            ("id".to_owned(), json!(7)),
            ("who".to_owned(), json!("Ada")),
        ]);
        let arguments = map(json!({
            "id": "{{id}}", "text": "{{who}} has {{id}}", "deep": [{ "x": "{{who}}" }],
            "other": "{{nobody}} {{ spaced }} {{", "plain": true,
        }));
        let expected = json!({
            "id": 7, "text": "Ada has 7", "deep": [{ "x": "Ada" }],
            "other": "{{nobody}} {{ spaced }} {{", "plain": true,
        });
        assert_eq!(Value::Object(filled(&arguments, &known)), expected);
        let names: Vec<_> = names(&arguments).into_iter().collect();
        assert_eq!(names, ["id", "nobody", "who"]);
    }

    #[test]
    fn an_order_that_cannot_work_is_named() {
        let call = |text: Value| serde_json::from_value::<CallSpec>(text).unwrap();
        let calls = [
            call(json!({ "name": "a", "capture": { "id": "$.structuredContent.id" } })),
            call(json!({ "name": "b", "arguments": { "id": "{{id}}", "x": "{{later}}" } })),
            call(json!({ "name": "c", "cleanup": true, "arguments": { "id": "{{id}}" } })),
            call(json!({ "name": "d", "capture": { "a b": "$.x" } })),
        ];
        let found = problems(&calls);
        let pointers: Vec<_> = found.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/calls/1/arguments", "/calls/3/capture/a b", "/calls/3"]
        );
        assert!(found[0].detail.contains("{{later}}"), "{}", found[0].detail);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_where_nothing_is_known(text in "[{}a-z ]{0,24}") {
            let arguments = map(json!({ "a": text }));
            prop_assert_eq!(filled(&arguments, &BTreeMap::new()), arguments);
        }
    }
}
