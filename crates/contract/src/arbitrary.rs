//! JSON that looks like tools and schemas, for property tests.

use proptest::prelude::*;
use serde_json::Value;

/// The words of tools and schemas, and names that need care.
const WORDS: [&str; 42] = [
    "type",
    "enum",
    "const",
    "required",
    "properties",
    "patternProperties",
    "items",
    "anyOf",
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "$ref",
    "$defs",
    "additionalProperties",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minItems",
    "pattern",
    "format",
    "multipleOf",
    "title",
    "description",
    "default",
    "x-mcp-header",
    "dependentRequired",
    "dependencies",
    "prefixItems",
    "unevaluatedProperties",
    "annotations",
    "readOnlyHint",
    "a",
    "/",
    "~",
    "inputSchema",
    "outputSchema",
    "execution",
    "taskSupport",
    "uniqueItems",
    "$id",
];

/// Any JSON, rich in the words of JSON Schema and of tools.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(&WORDS[..]);
    let text = prop::sample::select(vec![
        "string",
        "object",
        "number",
        "integer",
        "#/$defs/a",
        "#",
        "#/anyOf/0",
        "a",
        "",
        "required",
        "\u{1b}[2J",
        "\u{202e}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..9).prop_map(Value::from),
        prop::sample::select(vec![0.5, 1.0, -0.0, 1e21, 1e300, 5e-324]).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text.prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..5).prop_map(|members| members
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect()),
        ]
    })
}
