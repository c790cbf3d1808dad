//! The preflight of a host.

use super::*;

/// How a check of `parallax doctor` came out.
fn result(diagnosis: &Value, check: &str) -> String {
    let checks = diagnosis["checks"].as_array().unwrap();
    let found = checks.iter().find(|line| line["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check}: {diagnosis:#}"));
    found["result"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_examined() {
    let coordinator = Coordinator::start().await;
    let api = format!("http://{}", coordinator.bound.http);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, &coordinator.key).unwrap();
    let [key, state] = [&key, folder.path()].map(|path| path.to_str().unwrap().to_owned());
    let egress = coordinator.bound.grpc.to_string();
    let args = [
        "doctor",
        "--api",
        &api,
        "--api-key-file",
        &key,
        "--state-dir",
        &state,
    ];
    let args = [&args[..], &["--egress", &egress, "--output", "json"]].concat();
    let output = run(&args).await;
    let diagnosis = json(&output);
    assert_eq!(output.status.code(), Some(0), "{diagnosis:#}");
    assert_eq!(diagnosis["passed"], true);
    for check in [
        "clock",
        "egress",
        "tls_roots",
        "api",
        "api_key",
        "disk",
        "version",
    ] {
        assert_eq!(result(&diagnosis, check), "pass", "{diagnosis:#}");
    }
    assert!(diagnosis.to_string().contains("read and change everything"));
    assert!(
        !diagnosis.to_string().contains(&coordinator.key),
        "keys are not shown"
    );
    coordinator.stop().await;
}

/// Each that can fail does, with its cure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_host_lacks_is_said_with_the_cure() {
    let coordinator = Coordinator::start().await;
    let api = format!("http://{}", coordinator.bound.http);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "plxk_file_wrong").unwrap();
    let closed = free_address().to_string();
    let absent = folder.path().join("absent");
    let key = key.to_str().unwrap();
    let args = [
        "doctor",
        "--api",
        &api,
        "--api-key-file",
        key,
        "--egress",
        &closed,
    ];
    let args = [&args[..], &["--egress=nosuch.invalid:443", "--output=json"]].concat();
    let args = [&args[..], &["--state-dir", absent.to_str().unwrap()]].concat();
    let output = run(&args).await;
    let diagnosis = json(&output);
    assert_eq!(output.status.code(), Some(1), "{diagnosis:#}");
    for check in ["dns", "egress", "api_key", "disk"] {
        assert_eq!(result(&diagnosis, check), "fail", "{diagnosis:#}");
    }
    for line in diagnosis["checks"].as_array().unwrap() {
        assert_eq!(
            line["result"] == "pass",
            line.get("cure").is_none(),
            "{line}"
        );
    }
    let text = out(&run(&["doctor", "--state-dir", absent.to_str().unwrap()]).await);
    assert!(text.contains("disk") && text.contains("mkdir -p"), "{text}");
    coordinator.stop().await;
}
