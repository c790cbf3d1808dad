use super::*;
use crate::sample::step;
use model::contract::{BaselineReport, Change, ChangeClass, ContractReport, Drift};
use model::report::{Connection, SCHEMA_VERSION};
use model::{CheckId, Era, Failure, Phase, Reason, Revision, Step};

fn report() -> Report {
    let discover = step(
        Step::Discover,
        &[
            (Phase::Dns, 4_000),
            (Phase::Connect, 18_000),
            (Phase::Send, 1_000),
            (Phase::Wait, 29_000),
        ],
    );
    let mut list = step(Step::ToolsList, &[(Phase::Wait, 48_000)]);
    list.detail = Some("14 tools".to_owned());
    Report {
        schema_version: SCHEMA_VERSION,
        url: "http://mcp.example.com/mcp".parse().unwrap(),
        started_at: "2026-11-20T12:00:00Z".to_owned(),
        outcome: Outcome::Ok,
        summary: "healthy in 100 ms: 3 of 3 checks".to_owned(),
        era: Some(Era::Modern),
        protocol_version: Some(Revision::V2026_07_28),
        transport: Some(Transport::StreamableHttp),
        server: None,
        connection: Some(Connection {
            address: "203.0.113.9:80".to_owned(),
            resolved: vec!["203.0.113.9".to_owned()],
            ttl_seconds: Some(60),
            kernel_rtt_us: Some(18_200),
            http_version: Some("1.1".to_owned()),
            ..Connection::default()
        }),
        more_connections: Vec::new(),
        edge: None,
        instance: None,
        more_servers: Vec::new(),
        more_instances: Vec::new(),
        alt_svc: Vec::new(),
        http3: None,
        addresses: Vec::new(),
        differences: Vec::new(),
        auth: None,
        credential: None,
        tools: Some(14),
        lists: std::collections::BTreeMap::new(),
        largest_response_bytes: 0,
        contract: None,
        health: None,
        received_bytes: 0,
        retry_after_seconds: None,
        steps: vec![discover, list],
        checks: Vec::new(),
        total_us: 100_000,
        own_us: 10,
    }
}

const PLAIN: Canvas = Canvas {
    color: false,
    unicode: false,
    width: 80,
};

#[test]
fn bars_are_to_scale_and_in_order() {
    let text = render(&report(), PLAIN);
    // 26 columns for 100 ms: 3.84 ms a column
    let expected = "
 http://mcp.example.com/mcp   modern - 2026-07-28 - streamable HTTP - HTTP/1.1
 dns              #                               4.0 ms  203.0.113.9 (ttl 60)
 connect           #####                         18.0 ms  kernel rtt 18.2
 discover              #########                 30.0 ms  server 10.8 + net 18.2
 tools_list                    #############     48.0 ms  14 tools
 ok healthy in 100 ms: 3 of 3 checks
";
    assert_eq!(format!("\n{text}"), expected);
}

