//! Settings of the daemons: from the command line, else the environment, else a TOML file, else
//! the default; and for each of them, where it came from.
//!
//! The file's keys are the names of the flags, so that there is one list of settings, one place
//! that says what they mean, and one message when a value is wrong. What settings mean to each other
//! must be checked after reading: one may be in the file, the other a flag.

mod effective;
mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Parser};

pub use effective::{Origin, Setting};

/// The flag that names the file.
const CONFIG: &str = "config";
/// The word that asks for the settings and starts nothing.
const CHECK: &str = "check-config";

/// What was read.
#[derive(Debug)]
pub struct Settings<C> {
    /// The settings.
    pub cli: C,
    /// Every one of them, with its origin.
    pub effective: Vec<Setting>,
    /// Tables of the file that are no settings, as far as the daemon knows of them.
    pub tables: BTreeMap<&'static str, toml::Table>,
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    /// Whether they are only to be shown and checked.
    pub only_check: bool,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The command line is wrong, or asks for help.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// The file cannot be used. Names the file, the setting, the problem and the way out.
    #[error("config: {0}")]
    File(String),
}

/// Reads the settings of a daemon.
///
/// # Errors
/// The command line or the file cannot be used.
pub fn read<C: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<Settings<C>, Problem> {
    read_with(args, &[])
}

/// Reads the settings of a daemon whose file may have these tables beside them.
///
/// # Errors
/// The command line or the file cannot be used.
pub fn read_with<C: Parser>(
    args: impl IntoIterator<Item = OsString>,
    tables: &[&'static str],
) -> Result<Settings<C>, Problem> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let only_check = args.get(1).is_some_and(|first| first == CHECK);
    if only_check {
        args.remove(1);
    }
    let command = command::<C>();
    let given = command.clone().try_get_matches_from(&args)?;
    let path = given.get_one::<OsString>(CONFIG);
    let path = path.filter(|path| !path.is_empty());
    let file = path.map(PathBuf::from);
    let mut from_file = Vec::new();
    let mut found = BTreeMap::new();
    let matches = match path {
        None => given,
        Some(path) => {
            let added = file::read(path, &command, tables, |id| is_set(&given, id))?;
            (from_file, found) = (added.ids, added.tables);
            args.extend(added.args);
            let parsed = command.clone().try_get_matches_from(&args);
            parsed.map_err(|error| file::problem(path, &error))?
        }
    };
    let mut effective = effective::all(&command, &matches, &from_file);
    effective.extend(
        found
            .iter()
            .map(|(name, table)| Setting::of_table(name, table)),
    );
    Ok(Settings {
        cli: C::from_arg_matches(&matches)?,
        effective,
        tables: found,
        file,
        only_check,
    })
}

fn command<C: Parser>() -> Command {
    let file = Arg::new(CONFIG)
        .long(CONFIG)
        .env("PARALLAX_CONFIG")
        .value_name("FILE")
        .value_parser(clap::value_parser!(OsString))
        .help("A TOML file with settings; its keys are the names of these flags");
    let command = C::command().arg(file);
    let name = command.get_name().to_owned();
    let mut command = command.after_help(format!(
        "`{name} {CHECK} …` prints every setting with its origin, and starts nothing."
    ));
    command.build();
    command
}

/// Whether the command line or the environment sets something: a variable that is set to nothing
/// does not.
fn is_set(matches: &ArgMatches, id: &str) -> bool {
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => true,
        Some(ValueSource::EnvVariable) => matches
            .get_raw(id)
            .is_some_and(|mut values| values.any(|value| !value.is_empty())),
        _ => false,
    }
}

/// Bad configuration (sysexits.h `EX_CONFIG`).
const EX_CONFIG: u8 = 78;

impl Problem {
    /// Says what is wrong, or the help that was asked for; the exit status.
    #[expect(clippy::print_stderr, reason = "logs have not started")]
    pub fn tell(&self, name: &str) -> ExitCode {
        match self {
            Self::CommandLine(error) => {
                // Nothing can be done where nothing can be written.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::File(_) => {
                eprintln!("{name}: {self}");
                ExitCode::from(EX_CONFIG)
            }
        }
    }
}

impl<C> Settings<C> {
    /// Shows every setting on stdout, and on stderr what is wrong with them; the exit status.
    #[expect(
        clippy::print_stderr,
        clippy::print_stdout,
        reason = "this is what was asked for"
    )]
    pub fn show(&self, name: &str, checked: Result<(), String>) -> ExitCode {
        for setting in &self.effective {
            println!("{setting}");
        }
        match checked {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                eprintln!("{name}: {problem}");
                ExitCode::from(EX_CONFIG)
            }
        }
    }
}
