//! Properties and items.

use std::collections::BTreeSet;

use model::contract::ChangeClass;
use serde_json::{Map, Value};

use super::note::{Effect, Notes, Sense};
use super::schema::{self, Pair};
use super::tool::changed;

/// The keywords that are compared here.
pub(super) const KEYWORDS: [&str; 7] = [
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "dependentRequired",
    "items",
    "prefixItems",
];

/// What a schema says of properties that it does not name.
enum Others<'v> {
    /// They may be anything.
    Open,
    /// They are refused.
    Closed,
    /// They must fit this.
    Described(&'v Value),
    /// Patterns say: nobody here reads patterns.
    Patterned,
}

pub(super) fn compare(notes: &mut Notes, pair: &Pair<'_>) {
    let new_ones = properties(notes, pair);
    required(notes, pair, &new_ones);
    pair.below(notes, "additionalProperties");
    patterns(notes, pair);
    dependent(notes, pair);
    items(notes, pair);
}

/// Names of properties that are new, and of those that are gone: what is said of them is said.
#[derive(Default)]
struct Said<'v> {
    added: BTreeSet<&'v str>,
    removed: BTreeSet<&'v str>,
}

fn properties<'v>(notes: &mut Notes, pair: &Pair<'v>) -> Said<'v> {
    let mut said = Said::default();
    let (Some(old), Some(new)) = (
        named(pair.old.get("properties")),
        named(pair.new.get("properties")),
    ) else {
        pair.unjudged(notes, "properties");
        return said;
    };
    let is_required = names(pair.new.get("required"));
    notes.at("properties", |notes| {
        let none = Map::new();
        let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
        for (name, before, after) in changed(old, new) {
            notes.at(name, |notes| match (before, after) {
                (Some(before), Some(after)) => {
                    schema::compare(notes, pair.plan, before, after, pair.sense);
                }
                (None, Some(after)) => {
                    let required = is_required.as_ref().is_some_and(|all| all.contains(name));
                    added(notes, pair, after, required);
                }
                (Some(before), None) => removed(notes, pair, before),
                (None, None) => {}
            });
        }
    });
    let keys = |value: Option<&'v Map<String, Value>>| value.into_iter().flat_map(Map::keys);
    for name in keys(new) {
        if old.is_none_or(|old| !old.contains_key(name)) {
            said.added.insert(name);
        }
    }
    for name in keys(old) {
        if new.is_none_or(|new| !new.contains_key(name)) {
            said.removed.insert(name);
        }
    }
    said
}

/// A property that was not named before.
///
/// An optional one is additive, also where anything was allowed under its name: whoever did not
/// know it did not send it.
fn added(notes: &mut Notes, pair: &Pair<'_>, schema: &Value, is_required: bool) {
    match (pair.sense, others(pair.old)) {
        (Sense::Unclear, _) | (_, Others::Patterned) => notes.unjudged("a new property"),
        (Sense::Input, _) if is_required => {
            notes.add(ChangeClass::Breaking, "the property is new and required");
        }
        (_, Others::Described(others)) => {
            let before = notes.total();
            schema::compare(notes, pair.plan, others, schema, pair.sense);
            if notes.total() == before {
                notes.add(ChangeClass::Additive, "the property is new");
            }
        }
        (Sense::Input, _) => notes.add(ChangeClass::Additive, "the property is new, and optional"),
        // Clients check results against the schema that they listed, and that one said no.
        (Sense::Output, Others::Closed) => notes.add(
            ChangeClass::Breaking,
            "the property is new, and further properties were ruled out",
        ),
        (Sense::Output, Others::Open) => notes.add(ChangeClass::Additive, "the property is new"),
    }
}

/// A property that is not named any more.
fn removed(notes: &mut Notes, pair: &Pair<'_>, schema: &Value) {
    match (pair.sense, others(pair.new)) {
        (Sense::Unclear, _) | (_, Others::Patterned) => notes.unjudged("a property that is gone"),
        (Sense::Output, _) => notes.add(ChangeClass::Breaking, "the property is gone"),
        (Sense::Input, Others::Open) => notes.add(
            ChangeClass::Additive,
            "the property is not described any more; it is still accepted",
        ),
        (Sense::Input, Others::Closed) => {
            notes.add(ChangeClass::Breaking, "the property is gone and refused");
        }
        (Sense::Input, Others::Described(others)) => {
            let before = notes.total();
            schema::compare(notes, pair.plan, schema, others, pair.sense);
            if notes.total() == before {
                notes.add(ChangeClass::Additive, "the property is one of many now");
            }
        }
    }
}

