//! Where metadata may lie, and what the target is called (RFC 9728 §3.1, RFC 8414 §3.1, OpenID
//! Connect Discovery §4, RFC 8707 §2).

use url::{Host, Url};

/// How a place of protected resource metadata became known. What its `resource` must be depends on
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The challenge named it.
    Challenge,
    /// It is the well-known place of the target's own path.
    Path,
    /// It is the well-known place of the target's host.
    Root,
}

/// The canonical URI of an MCP server: the value of `resource` in authorization and token requests.
/// Without fragment and query; a query may hold what authorization servers should not learn.
#[must_use]
pub fn canonical(target: &Url) -> String {
    let bare = without_query(target);
    match bare.path() {
        "/" => bare.as_str().trim_end_matches('/').to_owned(),
        _ => bare.into(),
    }
}

/// Where the protected resource metadata of a target may lie, in the order in which to look:
/// the place that the challenge names, then both well-known ones. A place comes once.
#[must_use]
pub fn of_resource(target: &Url, named: Option<&Url>) -> Vec<(Origin, Url)> {
    let mut places = Vec::with_capacity(3);
    places.extend(named.map(|url| (Origin::Challenge, url.clone())));
    let suffix = match target.path() {
        "/" => None,
        path => Some(path),
    };
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    if let Some(path) = suffix {
        let url = at(target, &format!("{WELL_KNOWN}{path}"));
        places.push((Origin::Path, url));
    }
    places.push((Origin::Root, at(target, WELL_KNOWN)));
    let mut seen: Vec<Url> = Vec::with_capacity(3);
    places.retain(|(_, url)| {
        let is_new = !seen.contains(url);
        seen.push(url.clone());
        is_new
    });
    places
}

/// Where the metadata of an issuer may lie, in the order in which to look.
#[must_use]
pub fn of_server(issuer: &Url) -> Vec<Url> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let path = issuer.path().trim_end_matches('/');
    if path.is_empty() {
        return vec![at(issuer, OAUTH), at(issuer, OPENID)];
    }
    vec![
        at(issuer, &format!("{OAUTH}{path}")),
        at(issuer, &format!("{OPENID}{path}")),
        at(issuer, &format!("{path}{OPENID}")),
    ]
}

/// Whether nobody between here and there can read what is sent: https, or a host that is this
/// machine (RFC 8252 §8.3 allows that for loopback).
#[must_use]
pub fn is_private(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => true,
        "http" => is_loopback,
        _ => false,
    }
}

/// A URL as it may be shown: without user info, query and fragment, escaped and cut.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut bare = without_query(url);
    // Only URLs without a host have none to set.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    model::text::line(bare.as_str(), 200)
}

pub(crate) fn without_query(url: &Url) -> Url {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    bare
}

fn at(url: &Url, path: &str) -> Url {
    let mut there = without_query(url);
    there.set_path(path);
    there
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn urls(places: &[Url]) -> Vec<&str> {
        places.iter().map(Url::as_str).collect()
    }

    /// The examples of RFC 9728 §3.1 and of 2025-11-25 basic/authorization.
    #[test]
    fn resource_metadata_is_looked_for_in_order() {
        let target = "https://example.com/public/mcp?key=x".parse().unwrap();
        let named = "https://meta.example.com/custom.json".parse().unwrap();
        let places = of_resource(&target, Some(&named));
        let kinds: Vec<Origin> = places.iter().map(|(origin, _)| *origin).collect();
        let found: Vec<Url> = places.into_iter().map(|(_, url)| url).collect();
        assert_eq!(
            urls(&found),
            [
                "https://meta.example.com/custom.json",
                "https://example.com/.well-known/oauth-protected-resource/public/mcp",
                "https://example.com/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(kinds, [Origin::Challenge, Origin::Path, Origin::Root]);
        let root = "https://example.com/".parse().unwrap();
        assert_eq!(of_resource(&root, None).len(), 1);
        // A challenge that names a well-known place does not make it come twice.
        let named = "https://example.com/.well-known/oauth-protected-resource".parse();
        assert_eq!(of_resource(&root, named.ok().as_ref()).len(), 1);
    }

    /// The lists of 2025-11-25 basic/authorization#authorization-server-metadata-discovery.
    #[test]
    fn server_metadata_is_looked_for_in_order() {
        let tenant = "https://auth.example.com/tenant1".parse().unwrap();
        assert_eq!(
            urls(&of_server(&tenant)),
            [
                "https://auth.example.com/.well-known/oauth-authorization-server/tenant1",
                "https://auth.example.com/.well-known/openid-configuration/tenant1",
                "https://auth.example.com/tenant1/.well-known/openid-configuration",
            ]
        );
        for issuer in ["https://auth.example.com", "https://auth.example.com/"] {
            assert_eq!(
                urls(&of_server(&issuer.parse().unwrap())),
                [
                    "https://auth.example.com/.well-known/oauth-authorization-server",
                    "https://auth.example.com/.well-known/openid-configuration",
                ]
            );
        }
    }

    #[test]
    fn the_canonical_uri_has_neither_query_nor_fragment() {
        let table = [
            (
                "https://MCP.example.com/mcp?key=x#y",
                "https://mcp.example.com/mcp",
            ),
            ("https://mcp.example.com", "https://mcp.example.com"),
            (
                "https://mcp.example.com:8443",
                "https://mcp.example.com:8443",
            ),
            (
                "https://mcp.example.com/server/mcp",
                "https://mcp.example.com/server/mcp",
            ),
        ];
        for (given, canonical_uri) in table {
            assert_eq!(canonical(&given.parse().unwrap()), canonical_uri);
        }
    }

    #[test]
    fn secrets_travel_over_https_and_within_this_machine() {
        for (url, private) in [
            ("https://a/", true),
            ("http://a/", false),
            ("http://localhost:1/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]/", true),
            ("http://10.0.0.1/", false),
            ("http://localhost.example.com/", false),
            ("ftp://localhost/", false),
        ] {
            assert_eq!(is_private(&url.parse().unwrap()), private, "{url}");
        }
        let url = "https://u:p@h/a?key=x#f".parse().unwrap();
        assert_eq!(shown(&url), "https://h/a");
    }

    proptest! {
        /// What is looked up without being named stays at the target's own origin.
        #[test]
        fn well_known_places_are_of_the_same_origin(path in "[ -~]{0,40}") {
            let mut target: Url = "https://example.com/".parse().unwrap();
            target.set_path(&path);
            for (_, url) in of_resource(&target, None) {
                prop_assert_eq!(url.origin(), target.origin());
                prop_assert!(url.query().is_none());
            }
            for url in of_server(&target) {
                prop_assert_eq!(url.origin(), target.origin());
            }
        }
    }
}
