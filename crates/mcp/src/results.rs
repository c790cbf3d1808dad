//! What the results of each step must contain.

mod call;
mod items;
mod pages;
mod shape;
mod tools;

use model::report::ServerInfo;
use model::{CheckId, Era, Reason, Revision, Step};
use serde_json::Value;

use crate::findings::Findings;
use crate::reply::Fault;

pub(crate) use call::{Called, call};
pub(crate) use items::Items;
pub(crate) use tools::{Tools, order};

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Checks what every modern result must carry (2026-07-28 basic, "Result").
///
/// An absent `resultType` is a server of an older draft; an unknown one makes the result invalid.
pub(crate) fn envelope(step: Step, result: &Value, findings: &mut Findings) -> Result<(), Fault> {
    match result.get("resultType").map(Value::as_str) {
        None => findings.violate(CheckId::ResResultType, step, "resultType is missing"),
        Some(Some("complete")) => findings.pass(CheckId::ResResultType),
        Some(Some("task")) if step == Step::ToolsCall => {
            let detail = "the answer is a task, although the client declared no such extension";
            return Err(schema(CheckId::CallTask, detail));
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

/// What a server says that it has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Announced {
    pub(crate) tools: bool,
    pub(crate) resources: bool,
    pub(crate) prompts: bool,
}

impl Announced {
    fn of(capabilities: &Value) -> Self {
        let has = |name: &str| capabilities.get(name).is_some_and(Value::is_object);
        Self {
            tools: has("tools"),
            resources: has("resources"),
            prompts: has("prompts"),
        }
    }
}

/// The facts of a `server/discover` result that was judged modern.
pub(crate) struct Discovered {
    pub(crate) server: Option<ServerInfo>,
    pub(crate) announced: Announced,
}

/// Checks a `server/discover` result (2026-07-28 server/discover).
pub(crate) fn discover(result: &Value, findings: &mut Findings) -> Result<Discovered, Fault> {
    let step = Step::Discover;
    envelope(step, result, findings)?;
    let Some(capabilities) = result.get("capabilities").filter(|c| c.is_object()) else {
        return Err(missing(CheckId::DiscRequired, "capabilities"));
    };
    findings.pass(CheckId::DiscRequired);
    shape::discover(result, findings);
    // Otherwise the result would not have been read as modern.
    findings.pass(CheckId::DiscVersionListed);
    cache_hints(step, result, None, findings);
    let server = server_info(info_of(step, result));
    demand_server_info(CheckId::DiscServerInfo, step, server.as_ref(), findings);
    Ok(Discovered {
        server,
        announced: Announced::of(capabilities),
    })
}

/// The facts of an `initialize` result.
pub(crate) struct Initialized {
    pub(crate) revision: Revision,
    pub(crate) server: Option<ServerInfo>,
    pub(crate) announced: Announced,
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
    shape::initialize(result, findings);
    demand_server_info(CheckId::InitServerInfo, step, server.as_ref(), findings);
    Ok(Initialized {
        revision,
        server,
        announced: Announced::of(capabilities),
    })
}

/// Whether the server announced what it then did, or did not (server/tools, "Capabilities").
pub(crate) fn capability(step: Step, announced: bool, works: bool, findings: &mut Findings) {
    let method = step.method().unwrap_or_default();
    let detail = if announced {
        format!("{method} is announced, but does not work")
    } else {
        format!("{method} works, but is not announced")
    };
    findings.demand(announced == works, CheckId::CapabilityTruth, step, detail);
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

/// The `serverInfo` of a result. Drafts before 2026-07-28 had that of `server/discover` beside the
/// capabilities, as `initialize` has it.
pub(crate) fn info_of(step: Step, result: &Value) -> Option<&Value> {
    let is_greeting = matches!(step, Step::Discover | Step::Initialize);
    let beside = || result.get("serverInfo").filter(|_| is_greeting);
    result["_meta"].get(SERVER_INFO).or_else(beside)
}

pub(crate) fn server_info(info: Option<&Value>) -> Option<ServerInfo> {
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

#[cfg(test)]
mod tests;
