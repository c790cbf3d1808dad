//! `parallax contract`: the tools of a server as the mesh sees them, held against what is pinned.

mod shown;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use contract::{Damaged, Lock};
use http::Method;
use model::contract::Drift;
use serde_json::{Value, json};

use crate::api::{self, Options};
use crate::members::text;
use crate::style::{Canvas, When};
use crate::{exit, human, probe, style};

/// The tools of a server.
#[derive(Debug, Args)]
pub(crate) struct ContractArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What is pinned, who sees what, and what was approved
    Show(Of),
    /// What has changed since the pin; exit status 1 where something has
    Diff(Of),
    /// Pin a surface that was seen
    Approve(Approve),
    /// Write a surface as a lock file, which `probe --baseline` reads
    Export(Export),
}

/// Which monitor.
#[derive(Debug, Args)]
struct Of {
    monitor: String,
    /// `text`, or `json` as the API gives it
    #[arg(long, default_value = "text")]
    output: Output,
    #[command(flatten)]
    api: Options,
}

#[derive(Debug, Args)]
struct Approve {
    #[command(flatten)]
    of: Of,
    /// Which surface; where only one drifts, that one
    fingerprint: Option<String>,
    /// For whoever reads the history
    #[arg(long)]
    comment: Option<String>,
}

#[derive(Debug, Args)]
struct Export {
    monitor: String,
    /// Which surface; the pin where absent
    #[arg(long)]
    fingerprint: Option<String>,
    /// The file, written whole or not at all; stdout where absent
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    api: Options,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// It is not said which surface is meant.
    #[error("{0}; name one: `parallax contract show {1}` lists them")]
    Which(&'static str, String),
    /// Nothing was seen yet.
    #[error("nothing is pinned yet: no agent has seen the tools of {0}")]
    Nothing(String),
    /// What the API gives is no lock file.
    #[error("--api: the answer {0}; is this the coordinator's API?")]
    Damaged(#[from] Damaged),
    /// The file cannot be written.
    #[error("--file {0}: {1}; name a file in a folder that can be written")]
    Unwritten(String, std::io::Error),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        api::Error::from(error).into()
    }
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Api(error) => error.exit_code(),
            Self::Which(..) => exit::USAGE,
            Self::Nothing(_) | Self::Damaged(_) => exit::UNHEALTHY,
            Self::Unwritten(..) => exit::CONFIG,
        }
    }
}

/// Does what was asked; the exit status.
pub(crate) async fn run(args: ContractArgs) -> Result<u8, Error> {
    match args.command {
        Command::Show(of) => show(&of).await,
        Command::Diff(of) => diff(&of).await,
        Command::Approve(approve) => self::approve(&approve).await,
        Command::Export(export) => self::export(&export).await,
    }
}

/// The path of a monitor's contract, or of something below it.
fn path(monitor: &str, below: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(monitor.as_bytes()).collect();
    format!("/api/v1/monitors/{name}/contract{below}")
}

async fn fetch(api: &Options, monitor: &str) -> Result<Value, Error> {
    Ok(api.call(Method::GET, &path(monitor, ""), None).await?)
}

fn json(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("{text}\n")
}

async fn show(of: &Of) -> Result<u8, Error> {
    let contract = fetch(&of.api, &of.monitor).await?;
    style::print(&match of.output {
        Output::Text => shown::contract(&contract),
        Output::Json => json(&contract),
    })?;
    Ok(exit::HEALTHY)
}

