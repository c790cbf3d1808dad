//! What the keywords of JSON Schema hold, so that a schema is told from the data within it.
//!
//! JSON Schema 2020-12 is the dialect of MCP tools; keywords of older drafts that are still met
//! (`definitions`, `dependencies`, an array of `items`) are known too.

use serde_json::Value;

/// What the value of a keyword is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A schema.
    Schema,
    /// Schemas by name.
    Schemas,
    /// Schemas whose order matters.
    List,
    /// Schemas whose order does not matter (core §10.2.1: each is applied by itself).
    Members,
    /// Strings whose order does not matter.
    Names,
    /// Values whose order does not matter (validation §6.1.2).
    Values,
    /// By name, strings whose order does not matter.
    NamesByName,
    /// Data, or nothing that is known here.
    Data,
}

/// What the keyword holds; `items` and `dependencies` differ by what is there.
pub(crate) fn holds(keyword: &str, value: &Value) -> Holds {
    match keyword {
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
            Holds::Schemas
        }
        "additionalProperties"
        | "unevaluatedProperties"
        | "unevaluatedItems"
        | "additionalItems"
        | "propertyNames"
        | "contains"
        | "contentSchema"
        | "not"
        | "if"
        | "then"
        | "else" => Holds::Schema,
        "items" if value.is_array() => Holds::List,
        "items" => Holds::Schema,
        "prefixItems" => Holds::List,
        "allOf" | "anyOf" | "oneOf" => Holds::Members,
        // Validation §6.1.1 and §6.5.3: the elements are unique, and what counts is whether one is
        // there.
        "type" | "required" => Holds::Names,
        "enum" => Holds::Values,
        "dependentRequired" => Holds::NamesByName,
        // Draft 7: an array of names, or a schema, for each.
        "dependencies" => Holds::NamesByName,
        _ => Holds::Data,
    }
}

/// Whether a reference names a whole definition, `#/$defs/NAME`, or the whole schema. Any other
/// may run through a place that is numbered.
pub(crate) fn is_plain(reference: &str) -> bool {
    if reference == "#" {
        return true;
    }
    let name = reference
        .strip_prefix("#/$defs/")
        .or_else(|| reference.strip_prefix("#/definitions/"));
    name.is_some_and(|name| !name.is_empty() && !name.contains(['/', '%']))
}

/// Every reference anywhere in a value, also where it may be data.
pub(crate) fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            for (name, value) in members {
                let refers = matches!(name.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
                match value.as_str().filter(|_| refers) {
                    Some(reference) => found.push(reference),
                    None => references(value, found),
                }
            }
        }
    }
}
