//! The file, as more arguments: then it is read by the same rules as the command line.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

use crate::Problem;

/// The largest file.
const MAX_BYTES: u64 = 1 << 20;

/// What a file adds.
pub(crate) struct Added {
    /// The settings that it makes.
    pub(crate) ids: Vec<String>,
    /// As arguments.
    pub(crate) args: Vec<OsString>,
    /// What is no setting, and known.
    pub(crate) tables: BTreeMap<&'static str, Table>,
}

/// Reads a file; what is set already stays as it is.
pub(crate) fn read(
    path: &OsStr,
    command: &Command,
    tables: &[&'static str],
    is_set: impl Fn(&str) -> bool,
) -> Result<Added, Problem> {
    let named = |problem: String| Problem::File(format!("{}: {problem}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| named(error.to_string()))?;
    if size.len() > MAX_BYTES {
        return Err(named(format!("is larger than {MAX_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(Path::new(path));
    let text = text.map_err(|error| named(error.to_string()))?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_of(&text, span.start));
        named(format!("line {line}: {}", error.message()))
    })?;
    let mut added = Added {
        ids: Vec::new(),
        args: Vec::new(),
        tables: BTreeMap::new(),
    };
    for (key, value) in table {
        if let Some(name) = tables.iter().find(|name| **name == key) {
            let Value::Table(table) = value else {
                return Err(named(format!("{key}: write tables, like [{key}.NAME]")));
            };
            added.tables.insert(name, table);
            continue;
        }
        let arg = settable(command).find(|arg| arg.get_long() == Some(&key));
        let arg = arg.ok_or_else(|| named(unknown(&key, command)))?;
        let texts = texts(arg, &value).map_err(|problem| named(format!("{key}: {problem}")))?;
        let id = arg.get_id().as_str();
        if is_set(id) {
            continue;
        }
        added.ids.push(id.to_owned());
        added.args.extend(texts.into_iter().map(|text| match text {
            Some(text) => format!("--{key}={text}").into(),
            None => format!("--{key}").into(),
        }));
    }
    Ok(added)
}

/// What is wrong with the values of a file.
pub(crate) fn problem(path: &OsStr, error: &clap::Error) -> Problem {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    Problem::File(format!("{}: {first}", path.display()))
}

/// What a file may set.
pub(crate) fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    let arguments = command.get_arguments();
    arguments.filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version" | crate::CONFIG))
}

fn unknown(key: &str, command: &Command) -> String {
    let known: Vec<&str> = settable(command).filter_map(Arg::get_long).collect();
    let key: String = key
        .chars()
        .take(40)
        .flat_map(char::escape_default)
        .collect();
    format!("`{key}` is no setting; they are {}", known.join(", "))
}

/// The values of a setting; none for a flag that stands alone.
fn texts(arg: &Arg, value: &Value) -> Result<Vec<Option<String>>, &'static str> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        let is_true = value.as_bool().ok_or("write true or false")?;
        return Ok(if is_true { vec![None] } else { Vec::new() });
    }
    match (value, arg.get_action()) {
        (Value::Array(values), ArgAction::Append) => {
            let texts: Option<Vec<String>> = values.iter().map(text).collect();
            let mut texts = texts.ok_or("write a list of texts")?;
            if texts.is_empty() {
                // No argument at all would leave the default in force.
                texts.push(String::new());
            }
            Ok(texts.into_iter().map(Some).collect())
        }
        (Value::Array(_), _) => Err("takes one value, not a list"),
        (value, _) => Ok(vec![Some(text(value).ok_or("write a text or a number")?)]),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
