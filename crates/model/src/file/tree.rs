//! A file as a tree, whatever its format, read under a budget: neither aliases nor nesting make it
//! larger than its bound, and nothing is said twice unnoticed.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::problem::Position;
use super::{Format, MAX_DEPTH};

/// What the tree may take in memory: several times what honest files of the largest size do.
const MAX_TREE_BYTES: usize = 64 << 20;
/// What a value, and what a map, takes beside its texts.
const VALUE_BYTES: usize = 32;
const MAP_BYTES: usize = 640;
/// Values and aliases of a YAML file: no more than the tree has place for.
const MAX_YAML_NODES: usize = MAX_TREE_BYTES / VALUE_BYTES;
/// What aliases may repeat: a dozen values for each of the most monitors.
const MAX_YAML_REPLAYED: usize = 240_000;
/// How `toml` hands over a date.
const TOML_DATE: &str = "$__toml_private_datetime";

/// Why a text is no tree.
pub(super) struct Unreadable {
    pub(super) position: Option<Position>,
    pub(super) detail: String,
}

/// Reads a text.
pub(super) fn read(text: &str, format: Format) -> Result<Value, Unreadable> {
    let left = Cell::new(MAX_TREE_BYTES);
    let root = Node {
        left: &left,
        depth: 0,
    };
    match format {
        Format::Toml => toml(text, root),
        Format::Json => json(text, root),
        Format::Yaml => yaml(text, root),
    }
}

fn shown(message: &str) -> String {
    crate::text::line(message, 300)
}

fn toml(text: &str, root: Node<'_>) -> Result<Value, Unreadable> {
    let read = toml::Deserializer::parse(text).and_then(|input| root.deserialize(input));
    read.map_err(|error| Unreadable {
        position: error.span().map(|span| position(text, span.start)),
        detail: shown(error.message()),
    })
}

fn json(text: &str, root: Node<'_>) -> Result<Value, Unreadable> {
    let mut input = serde_json::Deserializer::from_str(text);
    let read = root.deserialize(&mut input);
    let read = read.and_then(|value| input.end().map(|()| value));
    read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        Unreadable {
            position: (line > 0).then_some(Position {
                line: line as u64,
                column: column as u64,
            }),
            detail: shown(message.strip_suffix(&place).unwrap_or(&message)),
        }
    })
}

fn yaml(text: &str, root: Node<'_>) -> Result<Value, Unreadable> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_nodes: MAX_YAML_NODES,
            max_events: 2 * MAX_YAML_NODES,
            max_total_scalar_bytes: MAX_TREE_BYTES,
            max_recorded_anchor_events: MAX_YAML_REPLAYED,
            // One anchor with defaults may serve every monitor: what it grows to is bounded here.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_YAML_REPLAYED,
            max_replay_stack_depth: 8,
        },
        // YAML 1.2: `no` is a word.
        strict_booleans: true,
        with_snippet: false,
    };
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |input| {
        root.deserialize(input)
    });
    read.map_err(|error| {
        let error = error.without_snippet();
        Unreadable {
            position: error.location().map(|at| Position {
                line: at.line(),
                column: at.column(),
            }),
            detail: shown(&in_our_words(&error.to_string())),
        }
    })
}

/// The library's message without the place, which is told apart, and without its own options.
fn in_our_words(message: &str) -> String {
    if message.starts_with("budget breached: Documents") {
        return "has more than one document; split it".to_owned();
    }
    if message.starts_with("budget breached") || message.contains("alias replay") {
        return "nests, or grows by its aliases, beyond what a file may; write it out".to_owned();
    }
    let ends = [
        ", set DuplicateKeyPolicy",
        " rejected by the configured",
        " at line ",
        " (defined at",
    ];
    let end = ends.iter().filter_map(|end| message.find(end)).min();
    message[..end.unwrap_or(message.len())].to_owned()
}

fn position(text: &str, at: usize) -> Position {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before[start..].chars().count();
    Position {
        line: line as u64 + 1,
        column: column as u64 + 1,
    }
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Node<'a> {
    left: &'a Cell<usize>,
    depth: usize,
}

impl Node<'_> {
    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(bytes);
        let left = left.ok_or_else(|| E::custom("too much for one file; split it"))?;
        self.left.set(left);
        Ok(())
    }

    fn within<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn value<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.take(VALUE_BYTES)?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        self.value(number.ok_or_else(|| E::custom("a number must be finite"))?)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.take(value.len())?;
        self.value(value)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.value(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        self.deserialize(input)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let inner = self.within()?;
        self.take(VALUE_BYTES)?;
        let mut list = Vec::new();
        while let Some(value) = input.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let inner = self.within()?;
        self.take(MAP_BYTES)?;
        let mut map = Map::new();
        while let Some(name) = input.next_key::<String>()? {
            if name == TOML_DATE {
                return Err(Error::custom("no field is a date; put it into quotes"));
            }
            self.take(name.len() + VALUE_BYTES)?;
            let value = input.next_value_seed(inner)?;
            if map.contains_key(&name) {
                let name = crate::text::line(&name, 64);
                return Err(Error::custom(format!("`{name}` is there twice")));
            }
            map.insert(name, value);
        }
        Ok(map.into())
    }
}
