//! What happens meanwhile, on stderr: one line that is rewritten on a terminal, else a line for each
//! change of the result. Nothing that the server wrote is in it.

use std::io::IsTerminal as _;

use crate::style;

/// Columns of the line: a wrapped one could not be rewritten.
const MAX_COLUMNS: usize = 78;

/// Says what happens.
#[derive(Debug)]
pub(crate) struct Progress {
    manner: Manner,
    said: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Silent,
    /// A line for each change.
    Lines,
    /// One line, again and again.
    Live,
}

impl Progress {
    /// For the stderr that there is.
    pub(crate) fn of_stderr(quiet: bool) -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let manner = match (quiet, std::io::stderr().is_terminal() && !dumb) {
            (true, _) => Manner::Silent,
            (false, true) => Manner::Live,
            (false, false) => Manner::Lines,
        };
        Self { manner, said: None }
    }

    /// `result` is what it is, `more` how far it has come: only the former is worth a line.
    pub(crate) fn say(&mut self, result: &str, more: &str) {
        if let Some(text) = self.text(result, more) {
            style::eprint(&text);
        }
    }

    fn text(&mut self, result: &str, more: &str) -> Option<String> {
        let is_new = self.said.as_deref() != Some(result);
        self.said = Some(result.to_owned());
        let line = format!("{result} ({more})");
        match self.manner {
            Manner::Silent => None,
            Manner::Lines => is_new.then(|| format!("parallax: {line}\n")),
            Manner::Live => {
                let line: String = line.chars().take(MAX_COLUMNS).collect();
                Some(format!("\r\x1b[K{line}"))
            }
        }
    }

    /// Whether only a terminal shows how far it has come.
    pub(crate) fn is_live(&self) -> bool {
        self.manner == Manner::Live
    }

    /// Makes room for the report.
    pub(crate) fn clear(&mut self) {
        if self.manner == Manner::Live && self.said.take().is_some() {
            style::eprint("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(manner: Manner) -> Vec<Option<String>> {
        let mut progress = Progress { manner, said: None };
        let mut say = |result, more| progress.text(result, more);
        vec![
            say("failed", "probe 1"),
            say("failed", "probe 2"),
            say("ok", "probe 3"),
        ]
    }

    #[test]
    fn a_terminal_sees_every_probe_and_a_log_every_change() {
        let line = |text: &str| Some(text.to_owned());
        assert_eq!(
            said(Manner::Lines),
            [
                line("parallax: failed (probe 1)\n"),
                None,
                line("parallax: ok (probe 3)\n")
            ]
        );
        assert_eq!(said(Manner::Live)[1], line("\r\x1b[Kfailed (probe 2)"));
        assert_eq!(said(Manner::Silent), [None, None, None]);
    }
}
