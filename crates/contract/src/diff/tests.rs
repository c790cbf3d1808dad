mod combined;
mod oracle;
mod schema;
mod tool;

use super::*;
use crate::arbitrary::json;
use crate::limits::{MAX_CHANGES, MAX_POINTER_CHARS, MAX_WHAT_CHARS};
use proptest::prelude::*;
use serde_json::json;

pub(super) fn surface(tools: &[Value]) -> Surface {
    Surface::new(tools, None).unwrap()
}

pub(super) fn input(schema: &Value) -> Surface {
    surface(&[json!({ "name": "t", "inputSchema": schema })])
}

pub(super) fn output(schema: &Value) -> Surface {
    surface(&[json!({ "name": "t", "outputSchema": schema })])
}

/// A tool of one of two names, with anything in it.
fn any_tool() -> impl Strategy<Value = Value> {
    (prop::sample::select(vec!["t", "u"]), json(), json(), json()).prop_map(
        |(name, input, output, rest)| {
            let mut tool = if rest.is_object() { rest } else { json!({}) };
            tool["name"] = json!(name);
            tool["inputSchema"] = input;
            tool["outputSchema"] = output;
            tool
        },
    )
}

/// Turns every array round whose order has no meaning in a schema without references.
fn turned(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    let members = members.iter().rev().map(|(keyword, value)| {
        let value = match (keyword.as_str(), value) {
            ("required" | "enum" | "type", Value::Array(items)) => {
                items.iter().rev().cloned().collect()
            }
            ("anyOf" | "allOf" | "oneOf", Value::Array(items)) => {
                items.iter().rev().map(turned).collect()
            }
            ("properties", Value::Object(named)) => named
                .iter()
                .map(|(name, value)| (name.clone(), turned(value)))
                .collect(),
            ("not" | "additionalProperties", value) => turned(value),
            (_, value) => value.clone(),
        };
        (keyword.clone(), value)
    });
    members.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Total and bounded on anything, empty exactly where the fingerprints are equal, and never
    /// careless: what is shown is escaped and cut.
    #[test]
    fn the_diff_says_what_the_fingerprint_sees(
        old in prop::collection::vec(any_tool(), 0..3),
        new in prop::collection::vec(any_tool(), 0..3),
        words in prop::option::of("[a-c]{0,2}"),
    ) {
        let old = Surface::new(&old, None).unwrap();
        let new = Surface::new(&new, words.as_deref()).unwrap();
        let drift = diff(&old, &new);
        prop_assert_eq!(drift.total() == 0, old.fingerprint() == new.fingerprint());
        prop_assert_eq!(diff(&old, &old), Drift::default());
        prop_assert_eq!(diff(&new, &new), Drift::default());
        prop_assert!(drift.changes.is_sorted_by_key(|change| change.class));
        for change in &drift.changes {
            let shown = format!("{:?}{}{}", change.tool, change.pointer, change.what);
            prop_assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{}", shown);
            prop_assert!(change.pointer.chars().count() <= MAX_POINTER_CHARS + 11);
            prop_assert!(change.what.chars().count() <= MAX_WHAT_CHARS + 11);
        }
        // Nobody gains what the other side did not lose: both ways there is a change.
        prop_assert_eq!(diff(&new, &old).total() == 0, drift.total() == 0);
    }

    /// Order of tools, of members and of sets is nothing.
    #[test]
    fn what_is_only_turned_round_is_the_same(
        tools in prop::collection::vec(any_tool(), 0..4),
        schema in json(),
    ) {
        let reversed: Vec<Value> = tools.iter().rev().cloned().collect();
        prop_assert_eq!(surface(&tools), surface(&reversed));
        let mut references = Vec::new();
        crate::schema::references(&schema, &mut references);
        if references.iter().all(|reference| crate::schema::is_plain(reference)) {
            let (one, other) = (input(&schema), input(&turned(&schema)));
            prop_assert_eq!(diff(&one, &other), Drift::default());
        }
    }
}

/// A change that somebody hides in a flood of others is there, and so are all counts.
#[test]
fn a_flood_hides_nothing() {
    let tools = |title: &str, ty: &str| {
        let flood = (0..3_000).map(|n| json!({ "name": format!("n{n:04}"), "title": title }));
        let last = json!({ "name": "z", "inputSchema": { "properties": { "a": { "type": ty } } } });
        surface(&flood.chain([last]).collect::<Vec<_>>())
    };
    let drift = diff(&tools("a", "number"), &tools("b", "integer"));
    assert_eq!(
        (drift.breaking, drift.cosmetic, drift.total()),
        (1, 3_000, 3_001)
    );
    assert_eq!(drift.changes.len(), 1 + MAX_CHANGES);
    assert_eq!(drift.changes[0].pointer, "/inputSchema/properties/a/type");
}

/// As deep, as wide and as much alike as a surface may be: the work stays small.
#[test]
fn the_largest_surfaces_are_compared() {
    let deep = |leaf: &str| {
        let levels = (0..28).fold(
            json!({ "const": leaf }),
            |inner, n| json!({ "anyOf": [inner, { "const": n, "title": "x".repeat(20_000) }] }),
        );
        input(&levels)
    };
    let drift = diff(&deep("a"), &deep("b"));
    assert!(drift.breaking > 0);
    let wide = |from: usize| {
        let values: Vec<Value> = (from..from + 60_000)
            .map(|n| json!({ "const": n }))
            .collect();
        input(&json!({ "anyOf": values }))
    };
    let drift = diff(&wide(0), &wide(1_000));
    assert_eq!((drift.breaking, drift.additive), (1_000, 1_000));
}
