//! Who answered.

use super::*;
use model::report::ServerInfo;

/// A server of several replicas, each request at the next one.
fn replicas(versions: &'static [&'static str]) -> impl FnMut(&Request) -> Act {
    let mut asked = 0;
    move |request| {
        let version = versions[asked % versions.len()];
        let pod = format!("pod-{}", asked % versions.len());
        asked += 1;
        let Act::Json(status, mut body) = modern(request) else {
            panic!("a modern server answers with JSON");
        };
        let result = &mut body["result"];
        result["_meta"]["io.modelcontextprotocol/serverInfo"] =
            json!({ "name": "docs", "version": version, "pod": pod });
        result["structuredContent"] = json!({ "replica": pod });
        Act::Json(status, body)
    }
}

#[test]
fn more_than_one_version_in_one_probe_is_a_mixed_rollout() {
    let mixed = run(call_plan(), replicas(&["1.4", "1.5"]));
    assert_eq!(mixed.outcome, Outcome::Ok, "a note");
    assert_eq!(mixed.violated(), ["server.uniform"]);
    let other = ServerInfo {
        name: "docs".into(),
        version: "1.5".into(),
    };
    assert_eq!(mixed.findings.more_servers, [other]);
    assert_eq!(mixed.findings.server.unwrap().version, "1.4");
    let alike = run(call_plan(), replicas(&["1.4"]));
    assert_eq!(
        (alike.violated(), alike.findings.more_servers),
        (vec![], vec![])
    );
    // Python's SDK leaves the version empty: that is no other version.
    let empty = run(call_plan(), replicas(&["1.4", ""]));
    assert_eq!(empty.violated(), Vec::<&str>::new());
}

#[test]
fn instances_are_taken_from_where_they_name_themselves() {
    let table = [
        (
            json!({ "server": "$.pod" }),
            vec!["pod-0", "pod-1", "pod-2"],
        ),
        (
            json!({ "result": "$.structuredContent.replica" }),
            vec!["pod-2"],
        ),
        (json!({ "result": "$.structuredContent" }), vec![]),
        (json!({}), vec![]),
    ];
    for (spec, expected) in table {
        let mut plan = call_plan();
        plan.instance = serde_json::from_value(spec.clone()).unwrap();
        let run = run(plan, replicas(&["1", "1", "1"]));
        assert_eq!(run.findings.instances, expected, "{spec}");
    }
}

/// The replica of a call that fails is the one to look at.
#[test]
fn a_call_that_fails_names_its_instance_too() {
    let mut plan = call_plan();
    plan.instance = serde_json::from_value(json!({ "result": "$.structuredContent.pod" })).unwrap();
    let run = run(plan, |request| match name_of(request).as_str() {
        "tools/call" => {
            let result = json!({ "resultType": "complete", "isError": true, "content": [],
                "structuredContent": { "pod": "b-2" } });
            Act::Json(200, ok(request, result))
        }
        _ => modern(request),
    });
    assert_eq!(run.failure(), (Step::ToolsCall, Reason::ToolError));
    assert_eq!(run.findings.instances, ["b-2"]);
}
