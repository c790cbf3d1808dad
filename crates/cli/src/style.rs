//! What the terminal can show.

use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// On a terminal that can, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to draw: colours or none, block characters or ASCII, and how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Canvas {
    pub(crate) color: bool,
    pub(crate) unicode: bool,
    pub(crate) width: usize,
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warn,
    Dim,
    Bold,
}

impl Canvas {
    /// The canvas that stdout is.
    pub(crate) fn of_stdout(when: When) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let value = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let set = |name: &str| value(name).is_some();
        let forced = value("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let color = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => forced || (is_terminal && !dumb && !set("NO_COLOR")),
        };
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self {
            color,
            unicode: !dumb && locale_is_utf8(),
            width: width.filter(|_| is_terminal).unwrap_or(80).clamp(40, 120),
        }
    }

    /// `text` in a tone, where the canvas has colours.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Bold => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    /// One of two texts: with block characters and arrows, or plain ASCII.
    pub(crate) const fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }
}

/// The first of the three variables that is set decides (POSIX locale rules).
fn locale_is_utf8() -> bool {
    let chosen = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    chosen.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

/// Writes to stdout. A reader that went away, such as `head`, is no error.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes to stderr.
pub(crate) fn eprint(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
