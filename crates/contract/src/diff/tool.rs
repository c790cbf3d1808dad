//! The members of a tool object (2026-07-28 and 2025-11-25 schema, `Tool`).

use model::contract::ChangeClass;
use serde_json::{Map, Value, json};

use super::note::{Notes, Sense, shown};
use super::{defined, schema};

/// Compares two tools of one name.
pub(super) fn compare(notes: &mut Notes, old: &Value, new: &Value) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return notes.unjudged("the tool");
    };
    for (name, old, new) in changed(old, new) {
        notes.at(name, |notes| member(notes, name, old, new));
    }
}

/// The members that differ, in order.
pub(super) fn changed<'v>(
    old: &'v Map<String, Value>,
    new: &'v Map<String, Value>,
) -> Vec<(&'v str, Option<&'v Value>, Option<&'v Value>)> {
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let mut names: Vec<&String> = new.keys().chain(gone).collect();
    names.sort_unstable();
    let both = names
        .into_iter()
        .map(|name| (name.as_str(), old.get(name), new.get(name)));
    both.filter(|(_, old, new)| old != new).collect()
}

fn member(notes: &mut Notes, name: &str, old: Option<&Value>, new: Option<&Value>) {
    match (name, old, new) {
        ("description", old, new) => text(notes, "the description", old, new),
        ("title" | "icons", old, new) => shown_to_people(notes, name, old, new),
        ("annotations", old, new) => annotations(notes, old, new),
        ("execution", old, new) => execution(notes, old, new),
        // What clients' extensions obey: which page is shown with a result, among others.
        ("_meta", _, _) => notes.add(ChangeClass::SecurityRelevant, "`_meta` changed"),
        ("inputSchema", Some(old), Some(new)) => whole(notes, old, new, Sense::Input),
        ("outputSchema", Some(old), Some(new)) => whole(notes, old, new, Sense::Output),
        ("outputSchema", None, Some(_)) => {
            notes.add(ChangeClass::Additive, "results are described now");
        }
        ("outputSchema", _, None) => {
            notes.add(ChangeClass::Breaking, "results are not described any more");
        }
        (other, ..) => notes.unjudged(&format!("`{}`", model::text::line(other, 64))),
    }
}

fn whole(notes: &mut Notes, old: &Value, new: &Value, sense: Sense) {
    let plan = defined::plan(old, new, sense, notes.depth());
    schema::compare(notes, &plan, old, new, plan.sense);
}

/// A text that a model reads.
pub(super) fn text(notes: &mut Notes, what: &str, old: Option<&Value>, new: Option<&Value>) {
    let said = |value: Option<&Value>| match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    notes.reworded(what, &said(old), &said(new));
}

fn shown_to_people(notes: &mut Notes, name: &str, old: Option<&Value>, new: Option<&Value>) {
    let said = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), shown);
    let what = format!("`{name}` changed from {} to {}", said(old), said(new));
    notes.add(ChangeClass::Cosmetic, &what);
}

/// `ToolAnnotations`: hints of risk, with the defaults that the schema gives them, and a title.
fn annotations(notes: &mut Notes, old: Option<&Value>, new: Option<&Value>) {
    let none = json!({});
    let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return notes.add(ChangeClass::SecurityRelevant, "the annotations changed");
    };
    let before = notes.total();
    for (name, old, new) in changed(old, new) {
        notes.at(name, |notes| annotation(notes, name, old, new));
    }
    if notes.total() == before {
        notes.add(
            ChangeClass::Cosmetic,
            "is written differently and means the same",
        );
    }
}

fn annotation(notes: &mut Notes, name: &str, old: Option<&Value>, new: Option<&Value>) {
    let default = match name {
        "title" => return shown_to_people(notes, name, old, new),
        "destructiveHint" | "openWorldHint" => Some(Value::Bool(true)),
        "readOnlyHint" | "idempotentHint" => Some(Value::Bool(false)),
        _ => None,
    };
    let (was, is) = (old.or(default.as_ref()), new.or(default.as_ref()));
    let said = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), shown);
    let name = model::text::line(name, 64);
    if was == is {
        let what = format!("`{name}` is said differently: {} is the default", said(is));
        notes.add(ChangeClass::Cosmetic, &what);
    } else {
        let what = format!(
            "the hint `{name}` changed from {} to {}",
            said(was),
            said(is)
        );
        notes.add(ChangeClass::SecurityRelevant, &what);
    }
}

/// `ToolExecution` of 2025-11-25: whether calls must or may be tasks; `forbidden` by default.
fn execution(notes: &mut Notes, old: Option<&Value>, new: Option<&Value>) {
    match (task_support(old), task_support(new)) {
        (Some(old), Some(new)) if old == new => {
            notes.add(
                ChangeClass::Cosmetic,
                "is written differently and means the same",
            );
        }
        (Some("forbidden" | "required"), Some("optional")) => {
            notes.add(ChangeClass::Additive, "calls may be tasks, and need not be");
        }
        (Some(_), Some("required")) => notes.add(ChangeClass::Breaking, "calls must be tasks now"),
        (Some("optional" | "required"), Some("forbidden")) => {
            notes.add(ChangeClass::Breaking, "calls may not be tasks any more");
        }
        _ => notes.unjudged("`execution`"),
    }
}

fn task_support(execution: Option<&Value>) -> Option<&str> {
    match execution {
        None => Some("forbidden"),
        Some(Value::Object(members)) if members.is_empty() => Some("forbidden"),
        Some(Value::Object(members)) if members.len() == 1 => members.get("taskSupport")?.as_str(),
        Some(_) => None,
    }
}
