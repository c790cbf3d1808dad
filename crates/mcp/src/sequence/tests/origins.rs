//! Origins that must be let in or kept out.

use super::*;

fn demanding(accepted: &[&str], refused: &[&str]) -> Plan {
    let mut plan = plan();
    let origin = json!({ "accepted": accepted, "refused": refused });
    plan.expect = serde_json::from_value(json!({ "origin": origin })).unwrap();
    plan
}

fn origin(request: &Request) -> Option<&str> {
    request.headers.get("origin").and_then(|v| v.to_str().ok())
}

const OWN: &str = "https://app.example";
const EVIL: &str = "https://evil.example";

/// 2026-07-28 transports/streamable-http, "Security Warning": 403 for an origin that is not valid.
fn guarding(request: &Request, serve: fn(&Request) -> Act) -> Act {
    match origin(request) {
        None | Some(OWN) => serve(request),
        Some(_) => Act::Head(403, &[]),
    }
}

#[test]
fn origins_are_tried_with_the_cheapest_request_of_the_era() {
    let modern = run(demanding(&[OWN], &[EVIL]), |r| guarding(r, modern));
    assert_eq!(modern.outcome, Outcome::Ok, "{:#?}", modern.findings);
    let sent = [
        "server/discover",
        "tools/list",
        "server/discover",
        "server/discover",
    ];
    assert_eq!(modern.sent(), sent);
    let origins: Vec<_> = modern.requests.iter().map(origin).collect();
    assert_eq!(origins, [None, None, Some(OWN), Some(EVIL)]);
    assert_eq!(modern.steps()[2..], ["origin", "origin"]);
    let legacy = run(demanding(&[OWN], &[EVIL]), |r| guarding(r, legacy));
    assert_eq!(legacy.outcome, Outcome::Ok, "{:#?}", legacy.findings);
    assert_eq!(legacy.sent()[5..], ["ping", "ping", "DELETE"]);
    let rows = legacy.findings.examined(|id| id.rule().severity);
    assert!(
        rows.iter()
            .any(|(row, _)| row.id == CheckId::OriginExpected)
    );
}

#[test]
fn what_is_let_in_or_kept_out_wrongly_fails_unless_it_is_made_milder() {
    let lax = run(demanding(&[OWN], &[EVIL]), modern);
    assert_eq!(lax.failure(), (Step::Origin, Reason::CheckViolated));
    assert_eq!(lax.violated(), ["origin.expected"]);
    let closed = |request: &Request| match origin(request) {
        Some(_) => Act::Head(403, &[]),
        None => modern(request),
    };
    let shut = run(demanding(&[OWN], &[EVIL]), closed);
    assert_eq!(shut.failure(), (Step::Origin, Reason::CheckViolated));
    let mut plan = demanding(&[], &[EVIL]);
    plan.severities
        .insert(CheckId::OriginExpected, Severity::Degrade);
    let checks = vec![CheckId::OriginExpected];
    assert_eq!(run(plan, modern).outcome, Outcome::Degraded { checks });
}

#[test]
fn no_answer_proves_no_refusal_and_an_error_is_no_service() {
    let hangs = |request: &Request| match origin(request) {
        Some(_) => Act::Reset,
        None => modern(request),
    };
    let kept_out = run(demanding(&[], &[EVIL]), hangs);
    assert_eq!(
        (kept_out.outcome, kept_out.findings.failure),
        (Outcome::Ok, None)
    );
    let let_in = run(demanding(&[OWN], &[]), hangs);
    assert_eq!(let_in.failure(), (Step::Origin, Reason::CheckViolated));
    let says_error = |request: &Request| match origin(request) {
        Some(_) => Act::Json(200, err(request, -32000, json!(null))),
        None => modern(request),
    };
    let let_in = run(demanding(&[OWN], &[]), says_error);
    assert_eq!(let_in.failure(), (Step::Origin, Reason::CheckViolated));
    let served = run(demanding(&[], &[EVIL]), |request| match origin(request) {
        Some(_) => Act::Text(200, "text/html", "<html>"),
        None => modern(request),
    });
    assert_eq!(served.failure(), (Step::Origin, Reason::CheckViolated));
}

/// Who asks for a pause gets it, from the strict profile too.
#[test]
fn a_server_that_asks_for_a_pause_is_asked_nothing_more() {
    let mut plan = demanding(&[OWN], &[EVIL]);
    plan.profile = model::Profile::Strict;
    let run = run(plan, |request| match origin(request) {
        Some(_) => Act::Head(429, &[("retry-after", "9")]),
        None => modern(request),
    });
    assert_eq!(run.outcome, Outcome::Ok);
    assert_eq!(run.requests.len(), 3);
    assert_eq!(run.findings.retry_after, Some(9));
}

/// On the oldest transport what is taken is served: the answer travels on another stream.
#[test]
fn the_oldest_transport_takes_a_message_or_does_not() {
    let table = [(EVIL, 202, true), (EVIL, 403, false)];
    for (refused, status, fails) in table {
        let run = run(demanding(&[], &[refused]), |request| {
            let on_stream = |result: Value| {
                let message = ok(request, result);
                Act::OnStream(format!("event: message\ndata: {message}\n\n"))
            };
            match (request.url.path(), name_of(request).as_str()) {
                ("/mcp", "GET") => Act::Open("event: endpoint\ndata: /message\n\n"),
                ("/mcp", _) => Act::Head(404, &[]),
                _ if origin(request).is_some() => Act::Head(status, &[]),
                (_, "initialize") => on_stream(json!({ "protocolVersion": "2024-11-05",
                    "capabilities": {}, "serverInfo": { "name": "old", "version": "1" } })),
                (_, "ping") => on_stream(json!({})),
                _ => Act::Head(202, &[]),
            }
        });
        let failed = matches!(run.outcome, Outcome::Failed(_));
        assert_eq!(failed, fails, "{status}: {:#?}", run.findings);
        assert_eq!(run.steps().last(), Some(&"origin"));
    }
}
