//! The canonical form of JSON and of tools.
//!
//! Two steps. [`tool`] gives every array whose order has no meaning one order, and every number
//! one form; [`text`] writes the result as RFC 8785 (JCS) says, which orders the members.
//!
//! Which arrays have no order is said by JSON Schema 2020-12, for schemas and only there: the
//! value of `const`, `default` or `examples` is data, and a property may be called `required`.
//!
//! - `required`, `type`, the lists of `dependentRequired`: validation §6.5.3, §6.1.1, §6.5.4 ask
//!   for unique strings and say what follows from each being there.
//! - `enum`: validation §6.1.2, "valid if its value is equal to one of the elements".
//! - `allOf`, `anyOf`, `oneOf`: core §10.2.1, each schema is applied by itself and the results are
//!   counted. Not, however, in a schema where a reference runs through anything but
//!   `#/$defs/NAME`: `#/anyOf/0` means another schema when the order changes, so there every order
//!   is kept.
//! - `items` and `prefixItems` with an array stand for positions: kept.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::schema::{self, Holds};

/// The canonical text of a value (RFC 8785). Numbers are IEEE 754 doubles there: integers beyond
/// 2^53 lose what a JavaScript client would not see either.
#[must_use]
pub fn text(value: &Value) -> String {
    // A tree of values can always be written.
    serde_json_canonicalizer::to_string(value).unwrap_or_default()
}

/// The canonical form of a tool object.
#[must_use]
pub fn tool(tool: &Value) -> Value {
    let Value::Object(members) = tool else {
        return plain(tool);
    };
    each(members, |name, value| match name {
        "inputSchema" | "outputSchema" => {
            let mut found = Vec::new();
            schema::references(value, &mut found);
            let keeps_order = !found.iter().all(|reference| schema::is_plain(reference));
            of_schema(value, keeps_order)
        }
        _ => plain(value),
    })
}

fn of_schema(found: &Value, keeps_order: bool) -> Value {
    let Value::Object(members) = found else {
        return plain(found);
    };
    each(members, |keyword, value| {
        let below = |value: &Value| of_schema(value, keeps_order);
        match (schema::holds(keyword, value), value) {
            (Holds::Schema, value) => below(value),
            (Holds::Schemas, Value::Object(named)) => each(named, |_, value| below(value)),
            (Holds::List, Value::Array(items)) => items.iter().map(below).collect(),
            (Holds::Members, Value::Array(items)) => {
                sorted(items.iter().map(below).collect(), !keeps_order)
            }
            (Holds::Names, Value::Array(items)) => sorted(items.iter().map(plain).collect(), true),
            (Holds::Values, Value::Array(items)) => {
                sorted(items.iter().map(plain).collect(), !keeps_order)
            }
            (Holds::NamesByName, Value::Object(named)) => each(named, |_, value| {
                let names = value.as_array();
                names.map_or_else(
                    || below(value),
                    |names| sorted(names.iter().map(plain).collect(), true),
                )
            }),
            (_, value) => plain(value),
        }
    })
}

/// The canonical form of data: members in order, one form for each number.
fn plain(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
        Value::Number(number) => Value::Number(of_number(number)),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => each(members, |_, value| plain(value)),
    }
}

/// An object with its members in order, however its map keeps them.
fn each(members: &Map<String, Value>, form: impl Fn(&str, &Value) -> Value) -> Value {
    let mut names: Vec<&String> = members.keys().collect();
    names.sort_unstable();
    let formed = names
        .into_iter()
        .map(|name| (name.clone(), form(name, &members[name])));
    Value::Object(formed.collect())
}

fn sorted(mut items: Vec<Value>, has_no_order: bool) -> Value {
    if has_no_order {
        items.sort_by(order);
    }
    Value::Array(items)
}

/// The number as the double that it is: as an integer where it is one, so that `1` equals `1.0`.
fn of_number(number: &Number) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let Some(double) = number.as_f64() else {
        return number.clone();
    };
    if double.fract() == 0.0 && double.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is an integer below 2^53"
        )]
        return Number::from(double as i64);
    }
    Number::from_f64(double).unwrap_or_else(|| number.clone())
}

/// A total order of canonical values, for arrays that have none. Values that are equal are the same.
pub(crate) fn order(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => {
            let double = |number: &Number| number.as_f64().unwrap_or_default();
            double(one)
                .total_cmp(&double(other))
                .then_with(|| one.is_f64().cmp(&other.is_f64()))
        }
        (Value::Array(one), Value::Array(other)) => {
            let pairs = one.iter().zip(other);
            pairs
                .map(|(one, other)| order(one, other))
                .find(|found| found.is_ne())
                .unwrap_or_else(|| one.len().cmp(&other.len()))
        }
        (Value::Object(one), Value::Object(other)) => {
            let pairs = one.iter().zip(other);
            pairs
                .map(|((name, one), (other_name, other))| {
                    name.cmp(other_name).then_with(|| order(one, other))
                })
                .find(|found| found.is_ne())
                .unwrap_or_else(|| one.len().cmp(&other.len()))
        }
        (one, other) => rank(one).cmp(&rank(other)),
    }
}

const fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

#[cfg(test)]
mod tests;
