//! `allOf`, `anyOf`, `oneOf`, `not`.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::note::{Effect, Notes, Sense};
use super::schema::{self, Pair, WORDS};
use crate::canonical;
use crate::limits::MAX_PAIRED;

/// The keywords that are compared here.
pub(super) const KEYWORDS: [&str; 4] = ["allOf", "anyOf", "oneOf", "not"];

pub(super) fn compare(notes: &mut Notes, pair: &Pair<'_>) {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        match pair.of(keyword) {
            (old, new) if old == new => {}
            (None, Some(Value::Array(_))) => notes.at(keyword, |notes| {
                let what = format!("`{keyword}` is asked for now");
                notes.turn(pair.sense, Effect::Narrower, &what);
            }),
            (Some(Value::Array(_)), None) => notes.at(keyword, |notes| {
                let what = format!("`{keyword}` is not asked for any more");
                notes.turn(pair.sense, Effect::Wider, &what);
            }),
            (Some(Value::Array(old)), Some(Value::Array(new))) => {
                notes.at(keyword, |notes| members(notes, pair, keyword, old, new));
            }
            _ => pair.unjudged(notes, keyword),
        }
    }
    match pair.of("not") {
        (old, new) if old == new => {}
        (Some(old), Some(new)) => notes.at("not", |notes| {
            schema::compare(notes, pair.plan, old, new, pair.sense.flipped());
        }),
        (None, _) => notes.at("not", |notes| {
            notes.turn(pair.sense, Effect::Narrower, "values are ruled out now");
        }),
        (_, None) => notes.at("not", |notes| {
            notes.turn(
                pair.sense,
                Effect::Wider,
                "values are not ruled out any more",
            );
        }),
    }
}

/// A schema that became one of several, or the other way round: `{"type":"string"}` and
/// `{"anyOf":[{"type":"string"},{"type":"null"}]}`, as generators write what may be absent. Then
/// the bare one is compared as the only member; whether that was so.
pub(super) fn lifted(notes: &mut Notes, pair: &Pair<'_>) -> bool {
    let only = |schema: &Map<String, Value>| {
        let others = schema
            .keys()
            .any(|name| name != "anyOf" && is_constraint(name));
        let is_root = notes.depth() == pair.plan.depth;
        !others && !is_root
    };
    match pair.of("anyOf") {
        (None, Some(Value::Array(new))) if only(pair.new) && !is_open(pair.old) => {
            let old = [outline(pair.old)];
            notes.at("anyOf", |notes| members(notes, pair, "anyOf", &old, new));
            true
        }
        (Some(Value::Array(old)), None) if only(pair.old) && !is_open(pair.new) => {
            let new = [outline(pair.new)];
            notes.at("anyOf", |notes| members(notes, pair, "anyOf", old, &new));
            true
        }
        _ => false,
    }
}

/// What a schema asks for, without its words.
fn outline(schema: &Map<String, Value>) -> Value {
    let rest = schema.iter().filter(|(name, _)| is_constraint(name));
    rest.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_open(schema: &Map<String, Value>) -> bool {
    !schema.keys().any(|name| is_constraint(name))
}

fn is_constraint(keyword: &str) -> bool {
    !WORDS.contains(&keyword) && keyword != "deprecated"
}

/// Compares members whose order does not matter: equal ones are each other's, then those that
/// differ only in words, then the last one of either side.
fn members(notes: &mut Notes, pair: &Pair<'_>, keyword: &str, old: &[Value], new: &[Value]) {
    let (mut gone, mut added) = unequal(old, new);
    if gone.is_empty() && added.is_empty() {
        if old != new {
            // Canonical order, and yet another one: references count the members.
            notes.unjudged("the order, which references rely on,");
        }
        return;
    }
    // One wider member may make two of `oneOf` hold, which is then none.
    let sense = match keyword {
        "oneOf" => Sense::Unclear,
        _ => pair.sense,
    };
    let mut pairs = alike(old, new, &mut gone, &mut added);
    if let ([only_old], [only_new]) = (&gone[..], &added[..]) {
        pairs.push((*only_old, *only_new));
        gone.clear();
        added.clear();
    }
    for (before, after) in pairs {
        notes.at(&after.to_string(), |notes| {
            schema::compare(notes, pair.plan, &old[before], &new[after], sense);
        });
    }
    let (less, more) = match keyword {
        "allOf" => (Effect::Wider, Effect::Narrower),
        _ => (Effect::Narrower, Effect::Wider),
    };
    for at in gone {
        notes.at(&at.to_string(), |notes| {
            let what = format!(
                "a member of `{keyword}` is gone: {}",
                super::note::shown(&old[at])
            );
            notes.turn(sense, less, &what);
        });
    }
    for at in added {
        notes.at(&at.to_string(), |notes| {
            let what = format!(
                "a member of `{keyword}` is new: {}",
                super::note::shown(&new[at])
            );
            notes.turn(sense, more, &what);
        });
    }
}

/// The numbers of those that have no equal on the other side.
fn unequal(old: &[Value], new: &[Value]) -> (Vec<usize>, Vec<usize>) {
    let ordered = |values: &[Value]| {
        let mut numbers: Vec<usize> = (0..values.len()).collect();
        numbers.sort_by(|one, other| canonical::order(&values[*one], &values[*other]));
        numbers
    };
    let (old_order, new_order) = (ordered(old), ordered(new));
    let (mut gone, mut added) = (Vec::new(), Vec::new());
    let (mut a, mut b) = (old_order.iter().peekable(), new_order.iter().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) => canonical::order(&old[**before], &new[**after]),
        };
        if next.is_le() {
            let before = a.next();
            if next.is_lt() {
                gone.extend(before);
            }
        }
        if next.is_ge() {
            let after = b.next();
            if next.is_gt() {
                added.extend(after);
            }
        }
    }
    gone.sort_unstable();
    added.sort_unstable();
    (gone, added)
}

/// Takes out of both lists those that differ only in words, and pairs them.
fn alike(
    old: &[Value],
    new: &[Value],
    gone: &mut Vec<usize>,
    added: &mut Vec<usize>,
) -> Vec<(usize, usize)> {
    if gone.len() > MAX_PAIRED || added.len() > MAX_PAIRED {
        return Vec::new();
    }
    let form = |value: &Value| {
        let members = value.as_object();
        members.map_or_else(|| value.clone(), outline)
    };
    let outlines: Vec<(usize, Value)> = added.iter().map(|at| (*at, form(&new[*at]))).collect();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    gone.retain(|before| {
        let known = form(&old[*before]);
        let free = |at: usize| !pairs.iter().any(|(_, taken)| *taken == at);
        let found = outlines
            .iter()
            .find(|(at, other)| free(*at) && *other == known);
        if let Some((after, _)) = found {
            pairs.push((*before, *after));
        }
        found.is_none()
    });
    added.retain(|at| !pairs.iter().any(|(_, taken)| taken == at));
    pairs
}
