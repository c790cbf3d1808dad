//! Monitors out of files: applied by the command, and followed by a coordinator.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::time::Duration;

use model::file::{self, Format, Source};
use serde_json::{Value, json};
use support::mesh::Coordinator;
use support::process::binary;
use tokio::process::Command;

/// `parallax apply` with these files: exit status, stdout, stderr.
async fn apply(coordinator: &Coordinator, args: &[&str], stdin: &str) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let input = folder.path().join("input");
    std::fs::write(&key, &coordinator.key).unwrap();
    std::fs::write(&input, stdin).unwrap();
    let output = Command::new(binary("parallax"))
        .args([
            "apply",
            "--api",
            &format!("http://{}", coordinator.bound.http),
        ])
        .arg("--api-key-file")
        .arg(&key)
        .args(args)
        .env("APPLY_TOKEN", "s3cret")
        .stdin(std::fs::File::open(&input).unwrap())
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(!format!("{stdout}{stderr}").contains("s3cret"));
    (output.status.code().unwrap(), stdout, stderr)
}

#[tokio::test]
async fn applying_twice_changes_nothing() {
    let coordinator = Coordinator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let own = write(
        "own.toml",
        "[[monitors]]\nname='docs'\nurl='https://a.example/mcp'\nheaders={x='${APPLY_TOKEN}'}\n",
    );
    let client = write(
        "mcp.json",
        r#"{"mcpServers":{"Search":{"url":"https://b.example/mcp"},"fs":{"command":"npx"}}}"#,
    );
    let both = ["-f", own.as_str(), client.as_str()];
    let dry = [&both[..], &["--dry-run"]].concat();
    let (status, stdout, stderr) = apply(&coordinator, &dry, "").await;
    assert_eq!(status, 0, "{stderr}");
    assert!(
        stderr.starts_with("would be: 2 created"),
        "{stdout}{stderr}"
    );
    let list = coordinator.call("GET", "/api/v1/monitors", "").await;
    assert_eq!(list.json()["monitors"], json!([]), "a dry run does nothing");

    let (status, stdout, stderr) = apply(&coordinator, &both, "").await;
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains(
        "created    docs  no agents yet\ncreated    search  no agents yet\nskipped    fs: is a program"
    ));
    assert_eq!(stderr, "2 created, 0 changed, 0 unchanged, 1 skipped\n");
    let (_, _, stderr) = apply(&coordinator, &both, "").await;
    assert_eq!(stderr, "0 created, 0 changed, 2 unchanged, 1 skipped\n");

    let changed =
        r#"{"monitors":{"docs":{"url":"https://a.example/mcp","headers":{"x":"other"}}}}"#;
    let stdin = ["-f", "-", "--format", "json", "--output", "json"];
    let (_, stdout, _) = apply(
        &coordinator,
        &[&stdin[..], &["--dry-run"]].concat(),
        changed,
    )
    .await;
    let said: Value = serde_json::from_str(&stdout).unwrap();
    let first = &said["monitors"][0];
    assert_eq!(
        (&first["id"], &first["result"]),
        (&json!("docs"), &json!("changed"))
    );
    assert_eq!(first["load"]["requests_per_probe"], 6, "{first}");
    let (_, stdout, _) = apply(&coordinator, &stdin, changed).await;
    let said: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&said["changed"], &said["dry_run"]),
        (&json!(1), &json!(false))
    );
    coordinator.stop().await;
}

/// Examples are read by what reads files.
#[test]
fn examples_are_files_of_monitors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let monitors = |text: &str, format| {
        let source = Source {
            name: "example",
            text,
            format,
        };
        let variable = |name: &str| (name == "DOCS_TOKEN").then(|| "s3cret".to_owned());
        let file = file::parse(source, &variable);
        file.unwrap_or_else(|problems| panic!("{problems}\n{text}"))
            .monitors
            .len()
    };
    assert_eq!(
        monitors(&read("deploy/examples/monitors.yaml"), Format::Yaml),
        2
    );
    let document = read("docs/monitors.md");
    let mut seen = Vec::new();
    for block in document.split("```").skip(1).step_by(2) {
        let (word, text) = block.split_once('\n').unwrap();
        if let Ok(format) = word.parse() {
            seen.push((word, monitors(text, format)));
        }
    }
    let expected = [
        ("toml", 1),
        ("json", 1),
        ("yaml", 2),
        ("toml", 1),
        ("toml", 2),
        ("json", 1),
    ];
    assert_eq!(seen, expected);
}

/// Writes as those do who swap files: what is read is the old or the new.
fn swap(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(".new"), text).unwrap();
    std::fs::rename(folder.join(".new"), folder.join(name)).unwrap();
}