#[test]
fn a_proxy_is_named_above_the_times_that_it_is_in() {
    let mut report = report();
    let connection = report.connection.as_mut().unwrap();
    connection.proxy = Some("proxy.example.com:3128".to_owned());
    connection.kernel_rtt_us = None;
    let text = render(&report, PLAIN);
    let expected = "
 http://mcp.example.com/mcp   modern - 2026-07-28 - streamable HTTP - HTTP/1.1
   through the proxy proxy.example.com:3128, which the times measure too
 dns              #                               4.0 ms  203.0.113.9 (ttl 60)
 connect           #####                         18.0 ms
 discover              #########                 30.0 ms  200
 tools_list                    #############     48.0 ms  14 tools
 ok healthy in 100 ms: 3 of 3 checks
";
    assert_eq!(format!("\n{text}"), expected);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_colour_adds_only_escapes() {
    let mut report = report();
    report.outcome = Outcome::Failed(Failure {
        step: Step::ToolsList,
        phase: Phase::Receive,
        reason: Reason::McpIdMismatch,
    });
    report.steps[1].reason = Some(Reason::McpIdMismatch);
    report.connection.as_mut().unwrap().proxy = Some(format!("{}:3128", "p".repeat(150)));
    let story = "a long story of what came back ".repeat(5);
    let word = "w".repeat(300);
    report.summary = format!("tools_list failed: {story}{word} \u{6f22}\u{5b57}{word}");
    report.url = format!("https://mcp.example.com/{word}").parse().unwrap();
    let change = |class| Change {
        class,
        tool: Some("\u{6f22}".repeat(60)),
        pointer: format!("/inputSchema/{word}"),
        what: story.clone(),
    };
    report.contract = Some(ContractReport {
        fingerprint: "sha256:0".to_owned(),
        tools: 1,
        baseline: Some(BaselineReport {
            fingerprint: "sha256:1".to_owned(),
            drift: Drift {
                breaking: 400,
                changes: ChangeClass::ALL.iter().copied().map(change).collect(),
                ..Drift::default()
            },
        }),
    });
    for width in [40, 80, 120] {
        for unicode in [false, true] {
            let plain = render(
                &report,
                Canvas {
                    color: false,
                    unicode,
                    width,
                },
            );
            for line in plain.lines() {
                assert!(
                    unicode_width::UnicodeWidthStr::width(line) <= width,
                    "{width}: {line}"
                );
            }
            let colored = render(
                &report,
                Canvas {
                    color: true,
                    unicode,
                    width,
                },
            );
            assert!(colored.contains("\u{1b}["));
            let mut stripped = String::new();
            let mut escaped = false;
            for c in colored.chars() {
                match c {
                    '\u{1b}' => escaped = true,
                    'm' if escaped => escaped = false,
                    c if !escaped => stripped.push(c),
                    _ => {}
                }
            }
            assert_eq!(stripped, plain);
        }
    }
}

#[test]
fn a_failure_ends_with_what_to_try() {
    let mut report = report();
    report.outcome = Outcome::Failed(Failure {
        step: Step::Discover,
        phase: Phase::Connect,
        reason: Reason::TcpRefused,
    });
    report.steps.truncate(1);
    report.steps[0].reason = Some(Reason::TcpRefused);
    report.steps[0].failed_phase = Some(Phase::Connect);
    report.steps[0]
        .phases_us
        .retain(|phase, _| *phase < Phase::Send);
    report.steps[0].total_us = 22_000;
    report.summary = "discover failed in connect: tcp_refused: 203.0.113.9:80: refused".to_owned();
    let text = render(&report, PLAIN);
    assert!(
        text.ends_with(
            " X discover failed in connect: tcp_refused: 203.0.113.9:80: refused\n   \
         next: check that something listens and no firewall is in between: nc -vz\n         \
         mcp.example.com 80\n"
        ),
        "{text}"
    );
    assert_eq!(text.lines().count(), 6, "{text}");
}

/// The sentence says it, the list of checks not again.
#[test]
fn why_there_is_no_token_is_told_once() {
    use model::report::{Auth, AuthState};
    let why = "no authorization server was found";
    let mut report = report();
    report.steps.clear();
    report.outcome = Outcome::Failed(Failure {
        step: Step::Authorize,
        phase: Phase::Wait,
        reason: Reason::AuthServerDown,
    });
    report.summary = format!("authorize failed in wait: auth_server_down: {why}");
    report.auth = Some(Auth {
        state: AuthState::Refused,
        detail: Some(why.to_owned()),
        resource_metadata: None,
        authorization_servers: Vec::new(),
        issuer: None,
        server_metadata: None,
        scopes: Vec::new(),
        client_authentication: None,
        exchanges: Vec::new(),
        total_us: 0,
    });
    report.checks = vec![CheckReport {
        id: CheckId::AuthToken,
        severity: Severity::Fail,
        passed: false,
        detail: Some(why.to_owned()),
        source: CheckId::AuthToken.rule().source.to_owned(),
    }];
    let text = render(&report, PLAIN);
    let unwrapped: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(unwrapped.join(" ").matches(why).count(), 1, "{text}");
    assert!(text.contains("   rule: "), "{text}");
}

#[test]
fn the_servers_own_time_is_the_wait_less_the_smallest_round_trip() {
    let mut report = report();
    let connection = report.connection.as_mut().unwrap();
    connection.kernel_min_rtt_us = Some(17_000);
    connection.retransmits = Some(2);
    let text = render(&report, PLAIN);
    // 29.0 ms of waiting; the handshake took 18.2, and later segments 17.0.
    assert!(text.contains("server 12.0 + net 17.0"), "{text}");
    assert!(text.contains("rtt 18.2, 2 resent"), "{text}");
}

#[test]
fn the_way_and_who_answered_are_told() {
    use model::report::{AddressReport, Difference, DifferenceKind, Edge, EdgeProvider};
    let mut report = report();
    report.edge = Some(Edge {
        provider: EdgeProvider::Cloudflare,
        pop: Some("SJC".to_owned()),
        id: None,
    });
    let overrides = &mut report.connection.as_mut().unwrap().overrides;
    overrides.connect_to = Some("203.0.113.7:443".to_owned());
    overrides.host = Some("green.example.com".to_owned());
    report.addresses = vec![AddressReport {
        address: "203.0.113.9:80".to_owned(),
        outcome: Outcome::Failed(Failure {
            step: Step::Discover,
            phase: Phase::Connect,
            reason: Reason::TcpRefused,
        }),
        summary: String::new(),
        protocol_version: None,
        server: None,
        tools: None,
        certificate_sha256: Some("0123456789abcdef".to_owned()),
        // 2026-11-30, ten days after the report.
        certificate_not_after: Some(1_796_040_000),
        instance: None,
        edge: None,
        walled: None,
        resource_metadata: None,
        kernel_rtt_us: None,
        total_us: 0,
    }];
    report.differences = vec![Difference {
        kind: DifferenceKind::Ipv4Broken,
        detail: "no IPv4 address works, while IPv6 does".to_owned(),
    }];
    let text = render(&report, PLAIN);
    for line in [
        "   not as the URL says: reached at 203.0.113.7:443, Host green.example.com\n",
        "   X 203.0.113.9:80 tcp_refused in connect, certificate 01234567 10 d left\n",
        " ! ipv4_broken: no IPv4 address works, while IPv6 does\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert!(text.contains("cloudflare SJC"), "{text}");
}