async fn diff(of: &Of) -> Result<u8, Error> {
    let contract = fetch(&of.api, &of.monitor).await?;
    let seen = contract["seen"].as_array();
    let drifting: Vec<&Value> = seen
        .into_iter()
        .flatten()
        .filter(|group| group["pinned"] != true)
        .collect();
    if of.output == Output::Json {
        style::print(&json(&json!({
            "monitor": contract["monitor"], "pin": contract["pin"], "drift": contract["drift"],
            "seen": drifting,
        })))?;
    } else if drifting.is_empty() {
        style::print(&format!("{}: no drift\n", text(&contract["monitor"])))?;
    }
    for group in drifting.iter().filter(|_| of.output == Output::Text) {
        let regions = shown::list(&group["regions"]);
        let fingerprint = text(&group["fingerprint"]);
        let canvas = Canvas::of_stdout(When::Auto);
        let mut said = format!("{fingerprint} in {regions}\n");
        match serde_json::from_value::<Drift>(group["changes"].clone()) {
            Ok(drift) => said.push_str(&human::changes(&drift, canvas)),
            Err(_) => said.push_str(" cannot be compared: one of the surfaces is not held\n"),
        }
        style::print(&said)?;
    }
    Ok(if contract["drift"].is_null() {
        exit::HEALTHY
    } else {
        exit::UNHEALTHY
    })
}

async fn approve(args: &Approve) -> Result<u8, Error> {
    let Of {
        monitor,
        output,
        api,
    } = &args.of;
    let fingerprint = match &args.fingerprint {
        Some(fingerprint) => fingerprint.clone(),
        None => only_drifting(&fetch(api, monitor).await?, monitor)?,
    };
    let body = json!({ "fingerprint": fingerprint, "comment": args.comment });
    let path = path(monitor, "/approve");
    let contract = api.call(Method::POST, &path, Some(&body)).await?;
    style::print(&match output {
        Output::Text => shown::contract(&contract),
        Output::Json => json(&contract),
    })?;
    Ok(exit::HEALTHY)
}

/// The one surface that drifts.
fn only_drifting(contract: &Value, monitor: &str) -> Result<String, Error> {
    let seen = contract["seen"].as_array().into_iter().flatten();
    let drifting = seen.filter(|group| group["pinned"] != true);
    let drifting: Vec<&str> = drifting
        .filter_map(|group| group["fingerprint"].as_str())
        .collect();
    match drifting[..] {
        [one] => Ok(one.to_owned()),
        [] => Err(Error::Which("nothing drifts", monitor.to_owned())),
        _ => Err(Error::Which(
            "more than one surface drifts",
            monitor.to_owned(),
        )),
    }
}

async fn export(args: &Export) -> Result<u8, Error> {
    let fingerprint = match &args.fingerprint {
        Some(fingerprint) => fingerprint.clone(),
        None => {
            let contract = fetch(&args.api, &args.monitor).await?;
            let pin = contract["pin"]["fingerprint"].as_str();
            let nothing = || Error::Nothing(model::text::line(&args.monitor, 64));
            pin.ok_or_else(nothing)?.to_owned()
        }
    };
    let name: String = url::form_urlencoded::byte_serialize(fingerprint.as_bytes()).collect();
    let path = path(&args.monitor, &format!("/surfaces/{name}"));
    let lock = args.api.call(Method::GET, &path, None).await?;
    // Read and written anew: what is exported is a lock file, whatever answers.
    let lock = Lock::read(&lock.to_string())?.write()?;
    match &args.file {
        None => style::print(&lock)?,
        Some(file) => {
            let shown = model::text::line(&file.to_string_lossy(), 200);
            probe::replace(file, &lock).map_err(|error| Error::Unwritten(shown, error))?;
        }
    }
    Ok(exit::HEALTHY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approved_without_a_name_is_only_what_cannot_be_mistaken() {
        let group =
            |fingerprint: &str, pinned| json!({ "fingerprint": fingerprint, "pinned": pinned });
        let contract = |groups: &[Value]| json!({ "seen": groups });
        let (a, b, c) = (group("a", true), group("b", false), group("c", false));
        let only = |groups: &[Value]| only_drifting(&contract(groups), "docs");
        assert_eq!(only(&[a.clone(), b.clone()]).unwrap(), "b");
        assert!(
            only(&[a])
                .unwrap_err()
                .to_string()
                .starts_with("nothing drifts; name one")
        );
        assert_eq!(only(&[b, c]).unwrap_err().exit_code(), exit::USAGE);
    }

    #[test]
    fn names_are_safe_in_paths() {
        assert_eq!(
            path("a/../b", "/x"),
            "/api/v1/monitors/a%2F..%2Fb/contract/x"
        );
    }
}
