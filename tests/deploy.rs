//! What installs Parallax: the example files are read by the real binaries, the units by systemd.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::process::binary;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(path)
}

/// `check-config` of a daemon with its example file, as its unit starts it.
fn check_config(daemon: &str, variables: &[(&str, &str)], more: &[&str]) -> Output {
    let state = tempfile::tempdir().unwrap();
    let example = format!(
        "examples/{}.toml",
        daemon.strip_prefix("parallax-").unwrap()
    );
    let mut command = Command::new(binary(daemon));
    command
        .arg("check-config")
        .arg("--config")
        .arg(deploy(&example));
    command.args(more).env_clear();
    command.env("STATE_DIRECTORY", state.path());
    command.envs(variables.iter().copied());
    command.output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_example_files_are_settings_of_the_daemons() {
    let output = check_config("parallax-agent", &[("PARALLAX_MAX_PROBES", "64")], &[]);
    let (settings, problem) = said(&output);
    assert!(output.status.success(), "{settings}{problem}");
    let line = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        words.join(" ")
    };
    assert_eq!(line(&settings, "max-probes"), "64 environment");
    assert_eq!(line(&settings, "log-format"), "json file");
    assert_eq!(line(&settings, "allow"), "(not set) default");

    let key = [("PARALLAX_HTTP_TLS_KEY", "/run/credentials/tls.key")];
    let output = check_config("parallax-coordinator", &key, &["--retention-hours", "24"]);
    let (settings, problem) = said(&output);
    assert!(output.status.success(), "{settings}{problem}");
    assert_eq!(line(&settings, "endpoint"), "mesh.example.com:7443 file");
    assert_eq!(line(&settings, "retention-hours"), "24 command line");
    assert_eq!(
        line(&settings, "http-tls-key"),
        "/run/credentials/tls.key environment"
    );

    // A certificate without its key.
    let output = check_config("parallax-coordinator", &[], &[]);
    let (_, problem) = said(&output);
    assert_eq!(output.status.code(), Some(78), "{problem}");
    assert!(problem.contains("http-tls-key: is not set"), "{problem}");
}

/// The units are whole, name existing settings, and leave a daemon no more than it needs.
#[test]
fn the_units_are_hardened() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        let required = std::env::var("PARALLAX_REQUIRE_REAL").is_ok_and(|value| value == "1");
        assert!(!required, "systemd-analyze is required; install systemd");
        eprintln!("skipped: systemd is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for daemon in ["parallax-agent", "parallax-coordinator"] {
        let name = format!("{daemon}.service");
        let unit = std::fs::read_to_string(deploy(&format!("systemd/{name}"))).unwrap();
        let built = binary(daemon);
        let path = folder.path().join(&name);
        let here = unit.replace(&format!("/usr/bin/{daemon}"), built.to_str().unwrap());
        assert_ne!(here, unit, "{daemon} is started");
        std::fs::write(&path, here).unwrap();
        let analyze = |args: &[&str]| {
            let output = Command::new("systemd-analyze")
                .args(args)
                .arg(&path)
                .output();
            let output = output.unwrap();
            (output.status.success(), said(&output))
        };
        let (sound, said) = analyze(&["verify", "--man=no"]);
        assert!(sound && said.1.is_empty(), "{daemon}: {said:?}");
        // An exposure of at most 1.5.
        let (hard, said) = analyze(&["security", "--offline=true", "--threshold=15", "--no-pager"]);
        assert!(hard, "{daemon}: {said:?}");
    }
}
