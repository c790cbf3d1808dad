//! One monitor of a file: its variables put in, every field of it looked at.

use serde_json::{Map, Value};

use super::variables::Variables;
use super::{MAX_MONITOR_BYTES, pointer_to};
use crate::monitor::FieldError;
use crate::{MonitorId, MonitorSpec};

/// Stands for a URL that is wrong or missing, while the rest is looked at.
const SOME_URL: &str = "https://some.invalid/";

/// The monitor that an entry means.
pub(super) fn monitor(
    name: Option<String>,
    mut fields: Map<String, Value>,
    variables: &mut Variables<'_>,
) -> Result<(MonitorId, MonitorSpec), Vec<FieldError>> {
    let mut problems = Vec::new();
    let id = name.map(|name| name.parse::<MonitorId>());
    if let Some(Err(error)) = &id {
        problems.push(FieldError::new("/name", error.to_string()));
    }
    let mut taken = Vec::new();
    for (name, value) in &mut fields {
        let pointer = pointer_to(name);
        let before = problems.len();
        let used = variables.fill(&pointer, value, &mut problems);
        taken.push((name.clone(), used, problems.len() > before));
    }
    // Counted without writing it: what is escaped only makes it larger.
    if Value::Object(fields.clone()).to_string().len() > MAX_MONITOR_BYTES {
        let detail = format!("more than {MAX_MONITOR_BYTES} bytes; the API takes no larger one");
        return Err(vec![FieldError::new("", detail)]);
    }
    for (name, used, is_bad) in taken {
        if is_bad || !look(&name, &fields, &used, &mut problems) {
            fields.remove(&name);
            if name == "url" {
                // Said once, as what it is.
                fields.insert(name, SOME_URL.into());
            }
        }
    }
    if !fields.contains_key("url") {
        problems.push(FieldError::new(
            "/url",
            "is missing; it names what to watch",
        ));
        fields.insert("url".to_owned(), SOME_URL.into());
    }
    match serde_json::from_value::<MonitorSpec>(Value::Object(fields)) {
        Ok(spec) => {
            problems.extend(spec.problems());
            if let (true, Some(Ok(id))) = (problems.is_empty(), &id) {
                return Ok((id.clone(), spec));
            }
            if problems.is_empty() {
                return Ok((MonitorId::of_url(&spec.url), spec));
            }
        }
        // Each field was right alone.
        Err(_) => problems.push(FieldError::new("", "its fields contradict each other")),
    }
    Err(problems)
}

/// Whether a field is right by itself. What serde says may show the value: so it is not passed on
/// of headers, and of what came from variables.
fn look(
    name: &str,
    fields: &Map<String, Value>,
    used: &[String],
    problems: &mut Vec<FieldError>,
) -> bool {
    let Some(value) = fields.get(name) else {
        return false;
    };
    if name == "headers" {
        return are_texts(value, problems);
    }
    let mut alone = Map::new();
    alone.insert("url".to_owned(), SOME_URL.into());
    alone.insert(name.to_owned(), value.clone());
    let Err(error) = serde_json::from_value::<MonitorSpec>(Value::Object(alone)) else {
        return true;
    };
    let detail = if used.is_empty() {
        crate::text::line(&error.to_string(), 400)
    } else {
        let used = used.join(", ");
        format!("cannot be used with what {used} has put in, which is not shown")
    };
    problems.push(FieldError::new(pointer_to(name), detail));
    false
}

fn are_texts(headers: &Value, problems: &mut Vec<FieldError>) -> bool {
    let Some(headers) = headers.as_object() else {
        let detail = "write a map from names to values";
        problems.push(FieldError::new("/headers", detail));
        return false;
    };
    let before = problems.len();
    for (name, value) in headers {
        if !value.is_string() {
            let pointer = format!("/headers{}", pointer_to(name));
            problems.push(FieldError::new(pointer, "is no text; put it into quotes"));
        }
    }
    problems.len() == before
}
