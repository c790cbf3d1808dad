//! Every setting as it is in force.

use std::fmt;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// Where a setting came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    CommandLine,
    /// A variable.
    Environment,
    /// The file.
    File,
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommandLine => "command line",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As it is written after `--`, and in a file.
    pub name: String,
    /// Its values, without credentials; none where it is not set and has no default.
    pub values: Vec<String>,
    /// Where they came from.
    pub origin: Origin,
}

impl Setting {
    /// A table by the names of its entries: what stands in them may be secret.
    pub(crate) fn of_table(name: &str, table: &toml::Table) -> Self {
        Self {
            name: name.to_owned(),
            values: table.keys().cloned().collect(),
            origin: Origin::File,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = match self.origin {
            _ if !self.values.is_empty() => self.values.join(", "),
            Origin::Default => "(not set)".to_owned(),
            // Somebody set it to nothing, perhaps to turn a default off.
            Origin::CommandLine | Origin::Environment | Origin::File => "(none)".to_owned(),
        };
        write!(f, "{:<16} {values:<32} {}", self.name, self.origin)
    }
}

/// All settings of a command.
pub(crate) fn all(command: &Command, matches: &ArgMatches, from_file: &[String]) -> Vec<Setting> {
    let settings = command.get_arguments().filter_map(|arg| {
        let id = arg.get_id().as_str();
        let name = arg
            .get_long()
            .filter(|_| !matches!(id, "help" | "version"))?;
        let origin = if from_file.iter().any(|known| known == id) {
            Origin::File
        } else {
            match matches.value_source(id) {
                Some(ValueSource::CommandLine) => Origin::CommandLine,
                Some(ValueSource::EnvVariable) => Origin::Environment,
                _ => Origin::Default,
            }
        };
        let raw = matches.get_raw(id).into_iter().flatten();
        let raw = raw.filter(|value| !value.is_empty());
        Some(Setting {
            name: name.to_owned(),
            values: raw
                .map(|value| value.to_string_lossy())
                .map(|value| shown(arg, &value))
                .collect(),
            origin,
        })
    });
    settings.collect()
}

/// A value as it may be shown. Where clap is told to hide it in the help (`hide_env_values`), it is
/// a URL that may have a user and password: they stand before the last `@`.
fn shown(arg: &Arg, value: &str) -> String {
    match value.rsplit_once('@') {
        Some((secret, place)) if arg.is_hide_env_values_set() => {
            let scheme = secret.split_once("://").map_or("", |(scheme, _)| scheme);
            let colon = if scheme.is_empty() { "" } else { "://" };
            format!("{scheme}{colon}***@{place}")
        }
        Some(_) | None => value.to_owned(),
    }
}
