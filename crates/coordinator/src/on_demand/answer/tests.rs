use super::*;
use serde_json::json;

const URL: &str = "https://mcp.example.com/mcp";

fn url() -> TargetUrl {
    URL.parse().unwrap()
}

fn sent() -> Value {
    json!({
        "schema_version": 1, "url": URL, "started_at": "2026-11-20T12:00:00Z",
        "outcome": { "kind": "ok" }, "summary": "healthy", "total_us": 7, "own_us": 1,
        "steps": [], "checks": [],
    })
}

fn answer(json: Vec<u8>) -> v1::OnDemandResult {
    v1::OnDemandResult {
        run_id: "r".into(),
        result: Some(Found::ReportJson(json)),
    }
}

fn told(json: Vec<u8>) -> String {
    let no_report = read(answer(json), &url()).unwrap_err();
    assert_eq!(no_report.reason, Absence::BadReport);
    no_report.detail
}

#[test]
fn a_report_of_the_target_is_taken_and_its_text_made_harmless() {
    let mut hostile = sent();
    hostile["summary"] = "\u{1b}[2Jowned\u{202e}".into();
    hostile["server"] = json!({ "name": "x\ny", "version": "z".repeat(10_000) });
    hostile["unheard_of"] = json!({ "deep": ["\u{7}"] });
    let report = read(answer(hostile.to_string().into()), &url()).unwrap();
    assert_eq!(report.summary, "\\u{1b}[2Jowned\\u{202e}");
    let server = report.server.unwrap();
    assert_eq!(server.name, "x y");
    assert_eq!(server.version.chars().count(), MAX_TEXT + 1);
    assert_eq!(report.total_us, 7);
}

#[test]
fn what_is_no_report_of_the_target_is_said_so() {
    let mut other = sent();
    other["url"] = "https://evil.example/mcp".into();
    let mut newer = sent();
    newer["outcome"] = json!({ "kind": "\u{1b}splendid" });
    let nested = format!("{{\"summary\":{}", "[".repeat(100_000));
    let table = [
        (
            other.to_string(),
            "the agent's report is about another target",
        ),
        (String::new(), "the agent's report cannot be read: EOF"),
        ("[]".to_owned(), "the agent's report cannot be read: "),
        (nested, "the agent's report cannot be read: "),
        (newer.to_string(), "the agent's report cannot be read: "),
        (
            "x".repeat(limits::MAX_REPORT_BYTES + 1),
            "the agent's report has 262145 bytes",
        ),
    ];
    for (json, expected) in table {
        let detail = told(json.into());
        assert!(detail.starts_with(expected), "{detail}");
        assert!(!detail.contains('\u{1b}'), "{detail}");
    }
    let empty = v1::OnDemandResult::default();
    let detail = read(empty, &url()).unwrap_err().detail;
    assert_eq!(detail, "the agent's answer is empty");
}

#[test]
fn refusals_keep_their_reason_and_their_time() {
    let refusal = |reason: Why, retry_after_ms| {
        let refusal = v1::OnDemandRefusal {
            reason: reason.into(),
            detail: "a\u{9b}b".into(),
            retry_after_ms,
        };
        let answer = v1::OnDemandResult {
            run_id: "r".into(),
            result: Some(Found::Refusal(refusal)),
        };
        read(answer, &url()).unwrap_err()
    };
    let table = [
        (Why::Busy, Absence::Busy, None),
        (Why::Held, Absence::Held, Some(31)),
        (Why::Rejected, Absence::Rejected, None),
        (Why::Draining, Absence::Draining, None),
        (Why::NoReport, Absence::BadReport, None),
        (Why::Unspecified, Absence::BadReport, None),
    ];
    for (sent, reason, retry) in table {
        let told = refusal(sent, 30_001);
        assert_eq!((told.reason, told.retry_after_seconds), (reason, retry));
        assert_eq!(told.detail, "a\\u{9b}b");
    }
}
