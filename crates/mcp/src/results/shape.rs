//! Types of optional members, as the schemas of all revisions give them.

use model::{CheckId, Step};
use serde_json::Value;

use crate::findings::Findings;

/// What a member must be where it is there.
type Kind = fn(&Value) -> bool;

/// The members of a tool beside its name and its input schema (schema `Tool`, `ToolAnnotations`).
const TOOL: &[(&str, Kind)] = &[
    ("title", Value::is_string),
    ("description", Value::is_string),
    ("outputSchema", Value::is_object),
    ("annotations", Value::is_object),
    ("icons", Value::is_array),
    ("_meta", Value::is_object),
];
const ANNOTATIONS: &[(&str, Kind)] = &[
    ("title", Value::is_string),
    ("readOnlyHint", Value::is_boolean),
    ("destructiveHint", Value::is_boolean),
    ("idempotentHint", Value::is_boolean),
    ("openWorldHint", Value::is_boolean),
];
const INITIALIZE: &[(&str, Kind)] = &[
    ("instructions", Value::is_string),
    ("_meta", Value::is_object),
];
const DISCOVER: &[(&str, Kind)] = &[
    ("instructions", Value::is_string),
    ("supportedVersions", Value::is_array),
    ("_meta", Value::is_object),
];

pub(super) fn discover(result: &Value, findings: &mut Findings) {
    members(Step::Discover, "the result", result, DISCOVER, findings);
}

pub(super) fn initialize(result: &Value, findings: &mut Findings) {
    members(Step::Initialize, "the result", result, INITIALIZE, findings);
}

pub(super) fn tool(tool: &Value, name: &str, findings: &mut Findings) {
    let what = format!("tool {name}");
    members(Step::ToolsList, &what, tool, TOOL, findings);
    let annotations = &tool["annotations"];
    let what = format!("the annotations of tool {name}");
    members(Step::ToolsList, &what, annotations, ANNOTATIONS, findings);
}

fn members(step: Step, what: &str, value: &Value, known: &[(&str, Kind)], findings: &mut Findings) {
    let wrong = known
        .iter()
        .find(|(name, is_right)| value.get(name).is_some_and(|member| !is_right(member)));
    let detail = wrong.map(|(name, _)| format!("`{name}` of {what} is of the wrong type"));
    let (holds, detail) = (detail.is_none(), detail.unwrap_or_default());
    findings.demand(holds, CheckId::ResSchema, step, detail);
}
