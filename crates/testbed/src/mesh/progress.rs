//! What `up`, `down` and `demo` tell, on stdout. A reader that went away ends nothing.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

/// Between two changes of the line that is written over.
const PACE: Duration = Duration::from_secs(1);

/// Writes one line.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Writes that one thing is done.
pub(crate) fn done(name: &str, text: &str) {
    line(&format!(" ✔ {name:<12} {text}"));
}

/// Seconds, for people.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A line about something that is waited for: written over on a terminal, and elsewhere written
/// only when something else is to be said.
#[derive(Debug)]
pub(crate) struct Waiting {
    is_terminal: bool,
    since: Instant,
    written: Option<(Instant, String)>,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: std::io::stdout().is_terminal(),
            since: Instant::now(),
            written: None,
        }
    }

    /// Since when it is waited.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Says what is seen now.
    pub(crate) fn tell(&mut self, text: &str) {
        let now = Instant::now();
        let is_due = match &self.written {
            None => true,
            Some((at, _)) if self.is_terminal => now.duration_since(*at) >= PACE,
            Some((_, last)) => last != text,
        };
        if !is_due {
            return;
        }
        let shown = format!("     {:>7}  {text}", seconds(self.elapsed()));
        let mut out = std::io::stdout().lock();
        let _ = if self.is_terminal {
            // Back to the begin, and what was there is cleared (ECMA-48 EL).
            write!(out, "\r\x1b[2K{shown}")
        } else {
            writeln!(out, "{shown}")
        };
        let _ = out.flush();
        self.written = Some((now, text.to_owned()));
    }

    /// Takes the line away, for what comes after.
    pub(crate) fn clear(&mut self) {
        if self.is_terminal && self.written.take().is_some() {
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "\r\x1b[2K");
            let _ = out.flush();
        }
    }
}
