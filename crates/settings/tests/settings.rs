//! Which value wins, and what is said of a bad file.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use parallax_settings::{Origin, Problem, read, read_with};

#[derive(Debug, Parser)]
#[command(name = "daemon", version)]
struct Cli {
    /// A number
    #[arg(long, default_value_t = 5)]
    most: u32,
    /// Some texts
    #[arg(long, value_delimiter = ',')]
    allow: Vec<String>,
    /// Some texts that are there unless told otherwise
    #[arg(long, value_delimiter = ',', default_values = ["a", "b"])]
    peers: Vec<String>,
    /// A flag
    #[arg(long)]
    open: bool,
    /// A text
    #[arg(long, env = "PARALLAX_SETTINGS_TEST_NAME")]
    name: Option<String>,
    /// A URL that may have credentials
    #[arg(long, env = "PARALLAX_SETTINGS_TEST_VIA", hide_env_values = true)]
    via: Option<String>,
}

fn args(file: Option<&Path>, more: &[&str]) -> Vec<OsString> {
    let mut args = vec![OsString::from("daemon")];
    args.extend(more.iter().map(OsString::from));
    if let Some(file) = file {
        args.push("--config".into());
        args.push(file.into());
    }
    args
}

fn file(text: &str) -> tempfile::TempPath {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file.into_temp_path()
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_defaults() {
    let file = file("most = 7\nallow = [\"10.0.0.0/8\", \"::1/128\"]\nopen = true\n");
    let settings = read::<Cli>(args(Some(&file), &["--most", "9"])).unwrap();
    let cli = &settings.cli;
    assert_eq!((cli.most, cli.open, &cli.name), (9, true, &None));
    assert_eq!(cli.allow, ["10.0.0.0/8", "::1/128"]);
    assert!(!settings.only_check);
    let origin = |name: &str| {
        let setting = settings.effective.iter().find(|s| s.name == name);
        setting.map(|setting| (setting.origin, setting.values.join(" ")))
    };
    assert_eq!(origin("most"), Some((Origin::CommandLine, "9".into())));
    assert_eq!(origin("allow").unwrap().0, Origin::File);
    assert_eq!(origin("open"), Some((Origin::File, "true".into())));
    assert_eq!(origin("name"), Some((Origin::Default, String::new())));
    let shown: Vec<String> = settings.effective.iter().map(ToString::to_string).collect();
    assert!(shown.contains(&format!("{:<16} {:<32} default", "name", "(not set)")));
}

/// The daemon gets what was set; whoever looks at the settings does not.
#[test]
fn credentials_of_a_url_are_not_shown() {
    let table = [
        ("http://u:p@ss@via:1", "http://***@via:1"),
        ("u:p@via:1", "***@via:1"),
        ("http://via:1", "http://via:1"),
    ];
    for (text, shown) in table {
        let file = file(&format!("via = \"{text}\""));
        for (file, more) in [(Some(&*file), &[][..]), (None, &["--via", text])] {
            let settings = read::<Cli>(args(file, more)).unwrap();
            assert_eq!(settings.cli.via.as_deref(), Some(text));
            let via = settings.effective.iter().find(|s| s.name == "via").unwrap();
            assert_eq!(via.values, [shown]);
        }
    }
    let other = read::<Cli>(args(None, &["--name", "a@b"])).unwrap();
    let name = other.effective.iter().find(|s| s.name == "name").unwrap();
    assert_eq!(name.values, ["a@b"]);
}

/// A list that is empty turns the default off: as one text that is nothing, like a variable that
/// is set to nothing.
#[test]
fn an_empty_list_is_not_the_default() {
    let default = read::<Cli>(args(None, &[])).unwrap();
    assert_eq!(default.cli.peers, ["a", "b"]);
    let file = file("peers = []\nallow = []\n");
    let settings = read::<Cli>(args(Some(&file), &[])).unwrap();
    assert_eq!(
        (&settings.cli.peers[..], &settings.cli.allow[..]),
        (&[String::new()][..], &[String::new()][..])
    );
    let shown: Vec<String> = settings.effective.iter().map(ToString::to_string).collect();
    assert!(
        shown.contains(&format!("{:<16} {:<32} file", "peers", "(none)")),
        "{shown:?}"
    );
    let settings = read::<Cli>(args(Some(&file), &["--peers", "c"])).unwrap();
    assert_eq!(settings.cli.peers, ["c"]);
}

#[test]
fn without_a_file_there_are_defaults_and_the_check_is_a_word() {
    let settings = read::<Cli>(args(None, &["check-config", "--open"])).unwrap();
    assert!(settings.only_check && settings.cli.open);
    assert_eq!(settings.cli.most, 5);
}

#[test]
fn a_bad_file_names_the_setting_the_problem_and_the_way_out() {
    let table = [
        (
            "mots = 7",
            "`mots` is no setting; they are most, allow, peers, open, name, via",
        ),
        ("most = \"x\"", "invalid value 'x' for '--most <MOST>'"),
        ("most = [1, 2]", "most: takes one value, not a list"),
        ("most = true", "most: write a text or a number"),
        ("allow = [true]", "allow: write a list of texts"),
        ("open = \"yes\"", "open: write true or false"),
        ("config = \"x\"", "`config` is no setting"),
        ("a = 1\nmost = ", "line 2: "),
    ];
    for (text, message) in table {
        let file = file(text);
        let problem = read::<Cli>(args(Some(&file), &[])).map(|_| ()).unwrap_err();
        assert!(matches!(problem, Problem::File(_)), "{text}: {problem}");
        let said = problem.to_string();
        assert!(
            said.starts_with("config: /") && said.contains(message),
            "{said}"
        );
    }
    let nowhere = read::<Cli>(args(Some(Path::new("/no/such")), &[])).map(|_| ());
    let said = nowhere.unwrap_err().to_string();
    assert!(said.contains("/no/such: No such file"), "{said}");
    let usage = read::<Cli>(args(None, &["--mots"]))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(usage, Problem::CommandLine(_)), "{usage}");
}

/// What is no setting comes as it is, and of its values nothing is shown.
#[test]
fn a_table_that_the_daemon_knows_is_handed_on() {
    let file = file("most = 7\n[modules.docs]\nera = \"modern\"\nkey = \"s3cret\"\n");
    let settings = read_with::<Cli>(args(Some(&file), &[]), &["modules"]).unwrap();
    assert_eq!(settings.cli.most, 7);
    let docs = &settings.tables["modules"]["docs"];
    assert_eq!(docs["era"].as_str(), Some("modern"));
    let shown: Vec<String> = settings.effective.iter().map(ToString::to_string).collect();
    assert!(
        shown.contains(&format!("{:<16} {:<32} file", "modules", "docs")),
        "{shown:?}"
    );
    assert!(!shown.join("\n").contains("s3cret"));
    let problem = read::<Cli>(args(Some(&file), &[])).map(|_| ()).unwrap_err();
    assert!(
        problem.to_string().contains("`modules` is no setting"),
        "{problem}"
    );
    let flat = self::file("modules = 3\n");
    let problem = read_with::<Cli>(args(Some(&flat), &[]), &["modules"]).map(|_| ());
    let problem = problem.unwrap_err().to_string();
    assert!(
        problem.contains("modules: write tables, like [modules.NAME]"),
        "{problem}"
    );
}
