//! The result of a tool call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{CheckId, Era, Reason, Revision, Step, json_schema};
use serde_json::{Map, Value};

use super::{envelope, schema};
use crate::findings::Findings;
use crate::reply::Fault;

/// What a call led to.
#[derive(Debug, PartialEq)]
pub(crate) enum Called {
    /// The tool gave its result.
    Done,
    /// The tool asks for input first (2026-07-28 basic/patterns/mrtr): its questions, and the
    /// state to send back.
    Asked {
        questions: Map<String, Value>,
        state: Option<Value>,
    },
}

/// Checks a `tools/call` result (server/tools, "Tool Result").
pub(crate) fn call(
    result: &Value,
    revision: Revision,
    output_schema: Option<&Value>,
    findings: &mut Findings,
) -> Result<Called, Fault> {
    let step = Step::ToolsCall;
    if revision.era() == Era::Modern {
        if result["resultType"] == "input_required" {
            findings.pass(CheckId::ResResultType);
            return asked(result);
        }
        envelope(step, result, findings)?;
    }
    let content = result.get("content").and_then(Value::as_array);
    let problem = match content {
        None => Some("the result has no array `content`"),
        Some(blocks) => blocks.iter().find_map(block_problem),
    };
    let detail = problem.unwrap_or_default();
    findings.demand(problem.is_none(), CheckId::CallContent, step, detail);
    if result["isError"] == true {
        let text = content.and_then(|blocks| blocks.iter().find_map(|b| b["text"].as_str()));
        return Err(Fault::new(
            Reason::ToolError,
            CheckId::CallIsError,
            format!(
                "isError: {}",
                model::text::line(text.unwrap_or("no text"), 160)
            ),
        ));
    }
    findings.pass(CheckId::CallIsError);
    // Structured content came with 2025-06-18.
    if let Some(schema) = output_schema.filter(|_| revision >= Revision::V2025_06_18) {
        structured(result, schema, findings);
    }
    Ok(Called::Done)
}

fn asked(result: &Value) -> Result<Called, Fault> {
    let questions = result.get("inputRequests").and_then(Value::as_object);
    let state = result.get("requestState").cloned();
    if questions.is_none_or(Map::is_empty) && state.is_none() {
        let detail = "input_required with neither inputRequests nor requestState";
        return Err(schema(CheckId::CallInputRequired, detail));
    }
    Ok(Called::Asked {
        questions: questions.cloned().unwrap_or_default(),
        state,
    })
}

/// server/tools, "Tool Result": each kind of block with its members, data in base64.
fn block_problem(block: &Value) -> Option<&'static str> {
    let has = |member: &str| block[member].is_string();
    let is_base64 = |text: &Value| {
        let text = text.as_str();
        text.is_some_and(|text| STANDARD.decode(text).is_ok())
    };
    match block["type"].as_str() {
        Some("text") if !has("text") => Some("a text block has no `text`"),
        Some("image" | "audio") if !is_base64(&block["data"]) => {
            Some("the `data` of an image or audio block is not base64")
        }
        Some("image" | "audio") if !has("mimeType") => {
            Some("an image or audio block has no `mimeType`")
        }
        Some("resource_link") if !has("uri") || !has("name") => {
            Some("a resource_link has no `uri` or no `name`")
        }
        Some("resource") => {
            let inner = &block["resource"];
            let has_body = inner["text"].is_string() || is_base64(&inner["blob"]);
            (!inner["uri"].is_string() || !has_body)
                .then_some("an embedded resource has no `uri`, or neither text nor base64 blob")
        }
        Some("text" | "image" | "audio" | "resource_link") => None,
        _ => Some("a content block is of no known type"),
    }
}

/// 2025-06-18 server/tools, "Output Schema": structured results must conform, and SDKs refuse
/// those that do not.
fn structured(result: &Value, schema: &Value, findings: &mut Findings) {
    let problem = match result.get("structuredContent") {
        None => Some("the tool has an outputSchema, its result no structuredContent".to_owned()),
        // What cannot be judged is not judged.
        Some(content) => match json_schema::conforms(schema, content) {
            None => return,
            Some(judged) => judged.err(),
        },
    };
    let detail = problem.as_deref().unwrap_or_default();
    let (id, step) = (CheckId::CallOutputSchema, Step::ToolsCall);
    findings.demand(problem.is_none(), id, step, detail);
}
