//! JSON of strangers: parsed into a tree only while the tree is small.
//!
//! Four MiB of `{"":0}` would become some hundred MiB of maps. So every value costs, and a tree
//! that costs too much is refused while it is being built.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What a tree may cost: about 100 bytes of memory a unit. A tool with a rich schema costs some
/// hundred units.
pub const BUDGET: u32 = 150_000;
/// A map allocates room for several entries at once.
const MAP_COST: u32 = 8;

/// Why bytes did not become a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not JSON, or nested deeper than 128 levels.
    Syntax,
    /// JSON, but a tree of too many values.
    TooLarge,
}

/// The tree of a JSON text.
///
/// # Errors
/// It is no JSON, or a tree that costs [`BUDGET`] or more.
pub fn parse(bytes: &[u8]) -> Result<Value, Refused> {
    parse_within(bytes, BUDGET)
}

/// The tree of a JSON text, with another budget than [`BUDGET`].
///
/// # Errors
/// It is no JSON, or a tree that costs as much or more.
pub fn parse_within(bytes: &[u8], budget: u32) -> Result<Value, Refused> {
    let mut left = budget;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node { left: &mut left }.deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_) if left == 0 => Err(Refused::TooLarge),
        Err(_) => Err(Refused::Syntax),
    }
}

struct Node<'a> {
    left: &'a mut u32,
}

impl Node<'_> {
    fn spend<E: serde::de::Error>(&mut self, cost: u32) -> Result<(), E> {
        match self.left.checked_sub(cost) {
            Some(left) if left > 0 => {
                *self.left = left;
                Ok(())
            }
            _ => {
                *self.left = 0;
                Err(E::custom("too many values"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(mut self, input: D) -> Result<Value, D::Error> {
        self.spend(1)?;
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        self.spend(1)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Node { left: self.left })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        self.spend(MAP_COST)?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Node { left: self.left })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// What a tree costs by the same measure, and the bytes of all its strings and names.
#[must_use]
pub fn weight(value: &Value) -> (u32, usize) {
    let sum = |(cost, bytes): (u32, usize), (more, further): (u32, usize)| {
        (cost.saturating_add(more), bytes.saturating_add(further))
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => (1, 0),
        Value::String(text) => (1, text.len()),
        Value::Array(items) => items.iter().map(weight).fold((2, 0), sum),
        Value::Object(members) => {
            let members = members.iter();
            let weights = members.map(|(name, value)| sum(weight(value), (0, name.len())));
            weights.fold((1 + MAP_COST, 0), sum)
        }
    }
}

/// Whether a text is one whole JSON value, without building it.
#[must_use]
pub fn is_whole(text: &str) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_ignored_any(serde::de::IgnoredAny);
    read.is_ok() && deserializer.end().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn large_trees_are_refused_and_large_texts_are_not() {
        let bomb = format!("[{}{{}}]", "{\"\":0},".repeat(200_000));
        assert_eq!(parse(bomb.as_bytes()), Err(Refused::TooLarge));
        let flat = format!("[{}0]", "0,".repeat(500_000));
        assert_eq!(parse(flat.as_bytes()), Err(Refused::TooLarge));
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20));
        assert!(parse(text.as_bytes()).is_ok());
        assert_eq!(parse(b"{\"a\":1} x"), Err(Refused::Syntax));
        assert_eq!(parse(b""), Err(Refused::Syntax));
    }

    proptest! {
        /// Within its budget it reads what serde_json reads.
        #[test]
        fn small_trees_are_those_of_the_library(text in "[\\[\\]{}\":,0-9a-z.\\-e ]{0,40}") {
            let ours = parse(text.as_bytes()).ok();
            let theirs: Option<Value> = serde_json::from_str(&text).ok();
            prop_assert_eq!(is_whole(&text), theirs.is_some());
            prop_assert_eq!(ours, theirs);
        }
    }
}
