//! The `parallax` command.
//!
//! Data goes to stdout, words go to stderr, and the exit status is one of [`exit`]'s, which never
//! change.

mod api;
mod apply;
mod auth;
mod checks;
mod contract;
mod doctor;
mod exit;
mod human;
mod members;
mod output;
mod probe;
#[cfg(test)]
mod sample;
mod status;
mod style;
mod token_file;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watches MCP servers from outside.
#[derive(Debug, Parser)]
#[command(
    name = "parallax",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
struct Cli {
    /// Log more: -v for debug, -vv for trace. `PARALLAX_LOG` filters by module
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Probe an MCP endpoint, once or until it is healthy, by the agents' own code path
    Probe(Box<probe::Args>),
    /// Tokens of users, for servers that know no machines
    Auth(auth::AuthArgs),
    /// Watch what files say: monitors in TOML, JSON or YAML, or the `mcpServers` of a client
    Apply(apply::ApplyArgs),
    /// What the mesh says of all monitors, or of one
    Status(status::StatusArgs),
    /// The tools that a server has, as the mesh sees them: show, compare, approve, export
    Contract(contract::ContractArgs),
    /// Tokens that new agents join the mesh with
    Token(members::TokenArgs),
    /// List the agents, or turn one out
    Agents(members::AgentsArgs),
    /// Keys of the coordinator's API
    Key(members::KeyArgs),
    /// List every check of a probe: severity, profile, demand and source
    Checks(checks::ChecksArgs),
    /// Whether this host can probe: clock, DNS, IPv6, egress, TLS roots, disk, coordinator
    Doctor(doctor::DoctorArgs),
    /// Print the JSON Schema of `probe --output json`
    Schema {
        /// Of `probe --regions … --output json`
        #[arg(long)]
        regions: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match cli.verbose {
        0 => "warn",
        1 => "debug",
        _ => "trace",
    };
    if let Err(problem) = telemetry::logs::init(telemetry::logs::Format::Text, level) {
        return fail(exit::CONFIG, &problem);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(exit::INTERNAL, &format!("cannot start: {error}")),
    };
    match cli.command {
        Command::Probe(args) => match runtime.block_on(probe::run(*args)) {
            Ok(code) => ExitCode::from(code),
            Err(error) => fail(error.exit_code(), &error.to_string()),
        },
        Command::Auth(args) => match runtime.block_on(auth::run(args)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error.exit_code(), &error.to_string()),
        },
        Command::Apply(args) => match runtime.block_on(apply::apply(args)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error.exit_code(), &error.to_string()),
        },
        Command::Status(args) => done(runtime.block_on(status::status(args))),
        Command::Contract(args) => match runtime.block_on(contract::run(args)) {
            Ok(code) => ExitCode::from(code),
            Err(error) => fail(error.exit_code(), &error.to_string()),
        },
        Command::Token(args) => done(runtime.block_on(members::token(args))),
        Command::Agents(args) => done(runtime.block_on(members::agents(args))),
        Command::Key(args) => done(runtime.block_on(members::key(args))),
        Command::Checks(args) => printed(&checks::list(&args)),
        Command::Doctor(args) => match runtime.block_on(doctor::doctor(args)) {
            Ok(code) => ExitCode::from(code),
            Err(error) => fail(exit::INTERNAL, &format!("stdout: {error}")),
        },
        Command::Schema { regions } => {
            let schema = if regions {
                schemars::schema_for!(output::regional::Regional)
            } else {
                schemars::schema_for!(output::Document)
            };
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            printed(&format!("{text}\n"))
        }
    }
}

fn printed(text: &str) -> ExitCode {
    match style::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(exit::INTERNAL, &format!("stdout: {error}")),
    }
}

fn done(result: Result<(), api::Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), &error.to_string()),
    }
}

fn fail(code: u8, problem: &str) -> ExitCode {
    style::eprint(&format!("parallax: {problem}\n"));
    ExitCode::from(code)
}
