//! Schemas of bodies. Answers are closed: a field that the document does not have is an error.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use crate::api::operation::Type;

const COMPONENTS: &str = "/components/schemas";

/// Collects the schemas of a document.
pub(super) struct Schemas {
    answers: SchemaGenerator,
    /// What may be absent in a request is always there in an answer, so that one type has two
    /// schemas: those of requests are written out and named apart.
    requests: SchemaGenerator,
    named: Map<String, Value>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = |inline: bool| {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = COMPONENTS.into();
                settings.meta_schema = None;
                settings.inline_subschemas = inline;
            })
        };
        Self {
            answers: settings(false).for_serialize().into_generator(),
            requests: settings(true).for_deserialize().into_generator(),
            named: Map::new(),
        }
    }

    /// The schema of an answer's body: a reference.
    pub(super) fn answer(&mut self, body: Type) -> Value {
        (body.schema)(&mut self.answers).into()
    }

    /// The schema of a request's body: a reference.
    pub(super) fn request(&mut self, body: Type) -> Value {
        let name = format!("{}Request", (body.name)());
        let reference = json!({ "$ref": format!("#{COMPONENTS}/{name}") });
        let mut schema = (body.schema)(&mut self.requests);
        close(&mut schema);
        self.named.insert(name, schema.into());
        reference
    }

    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut components = self.answers.take_definitions(true);
        let parts = parts(&components);
        for (name, schema) in &mut components {
            if let Ok(schema) = <&mut Schema>::try_from(schema)
                && !parts.contains(name)
            {
                close(schema);
            }
        }
        components.extend(self.named);
        components
    }
}

/// Components that others take in beside fields of their own: closed by those.
fn parts(components: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Value> = components.values().collect();
    while let Some(value) = open.pop() {
        if let (Some(Value::String(name)), Some(_)) = (value.get("$ref"), value.get("properties")) {
            let name = name.rsplit('/').next().unwrap_or_default();
            found.insert(name.to_owned());
        }
        match value {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// Allows no fields but those that are named, here and below.
fn close(schema: &mut Schema) {
    transform_subschemas(&mut close, schema);
    if schema.get("properties").is_none() {
        return;
    }
    let takes_in = schema.get("$ref").is_some();
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    let rule = if takes_in {
        "unevaluatedProperties"
    } else {
        "additionalProperties"
    };
    fields.entry(rule).or_insert(Value::Bool(false));
}

/// A time as the API writes it.
#[derive(Debug)]
pub(crate) struct Time;

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}
