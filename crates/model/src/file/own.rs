//! Our own shape: `monitors`.

use serde_json::{Map, Value};

use super::problem::{Problem, Problems};
use super::{Entry, Listed};
use crate::monitor::FieldError;

/// What `monitors` lists.
pub(super) fn listed(
    file: &str,
    monitors: Value,
    problems: &mut Problems,
) -> Result<Listed, Problems> {
    let mut listed = Listed::default();
    match monitors {
        Value::Array(list) => {
            for (n, value) in list.into_iter().enumerate() {
                let shown = format!("number {}", n + 1);
                let Some(mut fields) = object(file, &shown, value, problems) else {
                    continue;
                };
                let name = match fields.remove("name") {
                    Some(Value::String(name)) => Some(name),
                    None => None,
                    Some(_) => {
                        let error = FieldError::new("/name", "is no text; put it into quotes");
                        problems.of_monitor(file, &shown, vec![error]);
                        continue;
                    }
                };
                listed.entries.push(Entry {
                    shown: name.clone().unwrap_or(shown),
                    name,
                    fields,
                });
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                let Some(fields) = object(file, &name, value, problems) else {
                    continue;
                };
                listed.entries.push(Entry {
                    shown: name.clone(),
                    name: Some(name),
                    fields,
                });
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            problems.push(Problem {
                pointer: "/monitors".to_owned(),
                detail: "is neither a list of monitors nor a map; it may be `[]`".to_owned(),
                ..Problem::of(file)
            });
        }
    }
    Ok(listed)
}

/// The fields of an entry.
pub(super) fn object(
    file: &str,
    shown: &str,
    value: Value,
    problems: &mut Problems,
) -> Option<Map<String, Value>> {
    if let Value::Object(fields) = value {
        return Some(fields);
    }
    let error = FieldError::new("", "is no map of fields");
    problems.of_monitor(file, shown, vec![error]);
    None
}
