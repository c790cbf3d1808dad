use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

const TARGET: &str = "https://mcp.example.com/mcp";
const PRM: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
const ROOT_PRM: &str = "https://mcp.example.com/.well-known/oauth-protected-resource";
const AS: &str = "https://as.example.com/.well-known/oauth-authorization-server";
const OPENID: &str = "https://as.example.com/.well-known/openid-configuration";

fn answer(status: u16, body: &str) -> Result<Answer, Fault> {
    Ok(Answer {
        status,
        body: Bytes::copy_from_slice(body.as_bytes()),
        challenges: Vec::new(),
        address: None,
    })
}

/// A small web: what each URL answers; everything else is 404.
#[derive(Default)]
struct Web(BTreeMap<String, (u16, String)>);

impl Web {
    fn good() -> Self {
        let mut web = Self::default();
        web.put(PRM, prm(TARGET, &["https://as.example.com"]));
        web.put(AS, server("https://as.example.com"));
        web
    }

    fn put(&mut self, url: &str, document: serde_json::Value) {
        self.0.insert(url.to_owned(), (200, document.to_string()));
    }

    /// What is found, and what was asked for on the way.
    fn discover(&self, mut discovery: Discovery) -> (Discovered, Vec<String>) {
        let mut asked = Vec::new();
        while let Some(ask) = discovery.poll_ask() {
            let url = ask.url.to_string();
            let found = self.0.get(&url);
            let (status, body) = found.map_or((404, ""), |(status, body)| (*status, body));
            asked.push(url);
            discovery.handle_answer(&answer(status, body));
            assert!(asked.len() <= 12, "{asked:?}");
        }
        (discovery.finish(), asked)
    }

    fn of(&self, challenge: &Challenge) -> (Discovered, Vec<String>) {
        self.discover(Discovery::new(&TARGET.parse().unwrap(), challenge))
    }
}

fn prm(resource: &str, servers: &[&str]) -> serde_json::Value {
    json!({ "resource": resource, "authorization_servers": servers })
}

fn server(issuer: &str) -> serde_json::Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "code_challenge_methods_supported": ["S256"],
    })
}

fn named(url: &str) -> Challenge {
    Challenge {
        resource_metadata: Some(url.to_owned()),
        scope: None,
    }
}

#[test]
fn the_first_good_place_ends_the_search() {
    let (found, asked) = Web::good().of(&Challenge::default());
    assert!(found.is_healthy(), "{found:?}");
    assert_eq!(asked, [PRM, AS]);
    assert_eq!((found.resource_problem, found.server_problem), (None, None));

    let mut web = Web::default();
    web.put(
        "https://elsewhere.example.com/prm",
        prm(TARGET, &["https://as.example.com/tenant1"]),
    );
    let tenant = "https://as.example.com/tenant1/.well-known/openid-configuration";
    web.put(tenant, server("https://as.example.com/tenant1"));
    let (found, asked) = web.of(&named("https://elsewhere.example.com/prm"));
    assert!(found.is_healthy(), "{found:?}");
    assert_eq!(
        asked,
        [
            "https://elsewhere.example.com/prm",
            "https://as.example.com/.well-known/oauth-authorization-server/tenant1",
            "https://as.example.com/.well-known/openid-configuration/tenant1",
            tenant,
        ]
    );
}

#[test]
fn a_root_document_may_be_about_the_whole_host() {
    let mut web = Web::default();
    web.put(
        ROOT_PRM,
        prm("https://mcp.example.com", &["https://as.example.com"]),
    );
    web.put(OPENID, server("https://as.example.com"));
    let (found, asked) = web.of(&Challenge::default());
    assert!(
        found.is_healthy() && found.resource_problem.is_none(),
        "{found:?}"
    );
    assert_eq!(asked, [PRM, ROOT_PRM, AS, OPENID]);
    // Named by the challenge it must be about the URL itself; it is used, and the flaw is said.
    let (found, _) = web.of(&named(ROOT_PRM));
    assert!(found.is_healthy(), "{found:?}");
    assert!(found.resource_problem.unwrap().contains("above this URL"));
}

#[test]
fn what_is_about_another_resource_or_issuer_is_not_used() {
    let mut web = Web::good();
    web.put(
        PRM,
        prm("https://evil.example.com/mcp", &["https://as.example.com"]),
    );
    let (found, asked) = web.of(&Challenge::default());
    assert_eq!(asked, [PRM], "a foreign document ends the search");
    assert!(found.resource.is_none() && found.server.is_none());
    let (reason, said) = found.problem().unwrap();
    assert_eq!(reason, Reason::AuthMalformed);
    assert!(said.contains("not about this URL"), "{said}");

    let mut web = Web::good();
    web.put(AS, server("https://evil.example.com"));
    let (found, asked) = web.of(&Challenge::default());
    assert_eq!(asked, [PRM, AS, OPENID]);
    assert!(found.server.is_none() && !found.is_healthy());
    let said = found.problem().unwrap().1;
    assert!(said.contains("https://evil.example.com"), "{said}");
}

