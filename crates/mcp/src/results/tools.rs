//! The list of tools.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use model::{CheckId, Era, Reason, Step, json_schema};
use serde_json::Value;

use super::pages::Pages;
use super::{schema, shape};
use crate::findings::Findings;
use crate::limits::{MAX_BODY_BYTES, MAX_TOOLS};
use crate::param::{self, Mirror};
use crate::reply::Fault;

/// What is known of a tool list while its pages come in.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// The tools that will be called.
    wanted: BTreeSet<String>,
    /// The names, for lookup of configured tools.
    pub(crate) names: BTreeSet<String>,
    pub(crate) count: usize,
    definitions: BTreeMap<String, Definition>,
    name_bytes: usize,
    /// The order of the first page, as [`order`] has it.
    pub(crate) first_page: Option<u64>,
    pages: Pages,
}

/// What a call needs to know of its tool.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Which arguments travel in headers too; or why a client must drop the tool.
    pub(crate) mirror: Result<Mirror, String>,
    pub(crate) output_schema: Option<Value>,
}

/// The order of a page's tools, as a number to compare: two orders that differ have the same one in
/// 2⁶⁴.
pub(crate) fn order(result: &Value) -> Option<u64> {
    let tools = result.get("tools")?.as_array()?;
    let mut hasher = DefaultHasher::new();
    for tool in tools {
        tool.get("name").and_then(Value::as_str).hash(&mut hasher);
    }
    Some(hasher.finish())
}

impl Tools {
    /// A list of which these tools will be called.
    pub(crate) fn new(wanted: impl IntoIterator<Item = String>) -> Self {
        Self {
            wanted: wanted.into_iter().collect(),
            ..Self::default()
        }
    }

    /// What the list says of a tool that will be called.
    pub(crate) fn definition(&self, name: &str) -> Option<&Definition> {
        self.definitions.get(name)
    }

    /// Checks a page of `tools/list` and gives the cursor of the next one.
    pub(crate) fn page(
        &mut self,
        result: &Value,
        era: Era,
        findings: &mut Findings,
    ) -> Result<Option<String>, Fault> {
        let step = Step::ToolsList;
        self.pages.begin(step, result, era, findings)?;
        let Some(tools) = result.get("tools").and_then(Value::as_array) else {
            return Err(schema(
                CheckId::ListToolsArray,
                "the result has no array `tools`",
            ));
        };
        for tool in tools {
            self.tool(tool, era, findings)?;
        }
        self.first_page = self.first_page.or_else(|| order(result));
        findings.pass(CheckId::ListToolsArray);
        findings.pass(CheckId::ListNames);
        self.pages.next(result, era, findings)
    }

    fn tool(&mut self, tool: &Value, era: Era, findings: &mut Findings) -> Result<(), Fault> {
        let step = Step::ToolsList;
        let Some(name) = tool.get("name").and_then(Value::as_str) else {
            return Err(schema(CheckId::ListToolsArray, "a tool has no name"));
        };
        let shown = model::text::line(name, 64);
        if tool["inputSchema"]["type"] != "object" {
            let detail = format!("the inputSchema of tool {shown} is not of type object");
            return Err(schema(CheckId::ListToolsArray, detail));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 128 || !name.chars().all(legal) {
            findings.violate(CheckId::ListNames, step, format!("the name `{shown}`"));
        }
        self.count += 1;
        self.name_bytes += name.len();
        if self.count > MAX_TOOLS || self.name_bytes > MAX_BODY_BYTES {
            return Err(Fault {
                reason: Reason::HttpBodyTooLarge,
                detail: format!("the list has more than {MAX_TOOLS} tools"),
                check: None,
            });
        }
        if !self.names.insert(name.to_owned()) {
            findings.violate(CheckId::ListNames, step, format!("`{shown}` comes twice"));
        }
        shape::tool(tool, &shown, findings);
        schemas(tool, &shown, findings);
        self.define(name, tool, era, findings);
        Ok(())
    }

    /// Keeps what a call will need. Annotations for headers exist in the modern era only.
    fn define(&mut self, name: &str, tool: &Value, era: Era, findings: &mut Findings) {
        let mirror = match era {
            Era::Modern => param::mirror(&tool["inputSchema"]),
            Era::Legacy => Ok(Mirror::default()),
        };
        if era == Era::Modern {
            let shown = model::text::line(name, 64);
            let why = mirror.as_ref().err().map_or("", String::as_str);
            let (id, detail) = (CheckId::ListXMcpHeader, format!("tool {shown}: {why}"));
            findings.demand(mirror.is_ok(), id, Step::ToolsList, detail);
        }
        if self.wanted.contains(name) {
            let definition = Definition {
                mirror,
                output_schema: tool
                    .get("outputSchema")
                    .filter(|schema| !schema.is_null())
                    .cloned(),
            };
            self.definitions.insert(name.to_owned(), definition);
        }
    }

    /// How the list is described to people.
    pub(crate) fn summary(&self) -> String {
        let plural = if self.count == 1 { "" } else { "s" };
        format!("{} tool{plural}{}", self.count, self.pages.summary())
    }
}

fn schemas(tool: &Value, shown: &str, findings: &mut Findings) {
    for member in ["inputSchema", "outputSchema"] {
        let Some(schema) = tool.get(member) else {
            continue;
        };
        let problem = json_schema::problem(schema);
        let what = problem.as_deref().unwrap_or_default();
        let detail = format!("the {member} of tool {shown} {what}");
        let id = CheckId::ListSchemaValid;
        findings.demand(problem.is_none(), id, Step::ToolsList, detail);
    }
}