/// Waits until the coordinator's own health is as wanted, for at most a minute.
async fn until(coordinator: &Coordinator, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..600 {
        last = coordinator.call("GET", "/health", "").await.json();
        if holds(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: {last:#}");
}

#[tokio::test]
async fn a_folder_is_followed_and_bad_files_change_nothing() {
    let volume = tempfile::tempdir().unwrap();
    let folder = volume.path();
    swap(
        folder,
        "a.yaml",
        "monitors: {one: {url: 'https://a.example/mcp'}}",
    );
    let coordinator = Coordinator::start_following(folder.to_owned()).await;
    let one = "/api/v1/monitors/one";
    let known = coordinator.call("GET", one, "").await.json();
    assert_eq!(known["managed_by"], "file", "read before it listens");

    // The API leaves it alone, and says where to go.
    let spec = r#"{"url":"https://other.example/mcp"}"#;
    let posted = r#"{"name":"one","url":"https://other.example/mcp"}"#;
    let calls = [
        ("PUT", one, spec),
        ("POST", "/api/v1/monitors", posted),
        ("DELETE", one, ""),
    ];
    for (method, path, body) in calls {
        let answer = coordinator.call(method, path, body).await;
        assert_eq!(answer.status, 409, "{method}: {answer:?}");
        assert!(answer.body.contains("change it there"), "{answer:?}");
    }
    let mine = coordinator
        .put("mine", &json!({"url": "https://m.example/mcp"}))
        .await;
    assert_eq!(
        (mine.status, &mine.json()["managed_by"]),
        (201, &json!("api"))
    );

    swap(
        folder,
        "b.toml",
        "[monitors.two]\nurl = 'https://b.example/mcp'\n",
    );
    until(&coordinator, "added", |health| health["monitors"] == 3).await;

    // A file that is wrong, and one that wants what the API has: the good ones hold.
    let table = [
        (
            "monitors: {two: {url: 'https://b.example/mcp', intervall: 1m}}",
            "/intervall",
        ),
        (
            "monitors: {mine: {url: 'https://m.example/mcp'}}",
            "the API has registered it",
        ),
    ];
    for (text, problem) in table {
        swap(folder, "a.yaml", text);
        let said = until(&coordinator, problem, |health| {
            let said = health["monitors_dir"]["problem"].as_str();
            said.is_some_and(|said| said.contains(problem))
        });
        let said = said.await;
        assert_eq!(said["monitors_dir"]["status"], "error");
        assert!(said["monitors_dir"]["as_of"].is_string());
        assert_eq!(said["monitors"], 3, "what held before holds");
        let metric = coordinator
            .metric("parallax_coordinator_monitors_dir_ok")
            .await;
        assert_eq!(metric, Some(0.0));
        assert_eq!(coordinator.call("GET", "/readyz", "").await.status, 200);
    }

    coordinator.stop().await;
}

#[tokio::test]
async fn what_files_have_had_goes_with_them_also_over_a_restart() {
    let volume = tempfile::tempdir().unwrap();
    let folder = volume.path();
    swap(
        folder,
        "a.yaml",
        "monitors: {one: {url: 'https://a.example/mcp'}}",
    );
    swap(
        folder,
        "b.toml",
        "[monitors.two]\nurl = 'https://b.example/mcp'\n",
    );
    let coordinator = Coordinator::start_following(folder.to_owned()).await;
    coordinator
        .put("mine", &json!({"url": "https://m.example/mcp"}))
        .await;

    swap(folder, "a.yaml", "monitors: [");
    let ok = |health: &Value| health["monitors_dir"]["status"] == "ok";
    until(&coordinator, "bad", |health| !ok(health)).await;
    swap(folder, "a.yaml", "monitors: []");
    let health = until(&coordinator, "followed again", ok).await;
    assert_eq!(health["monitors"], 2);
    let one = coordinator.call("GET", "/api/v1/monitors/one", "").await;
    assert_eq!(one.status, 404);
    let metric = coordinator
        .metric("parallax_coordinator_monitors_dir_ok")
        .await;
    assert_eq!(metric, Some(1.0));
    let wanted = [("mine", "api"), ("two", "file")];
    assert_eq!(monitors(&coordinator).await, wanted.map(owned));

    let stopped = coordinator.stop().await;
    swap(
        folder,
        "b.toml",
        "[monitors.three]\nurl = 'https://b.example/mcp'\n",
    );
    let coordinator = stopped.start().await;
    let wanted = [("mine", "api"), ("three", "file")];
    assert_eq!(monitors(&coordinator).await, wanted.map(owned));
    // A folder without any file looks like one that is not mounted.
    std::fs::remove_file(folder.join("a.yaml")).unwrap();
    std::fs::remove_file(folder.join("b.toml")).unwrap();
    let health = until(&coordinator, "emptied", |health| !ok(health)).await;
    assert_eq!(health["monitors"], 2);
    coordinator.stop().await;
}

fn owned((id, manager): (&str, &str)) -> (String, String) {
    (id.to_owned(), manager.to_owned())
}

/// The names of all monitors, and whose they are.
async fn monitors(coordinator: &Coordinator) -> Vec<(String, String)> {
    let list = coordinator.call("GET", "/api/v1/monitors", "").await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = list["monitors"].as_array().unwrap().iter();
    list.map(|m| (text(&m["id"]), text(&m["managed_by"])))
        .collect()
}
