//! Files of monitors.
//!
//! Two shapes, told apart by their first word:
//!
//! - `monitors`: a list of specs with a `name` each, or a map from names to specs.
//! - `mcpServers`, or `servers`: what clients of MCP keep. Entries that start a program are
//!   skipped: nobody can probe them from outside.
//!
//! Texts may have placeholders: `${NAME}` is replaced by a variable, `${NAME:-default}` too where
//! it is set and not empty, and `$${` stands for `${`. A variable without a value and without a
//! default is an error. Files are text here; somebody else reads and writes.

mod entry;
mod own;
mod problem;
mod servers;
mod tree;
mod variables;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::monitor::FieldError;
use crate::{MonitorId, MonitorSpec};

pub use problem::{MAX_PROBLEMS, Position, Problem, Problems};
use variables::Variables;

/// The largest file.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// Monitors of all files that are read together.
pub const MAX_MONITORS: usize = 10_000;
/// The largest monitor, as JSON and with its variables: as large as the API takes one.
pub const MAX_MONITOR_BYTES: usize = 64 << 10;
/// How deep a file may nest: arguments of a tool are the deepest that there is.
const MAX_DEPTH: usize = 32;

crate::closed_words! {
    /// How a file is written.
    pub enum Format ("format") {
        /// TOML.
        Toml = "toml",
        /// JSON, also that of clients of MCP.
        Json = "json",
        /// YAML 1.2.
        Yaml = "yaml",
    }
}

impl Format {
    /// The format of a file, by the end of its name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "yml" => Some(Self::Yaml),
            ending => Self::from_str(ending).ok(),
        }
    }
}

/// A file that was read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// How to call it.
    pub name: &'a str,
    /// What it says.
    pub text: &'a str,
    /// How it is written.
    pub format: Format,
}

/// An entry that is no monitor, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name, as the file has it.
    pub name: String,
    /// Why it is none.
    pub why: String,
}

/// What files say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MonitorFile {
    /// Monitors, in the order of the files; each name once.
    pub monitors: Vec<(MonitorId, MonitorSpec)>,
    /// Entries that cannot be monitors.
    pub skipped: Vec<Skipped>,
}

/// An entry of a file, before it is looked at.
struct Entry {
    /// How the file calls it.
    shown: String,
    name: Option<String>,
    fields: Map<String, Value>,
}

/// What a file lists.
#[derive(Default)]
struct Listed {
    entries: Vec<Entry>,
    skipped: Vec<Skipped>,
}

/// Reads one file. `variable` gives the value of a variable.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    source: Source<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<MonitorFile, Problems> {
    parse_all(&[source], variable)
}

/// Reads files that belong together: no name is in two of them.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn parse_all(
    sources: &[Source<'_>],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<MonitorFile, Problems> {
    let mut reading = Reading {
        variables: Variables::new(variable),
        found: MonitorFile::default(),
        problems: Problems::default(),
        places: BTreeMap::new(),
        count: 0,
    };
    for source in sources {
        match listed(source, &mut reading.problems) {
            Ok(listed) => reading.take(source.name, listed),
            Err(problems) => reading.problems.extend(problems),
        }
    }
    if reading.problems.is_empty() {
        Ok(reading.found)
    } else {
        Err(reading.problems)
    }
}

/// What a file lists, by its shape.
fn listed(source: &Source<'_>, problems: &mut Problems) -> Result<Listed, Problems> {
    let bad = |detail: String| Problems::of_file(source.name, None, detail);
    if source.text.len() > MAX_FILE_BYTES {
        return Err(bad(format!("more than {MAX_FILE_BYTES} bytes; split it")));
    }
    let tree = tree::read(source.text, source.format);
    let tree = tree.map_err(|e| Problems::of_file(source.name, e.position, e.detail))?;
    let Value::Object(mut root) = tree else {
        return Err(bad(way_out("is no map")));
    };
    if let Some(list) = root.remove("monitors") {
        for name in root.keys() {
            problems.push(Problem {
                pointer: pointer_to(name),
                detail: "is unknown beside `monitors`; remove it".to_owned(),
                ..Problem::of(source.name)
            });
        }
        return own::listed(source.name, list, problems);
    }
    match root.remove("mcpServers").or_else(|| root.remove("servers")) {
        Some(servers) => servers::listed(source.name, servers, problems),
        None => Err(bad(way_out("has no monitors"))),
    }
}

fn way_out(problem: &str) -> String {
    format!("{problem}; write a list `monitors`, or give a file with `mcpServers`")
}

/// Files as they are read.
struct Reading<'a> {
    variables: Variables<'a>,
    found: MonitorFile,
    problems: Problems,
    /// Which file has a name first.
    places: BTreeMap<MonitorId, String>,
    count: usize,
}

impl Reading<'_> {
    fn take(&mut self, file: &str, listed: Listed) {
        self.found.skipped.extend(listed.skipped);
        for entry in listed.entries {
            self.count += 1;
            if self.count > MAX_MONITORS {
                let detail = format!("more than {MAX_MONITORS} monitors");
                self.problems.extend(Problems::of_file(file, None, detail));
                return;
            }
            let shown = entry.shown;
            let monitor = entry::monitor(entry.name, entry.fields, &mut self.variables);
            let (id, spec) = match monitor {
                Ok(monitor) => monitor,
                Err(errors) => {
                    self.problems.of_monitor(file, &shown, errors);
                    continue;
                }
            };
            if let Some(other) = self.places.get(&id) {
                let detail = if other == file {
                    format!("there is another {id} in this file; give it a name of its own")
                } else {
                    format!("{id} is in {other} too; each name may be in one file")
                };
                let error = FieldError::new("/name", detail);
                self.problems.of_monitor(file, &shown, vec![error]);
                continue;
            }
            self.places.insert(id.clone(), crate::text::line(file, 200));
            self.found.monitors.push((id, spec));
        }
    }
}

/// A JSON Pointer to a member (RFC 6901), safe to show.
fn pointer_to(name: &str) -> String {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    format!("/{}", crate::text::line(&escaped, 64))
}

#[cfg(test)]
mod tests;
