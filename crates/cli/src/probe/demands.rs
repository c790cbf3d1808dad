//! What the user demands of the target, and what a probe does only when it is asked to.

use std::path::PathBuf;

use mcp::{Plan, ToolCall};
use model::expect::{Assertion, Expect, HealthSpec, OriginExpect, WebOrigin, WebOriginError};
use model::monitor::{CallSpec, FieldError};
use model::{Era, ListKind, Period, Profile, Revision, Step, TargetUrl};

/// The largest flow file that is read.
const MAX_FLOW_BYTES: u64 = 1 << 20;

/// Demands beyond the protocol.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Demands")]
pub(crate) struct Demands {
    /// How much to examine: `strict` also sends requests that are wrong on purpose
    #[arg(long, value_name = "PROFILE", default_value = "standard", value_parser = word::<Profile>)]
    profile: Profile,
    /// Walk this list too: resources, resource_templates or prompts. Repeatable
    #[arg(long = "list", value_name = "LIST", value_parser = word::<ListKind>)]
    lists: Vec<ListKind>,
    /// Subscribe to changes until that is acknowledged (modern era)
    #[arg(long)]
    subscribe: bool,
    /// Ask called tools for progress, and see whether it arrives as it is sent
    #[arg(long)]
    progress: bool,
    /// Listen to a silent stream for so long, up to 10m, to see whether something on the way closes it
    #[arg(long, value_name = "TIME")]
    idle_stream: Option<Period>,
    /// A JSON file with a list of calls, as a monitor has them: with `expect`, `capture`, `{{name}}`
    /// in arguments and `cleanup`
    #[arg(long, value_name = "FILE", conflicts_with = "call")]
    flow: Option<PathBuf>,
    /// What to answer where a called tool asks for input: KEY={"action":"accept","content":{}}.
    /// Repeatable
    #[arg(long, value_name = "KEY=JSON", value_parser = answer)]
    answer: Vec<(String, serde_json::Value)>,
    /// A health page to GET beside the sequence; it must answer with 2xx
    #[arg(long, value_name = "URL")]
    health: Option<TargetUrl>,
    /// The status that the health page must answer with instead of any 2xx
    #[arg(long, value_name = "STATUS", requires = "health")]
    health_status: Option<u16>,
    /// What must hold of the health page's JSON: {"path":"$.status","equals":"HEALTHY"}. Repeatable
    #[arg(long, value_name = "JSON", requires = "health", value_parser = assertion)]
    health_assert: Vec<Assertion>,
    /// A tool that must be listed. Repeatable
    #[arg(long, value_name = "TOOL")]
    expect_tool: Vec<String>,
    /// The name that the server must give itself
    #[arg(long, value_name = "NAME")]
    expect_server_name: Option<String>,
    /// The version that the server must give itself: whether the new build is live
    #[arg(long, value_name = "VERSION")]
    expect_server_version: Option<String>,
    /// The era that must be spoken
    #[arg(long, value_name = "ERA", value_parser = word::<Era>)]
    expect_era: Option<Era>,
    /// The protocol revision that must be agreed on
    #[arg(long, value_name = "REVISION", value_parser = word::<Revision>)]
    expect_protocol_version: Option<Revision>,
    /// An `Origin` whose requests must be served, like `https://app.example.com`. Repeatable
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    expect_origin_accepted: Vec<WebOrigin>,
    /// An `Origin` whose requests must be refused (DNS rebinding). Repeatable
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    expect_origin_refused: Vec<WebOrigin>,
    /// How many days every certificate must still be valid [default: 14]
    #[arg(long, value_name = "DAYS")]
    certificate_days: Option<u32>,
    /// How long the whole probe may take before it is degraded
    #[arg(long, value_name = "TIME")]
    max_total: Option<Period>,
    /// How long a step may take before the target is degraded: `tools_list=500ms`. Repeatable
    #[arg(long, value_name = "STEP=TIME", value_parser = step_time)]
    max_step: Vec<(Step, Period)>,
    /// How many bytes one answer may have before the target is degraded
    #[arg(long, value_name = "BYTES")]
    max_response_bytes: Option<u64>,
}

