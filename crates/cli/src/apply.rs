//! `parallax apply`: what files say is what the mesh watches. All files are read before anything is
//! sent, and what is the same already stays as it is.

mod files;
mod load;

use clap::Args;
use http::Method;
use model::file::{Format, MonitorFile, Problems};
use model::{MonitorId, MonitorSpec};
use serde_json::{Value, json};

use crate::api::{self, Options};
use crate::members::text;
use crate::{exit, style};

/// Files of monitors, and where they go.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// A file of monitors: .toml, .json or .yaml, or an `mcpServers` file of a client; `-` is
    /// stdin. May be given again
    #[arg(
        short,
        long = "file",
        value_name = "FILE",
        required = true,
        num_args = 1..
    )]
    files: Vec<String>,
    /// How the files are written: toml, json or yaml; by default the end of each name says it
    #[arg(long)]
    format: Option<Format>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// `text`, or `json`
    #[arg(long, default_value = "text")]
    output: Output,
    #[command(flatten)]
    api: Options,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Why not everything was applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The files are wrong: nothing was applied.
    #[error("nothing was applied, because of the files:\n{0}")]
    Files(Problems),
    /// The command line does not say how to read them.
    #[error("{0}")]
    Usage(String),
    /// The API did not take one; those before it were applied.
    #[error("monitor {monitor}: {error}; {done} of {all} were done before it")]
    Monitor {
        /// Which one.
        monitor: MonitorId,
        /// Why.
        error: api::Error,
        /// How many came before.
        done: usize,
        /// Of how many.
        all: usize,
    },
    /// The answer cannot be written.
    #[error("stdout: {0}")]
    Stdout(#[from] std::io::Error),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Files(_) => exit::CONFIG,
            Self::Usage(_) => exit::USAGE,
            Self::Monitor { error, .. } => error.exit_code(),
            Self::Stdout(_) => exit::INTERNAL,
        }
    }
}

/// What was done, or would be.
#[derive(Debug, Default)]
struct Done {
    /// In the order of the files.
    monitors: Vec<One>,
}

/// What became of one monitor.
#[derive(Debug)]
struct One {
    id: MonitorId,
    word: &'static str,
    /// What it costs its target, as the API says it; null where that does not.
    load: Value,
}

const CREATED: &str = "created";
const CHANGED: &str = "changed";
const UNCHANGED: &str = "unchanged";

/// Applies files.
pub(crate) async fn apply(args: ApplyArgs) -> Result<(), Error> {
    let file = files::read(&args.files, args.format)?;
    let mut done = Done::default();
    let all = file.monitors.len();
    let mut failed = None;
    for (id, spec) in &file.monitors {
        match one(&args, id, spec).await {
            Ok(one) => {
                if args.output == Output::Text {
                    say(&one)?;
                }
                done.monitors.push(one);
            }
            Err(error) => {
                failed = Some(Error::Monitor {
                    monitor: id.clone(),
                    error,
                    done: done.monitors.len(),
                    all,
                });
                break;
            }
        }
    }
    match args.output {
        Output::Text => tell(&args, &file, &done)?,
        Output::Json => style::print(&as_json(&args, &file, &done))?,
    }
    failed.map_or(Ok(()), Err)
}

/// What became of a monitor, and what it will cost where that is new. That it is thinned is a
/// warning, for stderr.
fn say(one: &One) -> std::io::Result<()> {
    let One { id, word, load } = one;
    let load = (*word != UNCHANGED).then_some(load);
    let costs = load.and_then(load::told).map(|told| format!("  {told}"));
    style::print(&format!("{word:<9}  {id}{}\n", costs.unwrap_or_default()))?;
    if let Some(thinned) = load.and_then(load::thinned) {
        style::eprint(&format!("warning: {id}: {thinned}\n"));
    }
    Ok(())
}

/// Registers one monitor, or asks what that would do.
async fn one(args: &ApplyArgs, id: &MonitorId, spec: &MonitorSpec) -> Result<One, api::Error> {
    let body = spec.written();
    let path = format!("/api/v1/monitors/{id}");
    let one = |word, said: &Value| One {
        id: id.clone(),
        word,
        load: said["load"].clone(),
    };
    if args.dry_run {
        let path = format!("{path}?dry_run=true");
        let would = args.api.call(Method::PUT, &path, Some(&body)).await?;
        let known = [CREATED, CHANGED, UNCHANGED].into_iter();
        let word = known.into_iter().find(|word| would["dry_run"] == *word);
        let word = word.ok_or(api::Error::Answer("dry_run"))?;
        return Ok(one(word, &would));
    }
    let before = match args.api.call(Method::GET, &path, None).await {
        Ok(known) => Some(generation(&known)?),
        Err(api::Error::Refused { status, .. }) if status == http::StatusCode::NOT_FOUND => None,
        Err(error) => return Err(error),
    };
    let said = args.api.call(Method::PUT, &path, Some(&body)).await?;
    let now = generation(&said)?;
    let word = match before {
        None => CREATED,
        Some(before) if before == now => UNCHANGED,
        Some(_) => CHANGED,
    };
    Ok(one(word, &said))
}

fn generation(monitor: &Value) -> Result<u64, api::Error> {
    let generation = monitor["generation"].as_u64();
    generation.ok_or(api::Error::Answer("generation"))
}

/// What is no monitor, and the sum. The sum is words, for stderr; so are reasons.
fn tell(args: &ApplyArgs, file: &MonitorFile, done: &Done) -> std::io::Result<()> {
    for skipped in &file.skipped {
        let name = text(&json!(skipped.name));
        style::print(&format!("{:<9}  {name}: {}\n", "skipped", skipped.why))?;
    }
    let count = |word| done.count(word);
    let (created, changed, unchanged) = (count(CREATED), count(CHANGED), count(UNCHANGED));
    let skipped = file.skipped.len();
    let would = if args.dry_run { "would be: " } else { "" };
    style::eprint(&format!(
        "{would}{created} created, {changed} changed, {unchanged} unchanged, {skipped} skipped\n"
    ));
    Ok(())
}

impl Done {
    fn count(&self, word: &str) -> usize {
        self.monitors.iter().filter(|one| one.word == word).count()
    }
}

fn as_json(args: &ApplyArgs, file: &MonitorFile, done: &Done) -> String {
    let monitors = done.monitors.iter();
    let monitors = monitors.map(|one| {
        let mut said = json!({ "id": one.id, "result": one.word });
        if !one.load.is_null() {
            said["load"] = one.load.clone();
        }
        said
    });
    let skipped = file.skipped.iter();
    let skipped = skipped.map(|s| json!({ "name": s.name, "why": s.why }));
    let said = json!({
        "dry_run": args.dry_run,
        "monitors": monitors.collect::<Vec<_>>(),
        "skipped": skipped.collect::<Vec<_>>(),
        "created": done.count(CREATED),
        "changed": done.count(CHANGED),
        "unchanged": done.count(UNCHANGED),
    });
    let text = serde_json::to_string_pretty(&said).unwrap_or_default();
    format!("{text}\n")
}
