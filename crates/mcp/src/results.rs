//! What the results of each step must contain.

use std::collections::BTreeSet;

use model::report::ServerInfo;
use model::{CheckId, Era, Reason, Revision, Step};
use serde_json::Value;

use crate::findings::Findings;
use crate::limits::{MAX_BODY_BYTES, MAX_CURSOR_BYTES, MAX_PAGES, MAX_TOOLS};
use crate::reply::Fault;

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Checks what every modern result must carry (2026-07-28 basic, "Result").
///
/// An absent `resultType` is a server of an older draft; an unknown one makes the result invalid.
pub(crate) fn envelope(step: Step, result: &Value, findings: &mut Findings) -> Result<(), Fault> {
    match result.get("resultType").map(Value::as_str) {
        None => findings.violate(CheckId::ResResultType, step, "resultType is missing"),
        Some(Some("complete")) => findings.pass(CheckId::ResResultType),
        Some(Some("input_required")) if step == Step::ToolsCall => {
            findings.pass(CheckId::ResResultType);
            return Err(Fault::new(
                Reason::McpInputRequired,
                CheckId::CallIsError,
                "the tool asks the user for input, which a monitor cannot give",
            ));
        }
        Some(other) => {
            let detail = format!("resultType is {}", other.unwrap_or("not a string"));
            return Err(Fault::new(
                Reason::McpSchemaViolation,
                CheckId::ResResultType,
                model::text::line(&detail, 80),
            ));
        }
    }
    Ok(())
}

/// The facts of a `server/discover` result that was judged modern.
pub(crate) struct Discovered {
    pub(crate) server: Option<ServerInfo>,
    pub(crate) announces_tools: bool,
}

/// Checks a `server/discover` result (2026-07-28 server/discover).
pub(crate) fn discover(result: &Value, findings: &mut Findings) -> Result<Discovered, Fault> {
    let step = Step::Discover;
    envelope(step, result, findings)?;
    let Some(capabilities) = result.get("capabilities").filter(|c| c.is_object()) else {
        return Err(missing(CheckId::DiscRequired, "capabilities"));
    };
    findings.pass(CheckId::DiscRequired);
    // Otherwise the result would not have been read as modern.
    findings.pass(CheckId::DiscVersionListed);
    cache_hints(step, result, None, findings);
    // Drafts before the release had serverInfo beside capabilities.
    let info = result["_meta"]
        .get(SERVER_INFO)
        .or_else(|| result.get("serverInfo"));
    let server = server_info(info);
    demand_server_info(CheckId::DiscServerInfo, step, server.as_ref(), findings);
    Ok(Discovered {
        server,
        announces_tools: capabilities.get("tools").is_some_and(Value::is_object),
    })
}

/// The facts of an `initialize` result.
pub(crate) struct Initialized {
    pub(crate) revision: Revision,
    pub(crate) server: Option<ServerInfo>,
    pub(crate) announces_tools: bool,
}

/// Checks an `initialize` result (2025-11-25 basic/lifecycle).
pub(crate) fn initialize(result: &Value, findings: &mut Findings) -> Result<Initialized, Fault> {
    let step = Step::Initialize;
    let Some(version) = result.get("protocolVersion").and_then(Value::as_str) else {
        return Err(missing(CheckId::InitRequired, "protocolVersion"));
    };
    let known = version.parse::<Revision>().ok();
    let Some(revision) = known.filter(|r| r.era() == Era::Legacy) else {
        return Err(Fault::new(
            Reason::McpVersionUnsupported,
            CheckId::InitVersion,
            format!(
                "the server answered protocolVersion {}",
                model::text::line(version, 40)
            ),
        ));
    };
    findings.pass(CheckId::InitVersion);
    let Some(capabilities) = result.get("capabilities").filter(|c| c.is_object()) else {
        return Err(missing(CheckId::InitRequired, "capabilities"));
    };
    let server = server_info(result.get("serverInfo"));
    if server.is_none() {
        return Err(missing(CheckId::InitRequired, "serverInfo"));
    }
    findings.pass(CheckId::InitRequired);
    demand_server_info(CheckId::InitServerInfo, step, server.as_ref(), findings);
    Ok(Initialized {
        revision,
        server,
        announces_tools: capabilities.get("tools").is_some_and(Value::is_object),
    })
}

/// What is known of a tool list while its pages come in.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// The names, for lookup of configured tools.
    pub(crate) names: BTreeSet<String>,
    pub(crate) count: usize,
    pages: u32,
    name_bytes: usize,
    cursors: BTreeSet<String>,
    scope: Option<String>,
}

impl Tools {
    /// Checks a page of `tools/list` and gives the cursor of the next one.
    pub(crate) fn page(
        &mut self,
        result: &Value,
        era: Era,
        findings: &mut Findings,
    ) -> Result<Option<String>, Fault> {
        let step = Step::ToolsList;
        if era == Era::Modern {
            envelope(step, result, findings)?;
            cache_hints(step, result, self.scope.as_deref(), findings);
            self.scope = result["cacheScope"].as_str().map(str::to_owned);
        }
        let Some(tools) = result.get("tools").and_then(Value::as_array) else {
            return Err(schema(
                CheckId::ListToolsArray,
                "the result has no array `tools`",
            ));
        };
        for tool in tools {
            self.tool(tool, findings)?;
        }
        findings.pass(CheckId::ListToolsArray);
        findings.pass(CheckId::ListNames);
        self.pages += 1;
        self.next_cursor(result, era, findings)
    }

