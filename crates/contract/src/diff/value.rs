//! Which values are allowed: `type`, `enum`, `const`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::note::{Effect, Notes, shown};
use super::schema::Pair;
use crate::canonical;

/// The keywords that are compared here.
pub(super) const KEYWORDS: [&str; 3] = ["type", "enum", "const"];

/// The kinds of values; `number` is both of the last two (validation §6.1.1).
const KINDS: [&str; 7] = [
    "null", "boolean", "object", "array", "string", "integer", "fraction",
];

/// What the three keywords allow.
enum Allowed {
    /// Any value of these kinds.
    Kinds(BTreeSet<&'static str>),
    /// Exactly these values, by their canonical text.
    Values(BTreeMap<String, Value>),
}

pub(super) fn compare(notes: &mut Notes, pair: &Pair<'_>) {
    if !KEYWORDS.iter().any(|keyword| pair.differs(keyword)) {
        return;
    }
    let (Some(old), Some(new)) = (allowed(pair.old), allowed(pair.new)) else {
        for keyword in KEYWORDS.into_iter().filter(|keyword| pair.differs(keyword)) {
            pair.unjudged(notes, keyword);
        }
        return;
    };
    let place = KEYWORDS
        .into_iter()
        .find(|keyword| pair.new.contains_key(*keyword) && pair.differs(keyword));
    notes.at(place.unwrap_or("type"), |notes| match (&old, &new) {
        (Allowed::Kinds(old), Allowed::Kinds(new)) => kinds(notes, pair, old, new),
        (Allowed::Values(old), Allowed::Values(new)) => values(notes, pair, old, new),
        (Allowed::Kinds(old), Allowed::Values(new)) => {
            let what = format!(
                "only these values are allowed now: {}",
                listed(new.values())
            );
            notes.turn(pair.sense, Effect::Narrower, &what);
            let others = new.values().filter(|value| !old.contains(kind(value)));
            several(notes, pair, Effect::Wider, "is allowed now", others);
        }
        (Allowed::Values(old), Allowed::Kinds(new)) => {
            notes.turn(pair.sense, Effect::Wider, "any other value is allowed now");
            let others = old.values().filter(|value| !new.contains(kind(value)));
            several(notes, pair, Effect::Narrower, "is refused now", others);
        }
    });
}

fn kinds(
    notes: &mut Notes,
    pair: &Pair<'_>,
    old: &BTreeSet<&'static str>,
    new: &BTreeSet<&'static str>,
) {
    let (was, is) = (kinds_in_words(old), kinds_in_words(new));
    let what = format!("the type is {is} and was {was}");
    if !old.is_subset(new) {
        notes.turn(pair.sense, Effect::Narrower, &what);
    }
    if !new.is_subset(old) {
        notes.turn(pair.sense, Effect::Wider, &what);
    }
}

fn values(
    notes: &mut Notes,
    pair: &Pair<'_>,
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
) {
    let gone = old.iter().filter(|(text, _)| !new.contains_key(*text));
    let gone = gone.map(|(_, value)| value);
    several(
        notes,
        pair,
        Effect::Narrower,
        "is not allowed any more",
        gone,
    );
    let added = new.iter().filter(|(text, _)| !old.contains_key(*text));
    let added = added.map(|(_, value)| value);
    several(notes, pair, Effect::Wider, "is allowed now", added);
}

/// One change for all values that share a fate.
fn several<'v>(
    notes: &mut Notes,
    pair: &Pair<'_>,
    effect: Effect,
    fate: &str,
    values: impl Iterator<Item = &'v Value>,
) {
    let values: Vec<&Value> = values.collect();
    if !values.is_empty() {
        let what = format!("{} {fate}", listed(values.into_iter()));
        notes.turn(pair.sense, effect, &what);
    }
}

fn listed<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    const FEW: usize = 5;
    let values: Vec<&Value> = values.collect();
    let named: Vec<String> = values.iter().take(FEW).map(|value| shown(value)).collect();
    match values.len().saturating_sub(FEW) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// What a schema's three keywords allow together; `None` where one of them is not understood.
fn allowed(schema: &serde_json::Map<String, Value>) -> Option<Allowed> {
    let kinds = match schema.get("type") {
        None => KINDS.into_iter().collect(),
        Some(Value::String(word)) => kinds_of(word)?,
        Some(Value::Array(words)) => {
            let mut kinds = BTreeSet::new();
            for word in words {
                kinds.extend(kinds_of(word.as_str()?)?);
            }
            kinds
        }
        Some(_) => return None,
    };
    let mut values: Option<Vec<&Value>> = None;
    match schema.get("enum") {
        None => {}
        Some(Value::Array(listed)) => values = Some(listed.iter().collect()),
        Some(_) => return None,
    }
    if let Some(only) = schema.get("const") {
        let is_listed = values.is_none_or(|listed| listed.contains(&only));
        values = Some(is_listed.then_some(only).into_iter().collect());
    }
    Some(match values {
        None => Allowed::Kinds(kinds),
        Some(values) => {
            let fitting = values
                .into_iter()
                .filter(|value| kinds.contains(kind(value)));
            let texts = fitting.map(|value| (canonical::text(value), value.clone()));
            Allowed::Values(texts.collect())
        }
    })
}

fn kinds_of(word: &str) -> Option<BTreeSet<&'static str>> {
    if word == "number" {
        return Some(BTreeSet::from(["integer", "fraction"]));
    }
    let known = KINDS.into_iter().filter(|kind| *kind != "fraction");
    let found: BTreeSet<_> = known.filter(|kind| *kind == word).collect();
    (!found.is_empty()).then_some(found)
}

/// The kind of a canonical value: a number without fraction is an integer (validation §6.1.1).
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() != 0.0) => "fraction",
        Value::Number(_) => "integer",
    }
}

fn kinds_in_words(kinds: &BTreeSet<&'static str>) -> String {
    if kinds.len() == KINDS.len() {
        return "any".to_owned();
    }
    let is_number = kinds.contains("fraction");
    let words = kinds.iter().filter_map(|kind| match *kind {
        "integer" if is_number => None,
        "fraction" => Some("number"),
        kind => Some(kind),
    });
    let words: Vec<&str> = words.collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(" or ")
    }
}
