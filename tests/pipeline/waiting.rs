//! Waiting for a deploy, repeating, and what a signal ends.

use super::*;

/// A deploy: 502, then 404, then healthy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_is_waited_for() {
    let server = server(Dialect::Modern).await;
    server.script(|script| script.status = Some(502));
    let url = server.url();
    let child = start(&[
        "probe",
        &url,
        "--wait=60s",
        "--interval=20ms",
        "--consecutive=3",
        "--output=json",
    ]);
    let before = asked(&server, "server/discover");
    eventually("it is asked again", || {
        asked(&server, "server/discover") > before + 2
    })
    .await;
    server.script(|script| script.status = Some(404));
    let before = asked(&server, "server/discover");
    eventually("it is asked again", || {
        asked(&server, "server/discover") > before + 2
    })
    .await;
    server.script(|script| script.status = None);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document = json(&output);
    let wait = &document["wait"];
    assert_eq!(
        (&wait["end"], &wait["streak"]),
        (&"healthy".into(), &3.into())
    );
    assert!(wait["attempts"].as_u64().unwrap() >= 5, "{wait}");
    let changes: Vec<&str> = wait["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["result"].as_str().unwrap())
        .collect();
    // Between those, a probe may have met both scripts.
    let ends = (changes.first(), changes.last());
    assert_eq!(ends, (Some(&"upstream_5xx at discover"), Some(&"ok")));
    assert!(changes.contains(&"not_found at initialize"), "{changes:?}");
    // No terminal: a line for each change, and nothing that moves a cursor.
    let said = err(&output);
    assert_eq!(said.lines().count(), changes.len(), "{said}");
    assert!(!said.contains(['\r', '\x1b']), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waiting_cannot_cure_is_not_waited_for() {
    let server = server(Dialect::Modern).await;
    for (status, code, reason) in [(401, 4, "auth_malformed"), (403, 4, "forbidden")] {
        server.script(|script| script.status = Some(status));
        let args = ["probe", &server.url(), "--wait=60s", "--output=json"];
        let output = run(&args).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let document = json(&output);
        assert_eq!(document["outcome"]["reason"], reason);
        assert_eq!(document["wait"]["end"], "incurable");
        assert_eq!(document["wait"]["attempts"], 1);
    }
    let output = run(&["probe", "nonsense", "--wait=60s"]).await;
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_time_is_up_the_last_result_decides() {
    let server = server(Dialect::Modern).await;
    server.script(|script| script.status = Some(502));
    let wait = ["--wait=300ms", "--interval=50ms", "--output=json"];
    let closed = format!("http://{}/mcp", free_address());
    for (url, code) in [(server.url(), 1), (closed, 5)] {
        let output = run(&[&["probe", &url], &wait[..]].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(json(&output)["wait"]["end"], "time_up");
    }
    // Healthy, but not so often as was asked for: no success.
    server.script(|script| script.status = None);
    let url = server.url();
    let args = [&["probe", &url, "--consecutive=1000"], &wait[..]].concat();
    let output = run(&args).await;
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let document = json(&output);
    assert_eq!(document["outcome"]["kind"], "ok");
    assert_eq!(document["wait"]["end"], "time_up");
}

/// In a pause, and in a probe that holds a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_at_once_and_nothing_stays_open() {
    let server = server(Dialect::Legacy).await;
    server.script(|script| _ = script.status_on.insert("tools/list".into(), 502));
    let url = server.url();
    let pausing = start(&["probe", &url, "--wait=2h", "--interval=1h", "--output=json"]);
    eventually("a session is closed", || {
        server.log().sessions_closed() == 1
    })
    .await;
    terminate(&pausing);
    let output = pausing.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(json(&output)["wait"]["end"], "interrupted");

    server.script(|script| {
        script.status_on.clear();
        _ = script.hang_on.insert("tools/list".into());
    });
    let before = asked(&server, "tools/list");
    let args = [
        "probe",
        &url,
        "--wait=1h",
        "--timeout=1h",
        "--step-timeout=1h",
        "--output=json",
    ];
    let probing = start(&args);
    eventually("the list is asked for", || {
        asked(&server, "tools/list") > before
    })
    .await;
    terminate(&probing);
    let output = probing.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(json(&output)["outcome"]["reason"], "cancelled");
    assert_eq!(server.log().sessions_opened(), 2);
    assert_eq!(server.log().sessions_closed(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeating_shows_how_results_spread() {
    let server = server(Dialect::Modern).await;
    let args = ["probe", &server.url(), "--repeat=5", "--output=json"];
    let document = json(&run(&args).await);
    let repeat = &document["repeat"];
    assert_eq!(
        (&repeat["probes"], &repeat["healthy"]),
        (&5.into(), &5.into())
    );
    assert_eq!(
        repeat["addresses"][0]["value"],
        server.address().to_string()
    );
    assert_eq!(repeat["servers"][0]["count"], 5);
    let steps: Vec<&str> = repeat["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["discover", "tools_list", "total"]);
    assert_eq!(asked(&server, "tools/list"), 5);
    server.script(|script| script.status = Some(429));
    let output = run(&args).await;
    assert_eq!(output.status.code(), Some(4));
}