type Spoil = fn(&mut Web);

#[test]
fn each_flaw_of_the_wall_is_said() {
    let cases: [(Spoil, &str); 5] = [
        (
            |web| web.put(PRM, prm(TARGET, &[])),
            "names no authorization_servers",
        ),
        (
            |web| web.put(PRM, prm(TARGET, &["http://as.example.com"])),
            "is no https URL",
        ),
        (
            |web| {
                web.0.insert(AS.to_owned(), (302, String::new()));
            },
            "redirects (302), which is not followed",
        ),
        (
            |web| {
                web.0.insert(AS.to_owned(), (200, "<html>".to_owned()));
            },
            "is no JSON object",
        ),
        (
            |web| {
                let mut document = server("https://as.example.com");
                document["code_challenge_methods_supported"] = json!(["plain"]);
                web.put(AS, document);
            },
            "S256",
        ),
    ];
    for (spoil, said) in cases {
        let mut web = Web::good();
        spoil(&mut web);
        let (found, _) = web.of(&Challenge::default());
        assert!(!found.is_healthy(), "{said}");
        let problems = [found.resource_problem, found.server_problem];
        let problems: Vec<String> = problems.into_iter().flatten().collect();
        assert!(problems.join("; ").contains(said), "{problems:?}");
    }
}

#[test]
fn a_challenge_that_leads_nowhere_is_a_flaw_though_a_well_known_place_is_good() {
    for place in [
        "https://mcp.example.com/nowhere",
        "not a url",
        "file:///etc/passwd",
    ] {
        let (found, asked) = Web::good().of(&named(place));
        assert!(found.is_healthy(), "{found:?}");
        assert!(found.resource_problem.is_some(), "{place}");
        assert!(
            asked.iter().all(|url| url.starts_with("https://")),
            "{asked:?}"
        );
    }
}

/// 2025-03-26: no resource metadata, the MCP server's origin is the issuer.
#[test]
fn without_resource_metadata_the_own_origin_is_asked() {
    let mut web = Web::default();
    web.put(
        "https://mcp.example.com/.well-known/oauth-authorization-server",
        server("https://mcp.example.com"),
    );
    let (found, _) = web.of(&Challenge::default());
    assert!(found.server.is_some() && !found.is_healthy());
    assert!(found.resource_problem.is_some());
}

#[test]
fn a_silent_server_is_down_and_an_absent_document_is_malformed() {
    let mut discovery = Discovery::new(&TARGET.parse().unwrap(), &Challenge::default());
    while discovery.poll_ask().is_some() {
        discovery.handle_answer(&Err(Fault {
            reason: Reason::TcpRefused,
            detail: "connection refused".to_owned(),
        }));
    }
    let (reason, said) = discovery.finish().problem().unwrap();
    assert_eq!(reason, Reason::AuthServerDown);
    assert!(said.contains("tcp_refused"), "{said}");
    let (found, _) = Web::default().of(&Challenge::default());
    assert_eq!(found.problem().unwrap().0, Reason::AuthMalformed);
}

#[test]
fn a_named_issuer_is_asked_and_nobody_else() {
    let issuer = "https://as.example.com";
    let (found, asked) =
        Web::good().discover(Discovery::of_issuer(&TARGET.parse().unwrap(), issuer));
    assert_eq!(asked, [AS]);
    assert!(found.server.is_some() && found.problem().is_none());
}

proptest! {
    /// Whatever is answered, the walk ends, and what it accepts is what was asked about.
    #[test]
    fn the_walk_ends(
        named in proptest::option::of("[ -~]{0,30}"),
        answers in proptest::collection::vec((prop_oneof![Just(200u16), 100..600u16], 0..6usize), 12),
    ) {
        let target: Url = TARGET.parse().unwrap();
        let challenge = Challenge { resource_metadata: named, scope: None };
        let mut discovery = Discovery::new(&target, &challenge);
        let bodies = [
            String::new(), "{}".to_owned(), "[1]".to_owned(),
            prm(TARGET, &["https://as.example.com", "x", "https://as.example.com/t", "https://b", "https://c"]).to_string(),
            server("https://as.example.com/t").to_string(),
            prm("https://evil.example.com", &["https://as.example.com"]).to_string(),
        ];
        let mut asked = 0;
        while discovery.poll_ask().is_some() {
            let (status, body) = answers[asked];
            discovery.handle_answer(&answer(status, &bodies[body]));
            asked += 1;
            prop_assert!(asked <= 12);
        }
        let found = discovery.finish();
        if let Some((_, resource)) = &found.resource {
            prop_assert!(resource.fit(&target) != Fit::Other);
        }
        prop_assert!(found.server.is_some() || found.problem().is_some());
    }
}
