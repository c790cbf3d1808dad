//! How far a schema can be judged at all: where its references lead.
//!
//! A definition is compared where it stands, once, as if it stood where it is used. That is right
//! while every reference names a whole definition and none stands where more and less are turned
//! around (`not`) or mixed (`oneOf`, `if`). Elsewhere the sense of a change is unclear, and the
//! diff says so.

use std::collections::BTreeSet;

use serde_json::Value;

use super::note::Sense;
use crate::schema::{self, Holds};

/// What is known of a pair of schemas before they are compared.
#[derive(Debug)]
pub(super) struct Plan {
    /// The sense of the whole.
    pub(super) sense: Sense,
    /// How deep the whole lies in its tool: definitions count only there.
    pub(super) depth: usize,
    /// The references of the new schema.
    pub(super) references: BTreeSet<String>,
}

/// Looks at both schemas.
pub(super) fn plan(old: &Value, new: &Value, sense: Sense, depth: usize) -> Plan {
    let mut found = Vec::new();
    schema::references(new, &mut found);
    let is_clear = is_clear(old) && is_clear(new);
    Plan {
        sense: if is_clear { sense } else { Sense::Unclear },
        depth,
        references: found.into_iter().map(str::to_owned).collect(),
    }
}

fn is_clear(whole: &Value) -> bool {
    let mut found = Vec::new();
    schema::references(whole, &mut found);
    found.iter().all(|reference| schema::is_plain(reference)) && each_is_clear(whole, true, true)
}

/// Whether below here every reference stands where it can be judged, and nothing looks at what
/// other keywords elsewhere have left over or gives references another base.
fn each_is_clear(found: &Value, is_root: bool, is_judged: bool) -> bool {
    let Value::Object(members) = found else {
        return true;
    };
    members.iter().all(|(keyword, value)| {
        let below = |value: &Value, is_judged: bool| each_is_clear(value, false, is_judged);
        match keyword.as_str() {
            "$ref" => is_judged,
            "$dynamicRef"
            | "$recursiveRef"
            | "$dynamicAnchor"
            | "$recursiveAnchor"
            | "unevaluatedProperties"
            | "unevaluatedItems" => false,
            "$id" | "id" if value.is_string() && !is_root => false,
            "oneOf" => {
                let mut members = value.as_array().into_iter().flatten();
                members.all(|member| below(member, false))
            }
            "not" | "if" | "contains" => below(value, false),
            keyword => match (schema::holds(keyword, value), value) {
                (Holds::Schema, value) => below(value, is_judged),
                (Holds::Schemas | Holds::NamesByName, Value::Object(named)) => {
                    named.values().all(|value| below(value, is_judged))
                }
                (Holds::List | Holds::Members, Value::Array(items)) => {
                    items.iter().all(|item| below(item, is_judged))
                }
                // A reference in what is not known to be a schema may be one all the same.
                (Holds::Data, value) if !is_annotation(keyword) => {
                    let mut found = Vec::new();
                    schema::references(value, &mut found);
                    found.is_empty()
                }
                _ => true,
            },
        }
    })
}

fn is_annotation(keyword: &str) -> bool {
    matches!(keyword, "const" | "default" | "examples" | "enum")
}
