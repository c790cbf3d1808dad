//! Changes of schemas, one at a time: class and place.

use super::tool::only;
use super::*;
use model::contract::ChangeClass::{Additive, Breaking, Cosmetic, SecurityRelevant};

/// The class of a change for arguments, which a client writes, and for results, which it reads.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn schemas_of_arguments_and_results() {
    let closed =
        |properties: Value| json!({ "properties": properties, "additionalProperties": false });
    let open = |properties: Value| json!({ "properties": properties });
    let a = || json!({ "a": {} });
    let ab = || json!({ "a": {}, "b": {} });
    let described = |text: &str| json!({ "properties": { "a": { "description": text } } });
    let table: [(Value, Value, ChangeClass, ChangeClass, &str); 38] = [
        // required
        (
            json!({}),
            json!({ "required": ["a"] }),
            Breaking,
            Additive,
            "/required",
        ),
        (
            json!({ "required": ["a"] }),
            json!({}),
            Additive,
            Breaking,
            "/required",
        ),
        (
            open(a()),
            json!({ "properties": ab(), "required": ["b"] }),
            Breaking,
            Additive,
            "/properties/b",
        ),
        // properties
        (open(a()), open(ab()), Additive, Additive, "/properties/b"),
        (open(ab()), open(a()), Additive, Breaking, "/properties/b"),
        (
            closed(a()),
            closed(ab()),
            Additive,
            Breaking,
            "/properties/b",
        ),
        (
            closed(ab()),
            closed(a()),
            Breaking,
            Breaking,
            "/properties/b",
        ),
        (
            open(a()),
            closed(a()),
            Breaking,
            Additive,
            "/additionalProperties",
        ),
        (
            closed(a()),
            open(a()),
            Additive,
            Breaking,
            "/additionalProperties",
        ),
        (
            open(a()),
            json!({ "properties": a(), "additionalProperties": true }),
            Cosmetic,
            Cosmetic,
            "",
        ),
        // values
        (
            json!({ "type": "string" }),
            json!({ "type": ["string", "null"] }),
            Additive,
            Breaking,
            "/type",
        ),
        (
            json!({ "type": "number" }),
            json!({ "type": "integer" }),
            Breaking,
            Additive,
            "/type",
        ),
        (
            json!({ "type": "string" }),
            json!({ "type": ["string"] }),
            Cosmetic,
            Cosmetic,
            "",
        ),
        (
            json!({ "enum": ["a"] }),
            json!({ "enum": ["a", "b"] }),
            Additive,
            Breaking,
            "/enum",
        ),
        (
            json!({ "enum": ["a"] }),
            json!({ "const": "a" }),
            Cosmetic,
            Cosmetic,
            "",
        ),
        (
            json!({ "type": "string" }),
            json!({ "type": "string", "enum": ["a"] }),
            Breaking,
            Additive,
            "/enum",
        ),
        (
            json!({ "type": "text" }),
            json!({ "type": "string" }),
            Breaking,
            Breaking,
            "/type",
        ),
        // sizes
        (
            json!({ "minimum": 1 }),
            json!({ "minimum": 2 }),
            Breaking,
            Additive,
            "/minimum",
        ),
        (
            json!({ "minimum": 1 }),
            json!({ "exclusiveMinimum": 1 }),
            Breaking,
            Additive,
            "/minimum",
        ),
        (
            json!({ "maximum": 1 }),
            json!({ "maximum": 2 }),
            Additive,
            Breaking,
            "/maximum",
        ),
        (
            json!({ "maximum": 1 }),
            json!({ "maximum": "2" }),
            Breaking,
            Breaking,
            "/maximum",
        ),
        (
            json!({ "maxLength": 9 }),
            json!({}),
            Additive,
            Breaking,
            "/maxLength",
        ),
        (json!({ "minItems": 0 }), json!({}), Cosmetic, Cosmetic, ""),
        (
            json!({}),
            json!({ "uniqueItems": true }),
            Breaking,
            Additive,
            "/uniqueItems",
        ),
        (
            json!({ "multipleOf": 2 }),
            json!({ "multipleOf": 6 }),
            Breaking,
            Additive,
            "/multipleOf",
        ),
        (
            json!({ "multipleOf": 2 }),
            json!({ "multipleOf": 3 }),
            Breaking,
            Breaking,
            "/multipleOf",
        ),
        (
            json!({}),
            json!({ "pattern": "a" }),
            Breaking,
            Additive,
            "/pattern",
        ),
        (
            json!({ "pattern": "a" }),
            json!({ "pattern": "b" }),
            Breaking,
            Breaking,
            "/pattern",
        ),
        // words
        (
            described("x"),
            described("y"),
            SecurityRelevant,
            SecurityRelevant,
            "/properties/a/description",
        ),
        (
            json!({}),
            json!({ "default": 1 }),
            SecurityRelevant,
            SecurityRelevant,
            "/default",
        ),
        (
            json!({}),
            json!({ "title": "x" }),
            SecurityRelevant,
            SecurityRelevant,
            "/title",
        ),
        (
            json!({}),
            json!({ "deprecated": true }),
            Cosmetic,
            Cosmetic,
            "/deprecated",
        ),
        (
            open(json!({ "a": { "type": "string" } })),
            open(json!({ "a": { "type": "string", "x-mcp-header": "Key" } })),
            SecurityRelevant,
            SecurityRelevant,
            "/properties/a/x-mcp-header",
        ),
        // what cannot be judged
        (
            json!({}),
            json!({ "$ref": "#/$defs/a" }),
            Breaking,
            Breaking,
            "/$ref",
        ),
        (json!({}), json!({ "if": {} }), Breaking, Breaking, "/if"),
        (
            json!({}),
            json!({ "nullable": true }),
            Breaking,
            Breaking,
            "/nullable",
        ),
        (
            json!({ "$schema": "http://json-schema.org/draft-07/schema#" }),
            json!({}),
            Breaking,
            Breaking,
            "/$schema",
        ),
        (
            json!({}),
            json!({ "patternProperties": { "^x": {} } }),
            Breaking,
            Breaking,
            "/patternProperties",
        ),
    ];
    for (old, new, arguments, results, place) in table {
        let (class, pointer, what) = only(&input(&old), &input(&new));
        let context = format!("{old} to {new}: {what}");
        assert_eq!(class, arguments, "arguments: {context}");
        assert_eq!(pointer, format!("/inputSchema{place}"), "{context}");
        let drift = diff(&output(&old), &output(&new));
        assert_eq!(
            drift.worst(),
            Some(results),
            "results: {context}: {drift:#?}"
        );
    }
}
