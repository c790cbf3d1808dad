//! `parallax-testbed`: the testbed as processes, for demos and for tests from outside.

mod commands;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use commands::{mesh, proxy, record, serve};

/// Scriptable MCP servers, a fault proxy, a session recorder, and a whole mesh on one machine.
#[derive(Debug, Parser)]
#[command(name = "parallax-testbed", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve one MCP server until a signal comes
    Serve(serve::Serve),
    /// Pass TCP through paths that break on command: `PUT /paths/NAME {"fault":"blackhole"}`
    Proxy(proxy::Proxy),
    /// Stand in front of a server, and say at the end which sessions and streams were left open
    Record(record::Record),
    /// Run MCP servers over TLS, canaries, and for each agent a name server and paths that break
    World(mesh::World),
    /// Bring up a mesh in the background: world, coordinator, eight agents, three monitors
    Up(mesh::Up),
    /// Break the mesh in six ways, and see that each verdict is right and nothing else is said
    Demo(mesh::Demo),
    /// End the mesh; what it wrote is kept
    Down(mesh::Down),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let command = Cli::parse().command;
    match begin(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut out = std::io::stderr().lock();
            // Nobody may read any more; the status says it too.
            let _ = writeln!(out, "parallax-testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn begin(command: Command) -> anyhow::Result<()> {
    let is_for_people = matches!(
        command,
        Command::Up(_) | Command::Demo(_) | Command::Down(_)
    );
    let level = if is_for_people { "warn" } else { "info" };
    telemetry::logs::init(telemetry::logs::Format::Text, level).map_err(anyhow::Error::msg)?;
    let shutdown = telemetry::signal::shutdown().context("installing signal handlers")?;
    match command {
        Command::Serve(serve) => serve.run(shutdown).await,
        Command::Proxy(proxy) => proxy.run(shutdown).await,
        Command::Record(record) => record.run(shutdown).await,
        Command::World(world) => world.run(shutdown).await,
        Command::Up(up) => up.run(shutdown).await,
        Command::Demo(demo) => demo.run(shutdown).await,
        Command::Down(down) => down.run().await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