    fn tool(&mut self, tool: &Value, findings: &mut Findings) -> Result<(), Fault> {
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
            findings.violate(
                CheckId::ListNames,
                Step::ToolsList,
                format!("the name `{shown}`"),
            );
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
            findings.violate(
                CheckId::ListNames,
                Step::ToolsList,
                format!("`{shown}` comes twice"),
            );
        }
        Ok(())
    }

    /// Only a missing or null `nextCursor` ends the list (server/utilities/pagination); legacy
    /// servers also send an empty one.
    fn next_cursor(
        &mut self,
        result: &Value,
        era: Era,
        findings: &mut Findings,
    ) -> Result<Option<String>, Fault> {
        let cursor = match result.get("nextCursor") {
            None | Some(Value::Null) => None,
            Some(Value::String(cursor)) if cursor.is_empty() && era == Era::Legacy => None,
            Some(Value::String(cursor)) => Some(cursor.clone()),
            Some(_) => {
                return Err(schema(
                    CheckId::ListPagination,
                    "nextCursor is not a string",
                ));
            }
        };
        if cursor
            .as_ref()
            .is_some_and(|cursor| cursor.len() > MAX_CURSOR_BYTES)
        {
            return Err(schema(
                CheckId::ListPagination,
                "nextCursor is longer than 8 KiB",
            ));
        }
        if let Some(cursor) = &cursor {
            if !self.cursors.insert(cursor.clone()) {
                return Err(endless(format!("page {} repeats a cursor", self.pages)));
            }
            if self.pages >= MAX_PAGES {
                return Err(endless(format!("more than {MAX_PAGES} pages")));
            }
        } else {
            findings.pass(CheckId::ListPagination);
        }
        Ok(cursor)
    }

    /// How the list is described to people.
    pub(crate) fn summary(&self) -> String {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let pages = if self.pages > 1 {
            format!(", {} pages", self.pages)
        } else {
            String::new()
        };
        format!("{} tool{}{pages}", self.count, plural(self.count))
    }
}

/// Checks a `tools/call` result (server/tools, "Tool Result").
pub(crate) fn call(result: &Value, era: Era, findings: &mut Findings) -> Result<(), Fault> {
    let step = Step::ToolsCall;
    if era == Era::Modern {
        envelope(step, result, findings)?;
    }
    let content = result.get("content").and_then(Value::as_array);
    let known = |block: &Value| {
        matches!(
            block["type"].as_str(),
            Some("text" | "image" | "audio" | "resource" | "resource_link")
        )
    };
    match content {
        None => findings.violate(
            CheckId::CallContent,
            step,
            "the result has no array `content`",
        ),
        Some(blocks) => findings.demand(
            blocks.iter().all(known),
            CheckId::CallContent,
            step,
            "a content block is of no known type",
        ),
    }
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
    Ok(())
}

/// Whether the server announced what it then did, or did not (server/tools, "Capabilities").
pub(crate) fn capability(announced: bool, works: bool, findings: &mut Findings) {
    let detail = if announced {
        "tools are announced, but tools/list does not work"
    } else {
        "tools/list works, but tools are not announced"
    };
    findings.demand(
        announced == works,
        CheckId::CapabilityTruth,
        Step::ToolsList,
        detail,
    );
}

fn cache_hints(step: Step, result: &Value, scope: Option<&str>, findings: &mut Findings) {
    let ttl = &result["ttlMs"];
    let now = result["cacheScope"].as_str();
    let problem = if ttl.as_u64().is_none() {
        Some("ttlMs is missing or no integer from 0 on")
    } else if !matches!(now, Some("public" | "private")) {
        Some("cacheScope is missing or neither public nor private")
    } else if scope.is_some() && scope != now {
        Some("cacheScope differs between pages")
    } else {
        None
    };
    findings.demand(
        problem.is_none(),
        CheckId::ListCacheHints,
        step,
        format!("{step}: {}", problem.unwrap_or_default()),
    );
}

fn server_info(info: Option<&Value>) -> Option<ServerInfo> {
    let info = info.filter(|info| info.is_object())?;
    let text = |key: &str| model::text::line(info[key].as_str().unwrap_or_default(), 128);
    Some(ServerInfo {
        name: text("name"),
        version: text("version"),
    })
}

fn demand_server_info(
    id: CheckId,
    step: Step,
    server: Option<&ServerInfo>,
    findings: &mut Findings,
) {
    let problem = match server {
        None => Some("serverInfo is missing"),
        Some(info) if info.name.is_empty() => Some("serverInfo.name is empty"),
        Some(info) if info.version.is_empty() => Some("serverInfo.version is empty"),
        Some(_) => None,
    };
    findings.demand(problem.is_none(), id, step, problem.unwrap_or_default());
}

fn missing(check: CheckId, member: &str) -> Fault {
    schema(check, format!("the result has no valid `{member}`"))
}

fn schema(check: CheckId, detail: impl Into<String>) -> Fault {
    Fault::new(Reason::McpSchemaViolation, check, detail)
}

fn endless(detail: String) -> Fault {
    Fault::new(Reason::McpPaginationLoop, CheckId::ListPagination, detail)
}

#[cfg(test)]
mod tests;
