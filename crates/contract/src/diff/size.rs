//! How large, how long, how many, of which form: bounds, `multipleOf`, `pattern`, `format`.

use serde_json::Value;

use super::note::{Effect, Notes, shown};
use super::schema::Pair;

/// The keywords that are compared here.
pub(super) const KEYWORDS: [&str; 15] = [
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "uniqueItems",
    "multipleOf",
    "pattern",
    "format",
    "propertyNames",
];

/// Which way a bound bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Lower,
    Upper,
}

pub(super) fn compare(notes: &mut Notes, pair: &Pair<'_>) {
    limit(notes, pair, Bound::Lower, "minimum", "exclusiveMinimum");
    limit(notes, pair, Bound::Upper, "maximum", "exclusiveMaximum");
    for (keyword, bound) in [
        ("minLength", Bound::Lower),
        ("maxLength", Bound::Upper),
        ("minItems", Bound::Lower),
        ("maxItems", Bound::Upper),
        ("minProperties", Bound::Lower),
        ("maxProperties", Bound::Upper),
    ] {
        count(notes, pair, keyword, bound);
    }
    unique(notes, pair);
    multiple(notes, pair);
    for keyword in ["pattern", "format"] {
        let (old, new) = pair.of(keyword);
        match (old, new) {
            (old, new) if old == new => {}
            (None, Some(form)) => notes.at(keyword, |notes| {
                let what = format!("the {keyword} {} is asked for now", shown(form));
                notes.turn(pair.sense, Effect::Narrower, &what);
            }),
            (Some(form), None) => notes.at(keyword, |notes| {
                let what = format!("the {keyword} {} is not asked for any more", shown(form));
                notes.turn(pair.sense, Effect::Wider, &what);
            }),
            _ => pair.unjudged(notes, keyword),
        }
    }
    pair.below(notes, "propertyNames");
}

/// A bound of numbers: the tighter of the inclusive and the exclusive one counts.
fn limit(notes: &mut Notes, pair: &Pair<'_>, bound: Bound, inclusive: &str, exclusive: &str) {
    if !pair.differs(inclusive) && !pair.differs(exclusive) {
        return;
    }
    let place = if pair.differs(inclusive) {
        inclusive
    } else {
        exclusive
    };
    let sign = if bound == Bound::Lower { 1.0 } else { -1.0 };
    // As lower bounds: the larger one is the tighter one, and of equal ones the exclusive one.
    let tightest = |schema: &serde_json::Map<String, Value>| {
        let mut found: Option<(f64, bool)> = None;
        for (keyword, is_exclusive) in [(inclusive, false), (exclusive, true)] {
            let Some(value) = schema.get(keyword) else {
                continue;
            };
            let candidate = (value.as_f64()? * sign, is_exclusive);
            if found.is_none_or(|found| candidate > found) {
                found = Some(candidate);
            }
        }
        Some(found)
    };
    let (Some(old), Some(new)) = (tightest(pair.old), tightest(pair.new)) else {
        return pair.unjudged(notes, place);
    };
    let said = |limit: Option<(f64, bool)>| match limit {
        None => "none".to_owned(),
        Some((value, is_exclusive)) => {
            let value = value * sign;
            format!("{value}{}", if is_exclusive { " (exclusive)" } else { "" })
        }
    };
    let what = format!("the {} is {} and was {}", name(bound), said(new), said(old));
    // No bound sorts before every bound.
    let effect = match new.partial_cmp(&old) {
        Some(std::cmp::Ordering::Greater) => Effect::Narrower,
        Some(std::cmp::Ordering::Less) => Effect::Wider,
        Some(std::cmp::Ordering::Equal) => return,
        None => return pair.unjudged(notes, place),
    };
    notes.at(place, |notes| notes.turn(pair.sense, effect, &what));
}

const fn name(bound: Bound) -> &'static str {
    match bound {
        Bound::Lower => "lower bound",
        Bound::Upper => "upper bound",
    }
}

/// A bound of a count. No lower bound is zero.
fn count(notes: &mut Notes, pair: &Pair<'_>, keyword: &str, bound: Bound) {
    let (old, new) = pair.of(keyword);
    if old == new {
        return;
    }
    let none = match bound {
        Bound::Lower => 0.0,
        Bound::Upper => f64::INFINITY,
    };
    let read = |value: Option<&Value>| value.map_or(Some(none), Value::as_f64);
    let (Some(was), Some(is)) = (read(old), read(new)) else {
        return pair.unjudged(notes, keyword);
    };
    let said = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), shown);
    let what = format!("`{keyword}` is {} and was {}", said(new), said(old));
    let effect = match (bound, is > was, is < was) {
        (Bound::Lower, true, _) | (Bound::Upper, _, true) => Effect::Narrower,
        (Bound::Lower, _, true) | (Bound::Upper, true, _) => Effect::Wider,
        _ => return,
    };
    notes.at(keyword, |notes| notes.turn(pair.sense, effect, &what));
}

fn unique(notes: &mut Notes, pair: &Pair<'_>) {
    let (old, new) = pair.of("uniqueItems");
    if old == new {
        return;
    }
    let read = |value: Option<&Value>| value.map_or(Some(false), Value::as_bool);
    match (read(old), read(new)) {
        (Some(false), Some(true)) => notes.at("uniqueItems", |notes| {
            notes.turn(
                pair.sense,
                Effect::Narrower,
                "items may not repeat any more",
            );
        }),
        (Some(true), Some(false)) => notes.at("uniqueItems", |notes| {
            notes.turn(pair.sense, Effect::Wider, "items may repeat now");
        }),
        (Some(_), Some(_)) => {}
        _ => pair.unjudged(notes, "uniqueItems"),
    }
}

fn multiple(notes: &mut Notes, pair: &Pair<'_>) {
    let (old, new) = pair.of("multipleOf");
    let whole = |value: Option<&Value>| value.and_then(Value::as_u64).filter(|n| *n > 0);
    let effect = match (old, new, whole(old), whole(new)) {
        (old, new, ..) if old == new => return,
        (None, ..) => Effect::Narrower,
        (_, None, ..) => Effect::Wider,
        // Multiples of six are multiples of three.
        (.., Some(old), Some(new)) if new % old == 0 => Effect::Narrower,
        (.., Some(old), Some(new)) if old % new == 0 => Effect::Wider,
        _ => return pair.unjudged(notes, "multipleOf"),
    };
    let said = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), shown);
    let what = format!("`multipleOf` is {} and was {}", said(new), said(old));
    notes.at("multipleOf", |notes| notes.turn(pair.sense, effect, &what));
}