/// Demands that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadDemands {
    /// The flow file cannot be read.
    #[error("--flow {path}: {source}")]
    Unreadable {
        path: String,
        source: std::io::Error,
    },
    /// It is too large.
    #[error("--flow {0}: is larger than 1 MiB")]
    TooLarge(String),
    /// It is no list of calls.
    #[error("--flow {path}: {what}")]
    NoFlow { path: String, what: String },
    /// The demands contradict themselves.
    #[error("{}", shown(.0))]
    Fields(Vec<FieldError>),
}

fn shown(problems: &[FieldError]) -> String {
    let lines = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.pointer, problem.detail));
    lines.collect::<Vec<_>>().join("\n")
}

impl Demands {
    /// Adds the demands to a plan.
    pub(crate) fn add_to(&self, plan: &mut Plan) -> Result<(), BadDemands> {
        plan.profile = self.profile;
        plan.lists = self.lists.iter().copied().collect();
        plan.subscribe = self.subscribe;
        plan.idle = self.idle_stream.map(|idle| idle.duration());
        if plan.idle.is_some_and(|idle| idle > Plan::MAX_IDLE) {
            let detail = "at most 10m";
            let problem = FieldError::new("--idle-stream", detail);
            return Err(BadDemands::Fields(vec![problem]));
        }
        plan.expect = Expect {
            tools: self.expect_tool.clone(),
            server_name: self.expect_server_name.clone(),
            server_version: self.expect_server_version.clone(),
            era: self.expect_era,
            protocol_version: self.expect_protocol_version,
            origin: OriginExpect {
                accepted: self.expect_origin_accepted.clone(),
                refused: self.expect_origin_refused.clone(),
            },
            certificate_days: self.certificate_days,
            max_total: self.max_total,
            max_step: self.max_step.iter().copied().collect(),
            max_response_bytes: self.max_response_bytes,
        };
        let problems = plan.expect.problems("--expect");
        if !problems.is_empty() {
            return Err(BadDemands::Fields(problems));
        }
        if let Some(path) = &self.flow {
            plan.calls = flow(path)?.iter().map(ToolCall::from).collect();
        }
        for call in &mut plan.calls {
            call.answers.extend(self.answer.iter().cloned());
            call.progress |= self.progress;
        }
        Ok(())
    }
}

impl Demands {
    /// What to ask beside the sequence.
    pub(crate) fn health(&self) -> Result<Option<HealthSpec>, BadDemands> {
        let Some(url) = &self.health else {
            return Ok(None);
        };
        let spec = HealthSpec {
            url: url.clone(),
            status: self.health_status,
            assertions: self.health_assert.clone(),
        };
        let problems = spec.problems("--health");
        if problems.is_empty() {
            Ok(Some(spec))
        } else {
            Err(BadDemands::Fields(problems))
        }
    }
}

fn assertion(text: &str) -> Result<Assertion, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn origin(text: &str) -> Result<WebOrigin, String> {
    text.parse()
        .map_err(|error: WebOriginError| error.to_string())
}

fn flow(path: &std::path::Path) -> Result<Vec<CallSpec>, BadDemands> {
    let shown = model::text::line(&path.display().to_string(), 120);
    let unreadable = |source| BadDemands::Unreadable {
        path: shown.clone(),
        source,
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FLOW_BYTES {
        return Err(BadDemands::TooLarge(shown));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    let no_flow = |what: String| BadDemands::NoFlow {
        path: shown.clone(),
        what,
    };
    let calls: Vec<CallSpec> =
        serde_json::from_slice(&text).map_err(|error| no_flow(error.to_string()))?;
    let problems = model::monitor::call_problems(&calls);
    if problems.is_empty() {
        Ok(calls)
    } else {
        Err(no_flow(self::shown(&problems)))
    }
}

fn word<T: std::str::FromStr<Err = model::closed::UnknownWord>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: model::closed::UnknownWord| error.to_string())
}

fn answer(text: &str) -> Result<(String, serde_json::Value), String> {
    let what = "write it like confirm={\"action\":\"accept\",\"content\":{}}";
    let (key, json) = text.split_once('=').ok_or(what)?;
    let value = serde_json::from_str(json).map_err(|_| what)?;
    Ok((key.to_owned(), value))
}

fn step_time(text: &str) -> Result<(Step, Period), String> {
    let (step, time) = text
        .split_once('=')
        .ok_or("write it like tools_list=500ms")?;
    let time = time.parse::<Period>().map_err(|error| error.to_string())?;
    Ok((word(step)?, time))
}
