use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use store::MemoryStore;

use super::document;
use crate::api::routes::operations;

fn built() -> Value {
    document(&operations::<MemoryStore>(false))
}

/// Every value of the document, with the keys that lead to it.
fn walk(value: &Value, at: &str, see: &mut impl FnMut(&str, &Value)) {
    see(at, value);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                walk(value, &format!("{at}/{name}"), see);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, at, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What reviewers see of a change of the API.
#[test]
fn the_copy_in_docs_is_the_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let built = built();
    if std::env::var_os("PARALLAX_ACCEPT_OPENAPI").is_some() {
        let text = serde_json::to_string_pretty(&built).unwrap();
        std::fs::write(&path, text + "\n").unwrap();
    }
    let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let way_out = "run `PARALLAX_ACCEPT_OPENAPI=1 cargo test -p parallax-coordinator --no-default-features openapi` and commit it";
    assert!(
        kept == built,
        "docs/openapi.json is of another API: {way_out}"
    );
}

#[test]
fn references_lead_somewhere_and_nothing_is_left_over() {
    let built = built();
    let mut used = BTreeSet::new();
    walk(&built, "", &mut |at, value| {
        if at.ends_with("/$ref") {
            let to = value.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(built.pointer(to).is_some(), "{at}: {to}");
            used.insert(to.to_owned());
        }
    });
    for kind in ["schemas", "responses"] {
        for name in built["components"][kind].as_object().unwrap().keys() {
            let pointer = format!("/components/{kind}/{name}");
            assert!(used.contains(&pointer), "{pointer} is of no use");
            // Where two types have one name, the second gets a number.
            let is_number = name.ends_with(|c: char| c.is_ascii_digit());
            assert!(
                !is_number,
                "{name}: give one of the types a name of its own"
            );
        }
    }
}

#[test]
fn operations_have_names_meanings_and_answers() {
    let built = built();
    let mut names = BTreeSet::new();
    for (path, methods) in built["paths"].as_object().unwrap() {
        for (method, told) in methods.as_object().unwrap() {
            let name = told["operationId"].as_str().unwrap();
            assert!(!name.is_empty() && names.insert(name), "{method} {path}");
            assert!(!told["summary"].as_str().unwrap().is_empty(), "{name}");
            let responses = told["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{name}"
            );
            for (status, response) in responses {
                assert_ne!(response["description"], "", "{name} {status}");
            }
        }
    }
    assert_eq!(names.len(), operations::<MemoryStore>(false).len());
}

/// An object that took fields of any name would hide those that nobody wrote down.
#[test]
fn objects_are_closed() {
    let built = built();
    walk(&built["components"]["schemas"], "", &mut |at, value| {
        let has_fields = value.get("properties").is_some_and(Value::is_object);
        let rules = ["additionalProperties", "unevaluatedProperties"];
        let is_closed = rules
            .iter()
            .any(|rule| value.get(rule) == Some(&false.into()));
        // `Failure` is taken in by `Outcome`, which is closed.
        assert!(!has_fields || is_closed || at == "/Failure", "{at} is open");
    });
}

#[test]
fn metrics_are_open_where_they_are() {
    let security = |open| {
        document(&operations::<MemoryStore>(open))["paths"]["/metrics"]["get"]["security"].clone()
    };
    assert_eq!(security(true), serde_json::json!([]));
    assert_eq!(security(false), serde_json::json!([{ "key": ["read"] }]));
}