fn others(schema: &Map<String, Value>) -> Others<'_> {
    let patterns = schema.get("patternProperties");
    if patterns.is_some_and(|patterns| patterns != &Value::Object(Map::new())) {
        return Others::Patterned;
    }
    match schema.get("additionalProperties") {
        None | Some(Value::Bool(true)) => Others::Open,
        Some(Value::Object(members)) if members.is_empty() => Others::Open,
        Some(Value::Bool(false)) => Others::Closed,
        Some(other) => Others::Described(other),
    }
}

fn required(notes: &mut Notes, pair: &Pair<'_>, said: &Said<'_>) {
    let (old, new) = pair.of("required");
    if old == new {
        return;
    }
    let (Some(old), Some(new)) = (names(old), names(new)) else {
        return pair.unjudged(notes, "required");
    };
    notes.at("required", |notes| {
        for name in new.difference(&old) {
            if pair.sense == Sense::Input && said.added.contains(name) {
                continue;
            }
            let what = format!("`{}` is required now", model::text::line(name, 64));
            notes.turn(pair.sense, Effect::Narrower, &what);
        }
        for name in old.difference(&new) {
            if said.removed.contains(name) {
                continue;
            }
            let what = format!("`{}` is not required any more", model::text::line(name, 64));
            notes.turn(pair.sense, Effect::Wider, &what);
        }
    });
}

fn patterns(notes: &mut Notes, pair: &Pair<'_>) {
    let (old, new) = pair.of("patternProperties");
    if old == new {
        return;
    }
    let (Some(Some(old)), Some(Some(new))) = (named(old), named(new)) else {
        return pair.unjudged(notes, "patternProperties");
    };
    notes.at("patternProperties", |notes| {
        for (pattern, old, new) in changed(old, new) {
            notes.at(pattern, |notes| match (old, new) {
                (Some(old), Some(new)) => {
                    schema::compare(notes, pair.plan, old, new, pair.sense);
                }
                _ => notes.unjudged("a pattern of names"),
            });
        }
    });
}

fn dependent(notes: &mut Notes, pair: &Pair<'_>) {
    let (old, new) = pair.of("dependentRequired");
    if old == new {
        return;
    }
    let pairs = |value: Option<&'_ Value>| {
        let mut found = BTreeSet::new();
        for (name, needed) in named(value)?.into_iter().flatten() {
            for other in names(Some(needed))? {
                found.insert((name.clone(), other.to_owned()));
            }
        }
        Some(found)
    };
    let (Some(old), Some(new)) = (pairs(old), pairs(new)) else {
        return pair.unjudged(notes, "dependentRequired");
    };
    let said = |name: &str| model::text::line(name, 64);
    notes.at("dependentRequired", |notes| {
        for (name, other) in new.difference(&old) {
            let what = format!("`{}` requires `{}` now", said(name), said(other));
            notes.turn(pair.sense, Effect::Narrower, &what);
        }
        for (name, other) in old.difference(&new) {
            let what = format!(
                "`{}` does not require `{}` any more",
                said(name),
                said(other)
            );
            notes.turn(pair.sense, Effect::Wider, &what);
        }
    });
}

/// `items` is for those that `prefixItems` does not name; an array of them, of older drafts, is
/// not judged.
fn items(notes: &mut Notes, pair: &Pair<'_>) {
    let (old, new) = pair.of("items");
    if old.is_some_and(Value::is_array) || new.is_some_and(Value::is_array) {
        if old != new {
            pair.unjudged(notes, "items");
        }
    } else {
        pair.below(notes, "items");
    }
    match pair.of("prefixItems") {
        (old, new) if old == new => {}
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            notes.at("prefixItems", |notes| {
                for (n, (old, new)) in old.iter().zip(new).enumerate() {
                    notes.at(&n.to_string(), |notes| {
                        schema::compare(notes, pair.plan, old, new, pair.sense);
                    });
                }
            });
        }
        _ => pair.unjudged(notes, "prefixItems"),
    }
}

/// Schemas by name: `None` where it is something else.
#[expect(
    clippy::option_option,
    reason = "absent, and not understood, are two things"
)]
fn named(value: Option<&Value>) -> Option<Option<&Map<String, Value>>> {
    match value {
        None => Some(None),
        Some(Value::Object(members)) => Some(Some(members)),
        Some(_) => None,
    }
}

/// A set of names; `None` where it is something else.
fn names(value: Option<&Value>) -> Option<BTreeSet<&str>> {
    match value {
        None => Some(BTreeSet::new()),
        Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}
