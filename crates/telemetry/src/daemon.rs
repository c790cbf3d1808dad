//! What the main function of every daemon does the same way.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use crate::{logs, signal};

/// Bad configuration (sysexits.h `EX_CONFIG`).
const EX_CONFIG: u8 = 78;

/// Starts logging, or refuses to start.
///
/// # Errors
/// The exit status, once the problem has been said.
pub fn begin(name: &str, format: logs::Format) -> Result<(), ExitCode> {
    logs::init(format, "info").map_err(|problem| refuse(name, &problem))
}

/// Says why the daemon does not start: a setting that cannot be used.
#[expect(clippy::print_stderr, reason = "logs may not have started")]
pub fn refuse(name: &str, problem: &str) -> ExitCode {
    eprintln!("{name}: {problem}");
    ExitCode::from(EX_CONFIG)
}

/// The folder that systemd made for the daemon (systemd.exec(5), `StateDirectory=`).
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    let folders = std::env::var_os("STATE_DIRECTORY")?;
    let first = std::env::split_paths(&folders).next()?;
    (!first.as_os_str().is_empty()).then_some(first)
}

/// Runs the daemon until it ends or a signal ends it: 0 for an orderly end, 1 for a failure.
pub fn run<E: std::fmt::Display>(
    daemon: impl AsyncFnOnce(CancellationToken) -> Result<(), E>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ran = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            runtime.block_on(async {
                let shutdown = signal::shutdown().map_err(|error| error.to_string())?;
                // The alternate form tells the whole chain of causes.
                daemon(shutdown).await.map_err(|error| format!("{error:#}"))
            })
        });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
