//! Logs go to stderr, as text or as JSON lines; data goes to stdout.

use std::io::IsTerminal as _;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// The environment variable that filters logs, in the syntax of `tracing_subscriber::EnvFilter`.
pub const FILTER_VARIABLE: &str = "PARALLAX_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("use text or json".to_owned()),
        }
    }
}

/// Starts logging at `level` unless `PARALLAX_LOG` says otherwise. A second call changes nothing.
///
/// # Errors
/// A filter that cannot be read, with the place where it goes wrong.
pub fn init(format: Format, level: &str) -> Result<(), String> {
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| {
            format!("{FILTER_VARIABLE}: {error}; write it like info or info,probe=debug")
        })?,
        Err(_) => EnvFilter::new(level),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // Nobody may read any more: that must not end the daemon in disorder.
        .log_internal_errors(false);
    // Tests start several mains in one process; the first one's logs serve them all.
    let _ = match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().try_init(),
    };
    Ok(())
}
