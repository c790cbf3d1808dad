//! House rules that a compiler does not know: who may import whom, how long a file may be, what
//! stands in no file.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may import whom, besides outside libraries. A crate that is not here may not exist.
const IMPORTS: [(&str, &[&str]); 22] = [
    ("model", &[]),
    ("mcp", &["model"]),
    ("contract", &["model"]),
    ("delivery", &["model"]),
    ("schedule", &["model"]),
    ("verdict", &["model"]),
    ("window", &["model"]),
    ("dial", &["model"]),
    ("auth", &["model", "dial"]),
    ("probe", &["model", "mcp", "dial", "auth"]),
    ("rpc", &["model"]),
    ("store", &["model", "window", "delivery"]),
    (
        "store-rocksdb",
        &["model", "window", "delivery", "store", "vault"],
    ),
    ("vault", &[]),
    ("listen", &[]),
    ("peer", &[]),
    ("settings", &[]),
    (
        "agent",
        &[
            "model",
            "mcp",
            "contract",
            "schedule",
            "window",
            "delivery",
            "dial",
            "listen",
            "peer",
            "probe",
            "rpc",
            "settings",
            "telemetry",
            "vault",
        ],
    ),
    (
        "coordinator",
        &[
            "model",
            "dial",
            "auth",
            "contract",
            "schedule",
            "window",
            "delivery",
            "listen",
            "peer",
            "rpc",
            "settings",
            "telemetry",
            "store",
            "store-rocksdb",
            "verdict",
        ],
    ),
    ("telemetry", &[]),
    (
        "cli",
        &[
            "model",
            "mcp",
            "probe",
            "contract",
            "dial",
            "listen",
            "auth",
            "telemetry",
        ],
    ),
    ("testbed", &["model", "telemetry"]),
];

/// What no core may depend on: nothing that does IO, sleeps, or makes its own randomness.
const CORES: [&str; 7] = [
    "model", "mcp", "contract", "delivery", "schedule", "verdict", "window",
];
const NOT_IN_A_CORE: [&str; 8] = [
    "tokio",
    "hyper",
    "rand",
    "getrandom",
    "socket2",
    "mio",
    "reqwest",
    "tonic",
];

/// Code lines of a file, before its tests.
const MAX_FILE_LINES: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn short(package: &str) -> &str {
    package.strip_prefix("parallax-").unwrap_or(package)
}

#[test]
fn crates_import_only_what_the_table_allows() {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .unwrap();
    let table: BTreeMap<&str, &[&str]> = IMPORTS.into_iter().collect();
    let ours: Vec<&str> = metadata.packages.iter().map(|p| short(&p.name)).collect();
    for package in &metadata.packages {
        let name = short(&package.name);
        if name == "tests" || name == "benches" {
            continue; // they may import any; nothing imports them
        }
        let allowed = table
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the table"));
        for dependency in &package.dependencies {
            let target = short(&dependency.name);
            let is_ours = dependency.path.is_some();
            if is_ours && dependency.kind != DependencyKind::Development {
                assert!(allowed.contains(&target), "{name} may not import {target}");
            }
            assert!(
                !is_ours || ours.contains(&target),
                "{name} imports an unknown {target}"
            );
            assert!(
                target != "tests" && target != "benches",
                "{name} imports {target}"
            );
            if CORES.contains(&name) && dependency.kind == DependencyKind::Normal {
                assert!(
                    !NOT_IN_A_CORE.contains(&target),
                    "the core {name} may not use {target}"
                );
            }
        }
    }
    for (name, _) in IMPORTS {
        assert!(
            ours.contains(&name),
            "{name} is in the table but does not exist"
        );
    }
}

/// `make check` is quick because it builds no RocksDB.
#[test]
fn the_fast_loop_does_not_build_the_embedded_store() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let quick = makefile
        .lines()
        .find_map(|line| line.strip_prefix("QUICK := "));
    let tree = |selection: &str| {
        let output = std::process::Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["tree", "--locked", "--prefix", "none", "-e", "all"])
            .args(selection.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!tree(quick.unwrap()).contains("librocksdb-sys"));
    assert!(tree("--workspace").contains("librocksdb-sys"));
}

#[test]
fn every_crate_inherits_the_workspace_lints() {
    for manifest in files(&root(), &["toml"]) {
        if manifest
            .file_name()
            .is_some_and(|name| name == "Cargo.toml")
            && manifest.parent() != Some(&root())
        {
            let text = std::fs::read_to_string(&manifest).unwrap();
            assert!(
                text.contains("[lints]\nworkspace = true"),
                "{}",
                manifest.display()
            );
        }
    }
}

#[test]
fn files_hold_one_idea() {
    for file in files(&root(), &["rs"]) {
        assert_ne!(
            file.file_name().unwrap(),
            "mod.rs",
            "{}: foo.rs and foo/",
            file.display()
        );
        let text = std::fs::read_to_string(&file).unwrap();
        let is_suite = file.ends_with("tests.rs") || file.starts_with(root().join("tests"));
        let code = text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count();
        assert!(
            is_suite || code <= MAX_FILE_LINES,
            "{}: {code} lines",
            file.display()
        );
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // Split so that this file does not contain what it forbids.
    let forbidden = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimpl", "emented!("),
        concat!("#[ig", "nore"),
        concat!("/ro", "ot/"),
    ];
    for file in files(&root(), &["rs", "md", "toml", "sh", "proto", "mjs", "py"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in forbidden {
            assert!(!text.contains(word), "{} contains {word}", file.display());
        }
    }
}

#[test]
fn unsafe_stands_in_one_module() {
    for file in files(&root().join("crates"), &["rs"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let expects = text.contains("expect(unsafe_code");
        let may = file.ends_with("dial/src/tcp_info.rs");
        assert!(!expects || may, "{} uses unsafe code", file.display());
    }
}

/// Files of the repository with one of `endings`, build output aside.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|e| endings.iter().any(|known| e == *known))
            {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty());
    found
}
