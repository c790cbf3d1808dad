//! The judgement of schemas held against an independent validator.
//!
//! Every pair out of some hundred small schemas, and every instance out of some dozen: where the
//! diff calls nothing breaking, no instance may be refused that was right (arguments), and none
//! may come that was ruled out (results). What is judged with care beyond that is in `schema`.

use super::*;

fn leaves() -> Vec<Value> {
    vec![
        json!({}),
        json!(true),
        json!(false),
        json!({ "type": "string" }),
        json!({ "type": ["string", "null"] }),
        json!({ "type": "number" }),
        json!({ "type": "integer" }),
        json!({ "type": "integer", "minimum": 1 }),
        json!({ "type": "integer", "minimum": 1, "maximum": 3 }),
        json!({ "type": "number", "exclusiveMinimum": 1 }),
        json!({ "type": "number", "exclusiveMinimum": 0, "minimum": 1 }),
        json!({ "multipleOf": 2 }),
        json!({ "multipleOf": 4 }),
        json!({ "enum": ["a", "b"] }),
        json!({ "enum": ["a", 1, null] }),
        json!({ "const": "a" }),
        json!({ "const": 2.0 }),
        json!({ "type": "string", "enum": ["a", 1] }),
        json!({ "minLength": 1 }),
        json!({ "minLength": 1, "maxLength": 2 }),
        json!({ "pattern": "^a" }),
        json!({ "not": { "type": "string" } }),
        json!({ "not": { "enum": ["a"] } }),
        json!({ "not": {} }),
    ]
}

fn schemas() -> Vec<Value> {
    let mut all = leaves();
    let few = [
        json!({ "type": "string" }),
        json!({ "type": ["string", "null"] }),
        json!({ "type": "null" }),
        json!({ "type": "integer" }),
        json!({ "const": "a" }),
    ];
    for one in &few {
        all.push(json!({ "type": "array", "items": one }));
        all.push(json!({ "type": "array", "prefixItems": [one], "items": false }));
        all.push(json!({ "anyOf": [one] }));
        all.push(json!({ "allOf": [one, { "minLength": 1 }] }));
        all.push(json!({ "$defs": { "d": one }, "$ref": "#/$defs/d" }));
        all.push(json!({ "$defs": { "d": one }, "not": { "$ref": "#/$defs/d" } }));
        all.push(
            json!({ "$defs": { "d": one }, "type": "array", "items": { "$ref": "#/$defs/d" } }),
        );
        all.push(json!({ "type": "object", "properties": { "a": one } }));
        all.push(json!({ "type": "object", "properties": { "a": one }, "required": ["a"] }));
        all.push(json!({ "properties": { "a": one }, "additionalProperties": false }));
        all.push(json!({ "properties": { "b": {} }, "additionalProperties": one }));
        all.push(json!({ "properties": { "a": one, "b": true }, "additionalProperties": false }));
        all.push(json!({ "properties": { "a": one }, "unevaluatedProperties": false }));
        all.push(
            json!({ "allOf": [{ "properties": { "a": one } }], "unevaluatedProperties": false }),
        );
        all.push(json!({ "patternProperties": { "^a": one }, "additionalProperties": false }));
        all.push(json!({ "if": one, "then": { "minLength": 2 } }));
        for other in &few {
            all.push(json!({ "anyOf": [one, other] }));
            all.push(json!({ "oneOf": [one, other] }));
        }
    }
    all.extend([
        json!({ "type": "array", "minItems": 1 }),
        json!({ "type": "array", "uniqueItems": true }),
        json!({ "type": "array", "maxItems": 1 }),
        json!({ "type": "array" }),
        json!({ "type": "object" }),
        json!({ "type": "object", "minProperties": 1 }),
        json!({ "type": "object", "required": ["a", "b"] }),
        json!({ "type": "object", "dependentRequired": { "a": ["b"] } }),
        json!({ "type": "object", "propertyNames": { "maxLength": 1 } }),
        json!({ "type": "object", "propertyNames": { "const": "a" } }),
        json!({ "properties": { "a": { "anyOf": [{ "type": "string" }, { "type": "null" }] } } }),
        json!({ "$defs": { "d": { "type": "string" }, "e": {} }, "$ref": "#/$defs/d" }),
        json!({ "anyOf": [{ "type": "string" }, { "$ref": "#/anyOf/2" }, { "type": "integer" }] }),
        json!({ "anyOf": [{ "$ref": "#/anyOf/2" }, { "type": "string" }, { "type": "integer" }] }),
    ]);
    all
}

fn instances() -> Vec<Value> {
    let mut all = vec![
        json!(null),
        json!(true),
        json!(""),
        json!("a"),
        json!("b"),
        json!("abc"),
        json!(0),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(2),
        json!(4),
        json!(-3),
    ];
    let scalars = all.clone();
    all.push(json!([]));
    all.push(json!({}));
    for value in scalars {
        all.push(json!([value]));
        all.push(json!([value, value]));
        all.push(json!([value, "a"]));
        all.push(json!({ "a": value }));
        all.push(json!({ "b": value }));
        all.push(json!({ "a": value, "b": 1 }));
        all.push(json!({ "ab": value }));
    }
    all
}

/// Whether a schema names each property of the instance somewhere. An optional property that is
/// new is additive, although whoever sent one by chance may be refused.
fn is_described(schema: &Value, instance: &Value) -> bool {
    let text = schema.to_string();
    let names = instance
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys);
    names
        .into_iter()
        .all(|name| text.contains(&format!("\"{name}\":")))
}

#[test]
fn what_is_not_called_breaking_breaks_nobody() {
    let (schemas, instances) = (schemas(), instances());
    let accepts: Vec<Vec<bool>> = schemas
        .iter()
        .map(|schema| {
            let validator = jsonschema::draft202012::new(schema).unwrap();
            let valid = instances
                .iter()
                .map(|instance| validator.is_valid(instance));
            valid.collect()
        })
        .collect();
    let (mut harmless, mut checked) = (0, 0);
    for (i, old) in schemas.iter().enumerate() {
        for (j, new) in schemas.iter().enumerate() {
            let arguments = diff(&input(old), &input(new)).breaking == 0;
            let results = diff(&output(old), &output(new)).breaking == 0;
            harmless += u32::from(i != j && arguments) + u32::from(i != j && results);
            for (n, instance) in instances.iter().enumerate() {
                if arguments && accepts[i][n] && is_described(old, instance) {
                    assert!(
                        accepts[j][n],
                        "refused now: {instance}\n old {old}\n new {new}"
                    );
                    checked += 1;
                }
                if results && accepts[j][n] {
                    assert!(
                        accepts[i][n],
                        "may come now: {instance}\n old {old}\n new {new}"
                    );
                    checked += 1;
                }
            }
        }
    }
    // Calling everything breaking would be right as well, and of no use.
    assert!(harmless > 1_000, "{harmless}");
    assert!(checked > 20_000, "{checked}");
}
