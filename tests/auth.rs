//! Authorization: tokens are got from authorization servers, walls are looked at, and nothing that
//! goes wrong on the way is the target's, or shows a secret.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::sync::Arc;
use std::time::Duration;

use auth::{Authorizer, Client, Credential, Proof, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dial::{AddressPolicy, Origin};
use model::report::{AuthState, AuthStep, ClientAuthentication};
use model::{CheckId, Class, Outcome, Reason, Report, Severity, Step};
use support::{Probe, failure};
use testbed::oauth::{CLIENT, Flaw, Walled};
use testbed::server::{Dialect, Options, Server};

fn authorizer() -> Authorizer {
    Authorizer::new(Credential {
        client: Client {
            id: CLIENT.0.to_owned(),
            proof: Proof::Secret(Secret::new(CLIENT.1)),
        },
        issuer: None,
        token_url: None,
        scope: None,
        resource: None,
        method: None,
    })
}

fn keyed(walled: &Walled, authorizer: &Arc<Authorizer>) -> Probe {
    let mut probe = Probe::of(&walled.url());
    probe.authorizer = Some(Arc::clone(authorizer));
    probe
}

fn violated(report: &Report, id: CheckId) -> Option<&str> {
    let check = report.checks.iter().find(|check| check.id == id)?;
    check.detail.as_deref()
}

fn passed(report: &Report, id: CheckId) -> bool {
    report
        .checks
        .iter()
        .any(|check| check.id == id && check.passed)
}

/// Nothing of a report repeats the secret or a token.
fn assert_discreet(report: &Report) {
    let json = serde_json::to_string(report).unwrap();
    for secret in [CLIENT.1, "access-token-"] {
        assert!(!json.contains(secret), "{json}");
    }
}

#[tokio::test]
async fn a_client_gets_a_token_and_the_probe_runs_with_it() {
    for dialect in [Dialect::Modern, Dialect::Legacy] {
        let walled = Walled::start(dialect, Flaw::None).await.unwrap();
        let report = keyed(&walled, &Arc::new(authorizer())).report().await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        assert_discreet(&report);
        for id in [
            CheckId::AuthPrm,
            CheckId::AuthAs,
            CheckId::AuthToken,
            CheckId::AuthUniform,
        ] {
            assert!(passed(&report, id), "{id}: {report:#?}");
        }
        let auth = report.auth.unwrap();
        assert_eq!(auth.state, AuthState::Authorized);
        assert_eq!(auth.issuer, Some(walled.issuer()));
        assert_eq!(auth.authorization_servers, [walled.issuer()]);
        assert_eq!(
            auth.client_authentication,
            Some(ClientAuthentication::Basic)
        );
        let steps: Vec<AuthStep> = auth
            .exchanges
            .iter()
            .map(|exchange| exchange.step)
            .collect();
        assert_eq!(
            steps,
            [
                AuthStep::Challenge,
                AuthStep::ResourceMetadata,
                AuthStep::ServerMetadata,
                AuthStep::Token,
            ]
        );
        // The step is told, and no part of the target's time.
        assert!(report.steps.iter().all(|step| step.step != Step::Authorize));
        let [form] = &walled.token_requests()[..] else {
            panic!("{:?}", walled.token_requests());
        };
        // The challenge's scope counts, not all that the metadata lists.
        assert_eq!(form["scope"], "mcp:read");
        assert_eq!(form["resource"], walled.url());
        assert_eq!(form["grant_type"], "client_credentials");
        assert!(!form.contains_key("client_secret"));
    }
}

#[tokio::test]
async fn a_token_is_kept_and_asked_for_anew_once_when_the_server_drops_it() {
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    let authorizer = Arc::new(authorizer());
    for _ in 0..3 {
        let report = keyed(&walled, &authorizer).report().await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    }
    assert_eq!(walled.token_requests().len(), 1);
    walled.revoke();
    let report = keyed(&walled, &authorizer).report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(walled.token_requests().len(), 2);
    walled.spoil(Flaw::TokensRejected);
    let report = keyed(&walled, &authorizer).report().await;
    let failed = failure(&report);
    assert_eq!(failed, (Step::Discover, Reason::AuthTokenRejected));
    assert!(violated(&report, CheckId::AuthToken).is_some());
    // Once anew, not for ever.
    assert_eq!(walled.token_requests().len(), 3);
}

/// Each flaw on the way to a token: its reason, and what the sentence names.
#[tokio::test]
async fn without_a_token_nothing_is_the_targets_and_the_step_is_named() {
    let table = [
        (
            Flaw::OtherResource,
            Reason::AuthMalformed,
            "not about this URL",
        ),
        (
            Flaw::NoServers,
            Reason::AuthMalformed,
            "names no authorization_servers",
        ),
        (Flaw::OtherIssuer, Reason::AuthMalformed, "has the issuer"),
        (Flaw::NoServerMetadata, Reason::AuthMalformed, "answers 404"),
        (Flaw::HttpEndpoints, Reason::AuthMalformed, "is not https"),
        (
            Flaw::InvalidClient,
            Reason::AuthCredentialRefused,
            "refused with invalid_client (401)",
        ),
        (
            Flaw::InvalidScope,
            Reason::AuthCredentialRefused,
            "refused with invalid_scope (400)",
        ),
        (
            Flaw::TokenServerError,
            Reason::AuthServerDown,
            "answers 500",
        ),
        (
            Flaw::HugeToken,
            Reason::AuthServerDown,
            "larger than 64 KiB",
        ),
        (
            Flaw::RedirectedToken,
            Reason::AuthServerDown,
            "redirects (302)",
        ),
        (
            Flaw::HtmlToken,
            Reason::AuthServerDown,
            "without access_token",
        ),
    ];
    for (flaw, reason, said) in table {
        let walled = Walled::start(Dialect::Modern, flaw).await.unwrap();
        let report = keyed(&walled, &Arc::new(authorizer())).report().await;
        let failed = failure(&report);
        assert_eq!(failed, (Step::Authorize, reason), "{flaw:?}");
        assert_eq!(failed.1.class(), Class::Refused);
        assert!(
            report.summary.contains(said),
            "{flaw:?}: {}",
            report.summary
        );
        let token = violated(&report, CheckId::AuthToken).unwrap();
        assert!(token.contains(said), "{flaw:?}: {token}");
        assert_eq!(report.auth.as_ref().unwrap().state, AuthState::Refused);
        assert!(
            report.steps.is_empty() && walled.methods().is_empty(),
            "{flaw:?}"
        );
        assert_discreet(&report);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_hangs_ends_in_time() {
    let walled = Walled::start(Dialect::Modern, Flaw::TokenHangs)
        .await
        .unwrap();
    let report = keyed(&walled, &Arc::new(authorizer())).report().await;
    assert_eq!(failure(&report).1, Reason::AuthServerDown);
    assert!(
        report.summary.contains("http_timeout_headers"),
        "{}",
        report.summary
    );
}

#[tokio::test]
async fn a_dead_target_is_the_targets_failure_and_no_credentials() {
    let mut probe = Probe::of("http://127.0.0.1:9/mcp");
    probe.authorizer = Some(Arc::new(authorizer()));
    let report = probe.report().await;
    let failed = failure(&report);
    assert_eq!(failed, (Step::Discover, Reason::TcpRefused));
}

#[tokio::test]
async fn a_named_issuer_or_token_endpoint_is_asked_and_nobody_else() {
    let walled = Walled::start(Dialect::Modern, Flaw::NoResourceMetadata)
        .await
        .unwrap();
    let named = |issuer: Option<String>, token_url: Option<String>| {
        let credential = authorizer().credential().clone();
        let url = |text: String| text.parse().unwrap();
        Arc::new(Authorizer::new(Credential {
            issuer: issuer.map(url),
            token_url: token_url.map(url),
            ..credential
        }))
    };
    let report = keyed(&walled, &named(Some(walled.issuer()), None))
        .report()
        .await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let token_url = format!("{}/token", walled.issuer());
    let report = keyed(&walled, &named(None, Some(token_url))).report().await;
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(
        walled.paths(),
        [
            "/.well-known/oauth-authorization-server",
            "/token",
            "/token"
        ]
    );
}

#[tokio::test]
async fn a_wall_that_leads_to_a_token_endpoint_is_healthy() {
    for flaw in [Flaw::None, Flaw::UnnamedMetadata] {
        let walled = Walled::start(Dialect::Dual, flaw).await.unwrap();
        let report = Probe::of(&walled.url()).report().await;
        assert_eq!(failure(&report).1, Reason::AuthRequired);
        let auth = report.auth.as_ref().unwrap();
        assert_eq!(auth.state, AuthState::WalledHealthy, "{report:#?}");
        assert_eq!(auth.scopes, ["mcp:read"]);
        assert!(passed(&report, CheckId::AuthPrm) && passed(&report, CheckId::AuthAs));
        assert_eq!(
            violated(&report, CheckId::AuthChallenge).is_some(),
            flaw == Flaw::UnnamedMetadata
        );
        assert!(walled.token_requests().is_empty());
    }
}

#[tokio::test]
async fn each_flaw_of_a_wall_is_a_note_and_makes_it_malformed() {
    use CheckId::{AuthAs, AuthPrm};
    let table = [
        (Flaw::NoResourceMetadata, AuthPrm, "answers 404"),
        (Flaw::OtherResource, AuthPrm, "not about this URL"),
        (Flaw::NoServers, AuthPrm, "names no authorization_servers"),
        (Flaw::HugeResourceMetadata, AuthPrm, "larger than 64 KiB"),
        (Flaw::HtmlResourceMetadata, AuthPrm, "is no JSON object"),
        (Flaw::RedirectedResourceMetadata, AuthPrm, "redirects (302)"),
        (Flaw::NoServerMetadata, AuthAs, "answers 404"),
        (Flaw::OtherIssuer, AuthAs, "has the issuer"),
        (Flaw::HttpEndpoints, AuthAs, "is not https"),
        (Flaw::NoS256, AuthAs, "S256"),
    ];
    for (flaw, id, said) in table {
        let walled = Walled::start(Dialect::Dual, flaw).await.unwrap();
        let report = Probe::of(&walled.url()).report().await;
        assert_eq!(failure(&report).1, Reason::AuthRequired, "{flaw:?}");
        let auth = report.auth.as_ref().unwrap();
        assert_eq!(
            auth.state,
            AuthState::WalledMalformed,
            "{flaw:?}: {auth:#?}"
        );
        let detail = violated(&report, id).unwrap_or_default();
        assert!(detail.contains(said), "{flaw:?}: {detail}");
        let check = report.checks.iter().find(|check| check.id == id).unwrap();
        assert_eq!(check.severity, Severity::Note);
    }
    let walled = Walled::start(Dialect::Dual, Flaw::NoChallenge)
        .await
        .unwrap();
    let report = Probe::of(&walled.url()).report().await;
    assert_eq!(failure(&report).1, Reason::AuthMalformed);
    assert_eq!(report.auth.unwrap().state, AuthState::WalledMalformed);
}

/// A challenge is a stranger's word: it leads to nothing more private than the target.
#[tokio::test]
async fn a_challenge_leads_into_no_private_network() {
    let walled = Walled::start(Dialect::Modern, Flaw::MetadataInside)
        .await
        .unwrap();
    let report = Probe::of(&walled.url()).report().await;
    let auth = report.auth.as_ref().unwrap();
    let first = &auth.exchanges[0];
    assert_eq!(first.reason, Some(Reason::DnsBlockedAddr), "{auth:#?}");
    assert!(first.http_status.is_none());
    // The well-known place is good: a client that goes on finds it.
    assert_eq!(auth.state, AuthState::WalledHealthy);
    let detail = violated(&report, CheckId::AuthPrm).unwrap();
    assert!(detail.contains("169.254.169.254"), "{detail}");
}

/// What the API names is remote: its metadata is asked for only where the allow list opens it.
#[tokio::test]
async fn a_remote_target_leads_only_where_the_allow_list_opens() {
    let walled = Walled::start(Dialect::Modern, Flaw::None).await.unwrap();
    let port = walled.url().parse::<model::TargetUrl>().unwrap().port();
    for (allow, state) in [
        (format!("127.0.0.1#{port}"), AuthState::WalledMalformed),
        ("127.0.0.1".to_owned(), AuthState::WalledHealthy),
    ] {
        let mut probe = Probe::of(&walled.url());
        probe.origin = Origin::Remote;
        probe.policy = AddressPolicy::new(vec![allow.parse().unwrap()]);
        let report = probe.report().await;
        assert_eq!(report.auth.unwrap().state, state, "{allow}");
    }
}

/// A bearer token that is a JWT and ends at `left` from now, made `age` ago.
fn token(left: i64, age: Option<i64>) -> String {
    let now = telemetry::clock::wall().as_second();
    let issued = age.map_or_else(String::new, |age| format!(",\"iat\":{}", now - age));
    let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{}{issued}}}", now + left));
    format!("eyJhbGciOiJub25lIn0.{claims}.c2ln")
}

#[tokio::test]
async fn the_end_of_a_bearer_token_is_told_ahead() {
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    let table = [
        (30 * DAY, None, None),
        (13 * DAY, None, Some(Severity::Note)),
        (71 * HOUR, None, Some(Severity::Degrade)),
        (71 * HOUR, Some(90 * DAY), Some(Severity::Degrade)),
        (-HOUR, Some(DAY), Some(Severity::Degrade)),
        // Made for an hour: whoever makes such tokens makes new ones.
        (HOUR / 2, Some(HOUR / 2), None),
    ];
    for (left, age, severity) in table {
        let mut probe = Probe::of(&server.url());
        let token = token(left, age);
        let value = format!("Bearer {token}").parse().unwrap();
        probe.headers.insert("authorization", value);
        probe.plan.has_credential = true;
        let report = probe.report().await;
        assert!(report.credential.is_some());
        let check = report
            .checks
            .iter()
            .find(|check| check.id == CheckId::AuthExpiry);
        let found = check
            .filter(|check| !check.passed)
            .map(|check| check.severity);
        assert_eq!(found, severity, "{left} {age:?}");
        let degraded = matches!(report.outcome, Outcome::Degraded { .. });
        assert_eq!(degraded, severity == Some(Severity::Degrade));
        let json = serde_json::to_string(&report).unwrap();
        assert!(!json.contains(&token), "{json}");
    }
    let mut probe = Probe::of(&server.url());
    probe
        .headers
        .insert("authorization", "Bearer opaque".parse().unwrap());
    let report = probe.report().await;
    assert!(report.credential.is_none() && report.outcome == Outcome::Ok);
}

#[tokio::test]
async fn a_wall_in_the_middle_is_a_note() {
    let server = Server::start(Options::new(Dialect::Modern)).await.unwrap();
    server.script(|script| {
        script.status_on.insert("tools/list".to_owned(), 401);
    });
    let mut probe = Probe::of(&server.url());
    probe.plan.step_timeout = Duration::from_secs(5);
    let report = probe.report().await;
    assert_eq!(failure(&report).0, Step::ToolsList);
    let detail = violated(&report, CheckId::AuthUniform).unwrap();
    assert_eq!(detail, "discover is open, tools_list is answered with 401");
}
