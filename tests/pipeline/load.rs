//! A bounded load of one's own server.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_for_owners_and_within_limits() {
    let server = server(Dialect::Modern).await;
    let url = server.url();
    let load = ["probe", &url, "--for=1s", "--rate=10"];
    for (more, message) in [
        (&[][..], "add --i-own-this if the server is yours"),
        (&["--rate=201", "--i-own-this"], "201 is not in 1..=200"),
        (&["--concurrency=65", "--i-own-this"], "65 is not in 1..=64"),
        (&["--for=11m", "--i-own-this"], "at most 10m"),
        (
            &["--max-error-rate=5", "--i-own-this"],
            "write it like 5% or 0.05",
        ),
        (&["--wait=1s", "--i-own-this"], "cannot be used with"),
    ] {
        let base = if more.first().is_some_and(|arg| arg.starts_with("--rate")) {
            &load[..3]
        } else if more.first().is_some_and(|arg| arg.starts_with("--for")) {
            &["probe", &url, "--rate=10"]
        } else {
            &load[..]
        };
        let output = run(&[base, more].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{more:?}: {output:?}");
        assert!(err(&output).contains(message), "{more:?}: {output:?}");
    }
    assert!(server.log().methods().is_empty(), "nothing was asked");
}

/// What is due is asked for, however slow the answers are; thresholds decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_due_by_the_clock_and_judged_by_thresholds() {
    let server = server(Dialect::Modern).await;
    let url = server.url();
    let load = async |more: &[&str]| {
        let args = ["probe", &url, "--i-own-this", "--output=json"];
        let output = run(&[&args[..], more].concat()).await;
        (output.status.code().unwrap(), json(&output))
    };
    let (code, document) = load(&["--for=500ms", "--rate=20", "--max-p95=1h"]).await;
    let loaded = &document["load"];
    assert_eq!(code, 0, "{loaded:#}");
    assert_eq!(
        (&loaded["scheduled"], &loaded["finished"]),
        (&10.into(), &10.into())
    );
    assert_eq!(
        asked(&server, "tools/list"),
        11,
        "and the one before the load"
    );
    let held: Vec<&Value> = loaded["thresholds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|threshold| &threshold["held"])
        .collect();
    assert_eq!(held, [true, true]);

    // One at a time, 200 ms each at least (two requests), due every 10 ms: most never begin, and the
    // time that they would have waited counts.
    server.script(|script| script.delay_ms = 100);
    let slow = [
        "--for=500ms",
        "--rate=100",
        "--concurrency=1",
        "--max-p95=200ms",
    ];
    let (code, document) = load(&slow).await;
    let loaded = &document["load"];
    assert_eq!(code, 1, "{loaded:#}");
    assert_eq!(loaded["scheduled"], 50);
    let unstarted = loaded["unstarted"].as_u64().unwrap();
    assert!(unstarted >= 47, "{loaded:#}");
    assert_eq!(loaded["finished"].as_u64().unwrap() + unstarted, 50);
    assert!(
        loaded["latency_us"]["p95"].as_u64().unwrap() > 400_000,
        "{loaded:#}"
    );
    let output = run(&[
        &["probe", &url, "--i-own-this", "--output=junit"],
        &slow[..],
    ]
    .concat())
    .await;
    assert!(
        out(&output).contains("type=\"load.p95\""),
        "{}",
        out(&output)
    );

    // Nobody there: no load is made.
    server.script(|script| script.status = Some(502));
    let before = asked(&server, "server/discover");
    let (code, document) = load(&["--for=500ms", "--rate=20"]).await;
    assert_eq!((code, document.get("load")), (1, None));
    assert!(asked(&server, "server/discover") <= before + 2);
}
