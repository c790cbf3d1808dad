//! Answers to nobody's question, and answers that only look wrong.

use serde_json::{Value, json};

use super::Behaviour;
use super::talk::{Talk, changed, dressed, honest_value};

pub(super) const LIST: [Behaviour; 7] = [
    Behaviour::modern("id-wrong", "the id of another request", |request| {
        changed(request, |answer| answer["id"] = json!(4711))
    }),
    Behaviour::modern("id-text", "the id as a string", |request| {
        changed(request, |answer| {
            answer["id"] = json!(answer["id"].to_string())
        })
    }),
    Behaviour::modern("id-null", "a result with the id null", |request| {
        changed(request, |answer| answer["id"] = Value::Null)
    }),
    Behaviour::modern("id-missing", "a result without id", |request| {
        changed(request, |answer| {
            answer.as_object_mut().map(|answer| answer.remove("id"));
        })
    }),
    Behaviour::modern("id-object", "an object as id", |request| {
        changed(request, |answer| answer["id"] = json!({ "$gt": "" }))
    }),
    Behaviour::modern("id-giant", "an id beyond every integer", |request| {
        changed(request, |answer| answer["id"] = json!(1e300))
    }),
    Behaviour::modern("batch", "each answer in an array", |request| {
        let answer = honest_value(request);
        if answer.is_null() {
            return Talk::of(super::talk::response(202, "", ""));
        }
        dressed(request, json!([answer]).to_string().as_bytes())
    }),
];
