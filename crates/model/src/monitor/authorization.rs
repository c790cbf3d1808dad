//! Where the access tokens of a monitor come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};

use super::{FieldError, MonitorSpec, Secret};
use crate::report::ClientAuthentication;

/// The longest id, scope and URL.
const MAX_BYTES: usize = 2048;
/// The longest secret, key and token set.
const MAX_SECRET_BYTES: usize = 32 << 10;

crate::closed_words! {
    /// How tokens are got.
    pub enum Grant ("grant") {
        /// By a client of its own (RFC 6749 §4.4).
        ClientCredentials = "client_credentials",
        /// With the tokens that `parallax auth login` left, which are renewed.
        TokenSet = "token_set",
    }
}

/// Where the access tokens of a monitor come from. The coordinator gets and renews them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// How tokens are got.
    pub grant: Grant,
    /// The client, for `client_credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its secret; or it is given later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// Its private key, PEM, EC P-256 or RSA, in place of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<Secret>,
    /// How it proves itself, in place of what the authorization server's metadata says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<ClientAuthentication>,
    /// The issuer that the credential is for. Without it the target names its authorization server,
    /// and that one gets the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The token endpoint, without any discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// The scope to ask for, in place of what the target's metadata lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// `resource`, in place of what the metadata calls the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// What `parallax auth login` wrote, for `token_set`; or it is given later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Secret>,
}

impl Authorization {
    /// Of this grant, and nothing else said.
    #[must_use]
    pub const fn new(grant: Grant) -> Self {
        Self {
            grant,
            client_id: None,
            client_secret: None,
            private_key: None,
            method: None,
            issuer: None,
            token_url: None,
            scope: None,
            resource: None,
            tokens: None,
        }
    }

    /// It as JSON **with its secrets**, for the one who may have them.
    #[must_use]
    pub fn written(&self) -> Value {
        let mut written = serde_json::to_value(self).unwrap_or_default();
        for (name, secret) in self.secrets() {
            if let Some(secret) = secret {
                written[name] = secret.expose().into();
            }
        }
        written
    }

    const fn secrets(&self) -> [(&'static str, Option<&Secret>); 3] {
        [
            ("client_secret", self.client_secret.as_ref()),
            ("private_key", self.private_key.as_ref()),
            ("tokens", self.tokens.as_ref()),
        ]
    }

    /// What is wrong with it, by field.
    fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        let texts = [
            ("client_id", self.client_id.as_ref()),
            ("scope", self.scope.as_ref()),
            ("resource", self.resource.as_ref()),
        ];
        let set = texts
            .iter()
            .filter_map(|(name, text)| Some((*name, (*text)?)));
        for (name, text) in set {
            if text.is_empty() || text.len() > MAX_BYTES || text.chars().any(char::is_control) {
                problems.push((name, "is empty, longer than 2048 bytes, or no line"));
            }
        }
        for (name, secret) in self.secrets() {
            let Some(secret) = secret else {
                continue;
            };
            if secret.is_hidden() {
                let way_out = "stands for a hidden value; send the value itself, or leave it out";
                problems.push((name, way_out));
            } else if secret.expose().is_empty() || secret.expose().len() > MAX_SECRET_BYTES {
                problems.push((name, "is empty, or longer than 32 KiB"));
            }
        }
        for (name, url) in [("issuer", &self.issuer), ("token_url", &self.token_url)] {
            if url.as_ref().is_some_and(|url| !is_private(url)) {
                let way_out = "is no https URL; a secret goes over https only";
                problems.push((name, way_out));
            }
        }
        problems.extend(self.contradictions());
        problems
    }

    fn contradictions(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        match self.grant {
            Grant::ClientCredentials => {
                if self.client_id.is_none() {
                    problems.push(("client_id", "is missing; it names the client"));
                }
                if self.tokens.is_some() {
                    problems.push(("tokens", "belong to the grant token_set"));
                }
                if self.client_secret.is_some() && self.private_key.is_some() {
                    problems.push(("private_key", "is given beside a secret; leave one out"));
                }
            }
            Grant::TokenSet => {
                let way_out = "belongs to the grant client_credentials; tokens know their own";
                let foreign = [
                    ("client_id", self.client_id.is_some()),
                    ("client_secret", self.client_secret.is_some()),
                    ("private_key", self.private_key.is_some()),
                    ("method", self.method.is_some()),
                    ("issuer", self.issuer.is_some()),
                    ("token_url", self.token_url.is_some()),
                    ("scope", self.scope.is_some()),
                    ("resource", self.resource.is_some()),
                ];
                let foreign = foreign.iter().filter(|(_, is_set)| *is_set);
                problems.extend(foreign.map(|(name, _)| (*name, way_out)));
            }
        }
        problems
    }
}

impl MonitorSpec {
    /// Whether its requests carry something that gets past a wall: tokens, or a header whose name
    /// says so.
    #[must_use]
    pub fn has_credential(&self) -> bool {
        let mut names = self.headers.keys();
        self.authorization.is_some() || names.any(|name| crate::header::is_credential(name))
    }

    /// When the operator says that the credential ends, seconds since the Unix epoch.
    #[must_use]
    pub fn declared_end(&self) -> Option<i64> {
        let end: jiff::Timestamp = self.credential_expires_at.as_ref()?.parse().ok()?;
        Some(end.as_second())
    }

    pub(super) fn authorization_problems(&self, problems: &mut Vec<FieldError>) {
        if self.credential_expires_at.is_some() && self.declared_end().is_none() {
            let detail = "is no time; write it like 2027-01-31T00:00:00Z";
            problems.push(FieldError::new("/credential_expires_at", detail));
        }
        let Some(authorization) = &self.authorization else {
            return;
        };
        for (name, detail) in authorization.problems() {
            problems.push(FieldError::new(format!("/authorization/{name}"), detail));
        }
        let mut names = self.headers.keys();
        if names.any(|name| name.eq_ignore_ascii_case("authorization")) {
            let detail = "is given beside `authorization`, which sets it; leave one out";
            problems.push(FieldError::new("/headers/authorization", detail));
        }
        if !is_private(&self.url.to_string()) {
            let detail = "the URL is http, and tokens go over https only";
            problems.push(FieldError::new("/authorization", detail));
        }
    }
}

/// Whether nobody between here and there can read what is sent: https, or this machine.
fn is_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.as_str().len() <= MAX_BYTES
        && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointers(url: &str, authorization: &Value) -> Vec<String> {
        let spec = json!({ "url": url, "authorization": authorization });
        let spec: MonitorSpec = serde_json::from_value(spec).unwrap();
        let problems = spec.problems().into_iter();
        problems.map(|problem| problem.pointer).collect()
    }

    #[test]
    fn what_contradicts_itself_is_named_by_field() {
        let long = "x".repeat(40_000);
        let table = [
            (json!({ "grant": "token_set" }), vec![]),
            (json!({ "grant": "token_set", "tokens": "{}" }), vec![]),
            (
                json!({ "grant": "token_set", "client_id": "c", "scope": "a" }),
                vec!["client_id", "scope"],
            ),
            (json!({ "grant": "client_credentials" }), vec!["client_id"]),
            (
                json!({ "grant": "client_credentials", "client_id": "c", "client_secret": "s",
                    "issuer": "https://as.example.com", "scope": "a b", "resource": "urn:x",
                    "method": "client_secret_post", "token_url": "http://localhost:1/token" }),
                vec![],
            ),
            (
                json!({ "grant": "client_credentials", "client_id": "c\n", "client_secret": "s",
                    "private_key": "k", "tokens": "t" }),
                vec!["client_id", "tokens", "private_key"],
            ),
            (
                json!({ "grant": "client_credentials", "client_id": "c",
                    "client_secret": "(hidden)", "issuer": "http://as.example.com",
                    "token_url": "as.example.com" }),
                vec!["client_secret", "issuer", "token_url"],
            ),
            (
                json!({ "grant": "token_set", "tokens": long }),
                vec!["tokens"],
            ),
        ];
        for (authorization, fields) in table {
            let expected: Vec<String> = fields
                .iter()
                .map(|field| format!("/authorization/{field}"))
                .collect();
            assert_eq!(
                pointers("https://x/mcp", &authorization),
                expected,
                "{authorization}"
            );
        }
        let grant = json!({ "grant": "token_set" });
        assert_eq!(pointers("http://x/mcp", &grant), ["/authorization"]);
        let both = json!({ "url": "https://x/", "headers": { "Authorization": "Bearer x" },
            "authorization": grant, "credential_expires_at": "soon" });
        let both: MonitorSpec = serde_json::from_value(both).unwrap();
        let pointers: Vec<String> = both.problems().into_iter().map(|p| p.pointer).collect();
        assert_eq!(
            pointers,
            ["/credential_expires_at", "/headers/authorization"]
        );
    }

    #[test]
    fn secrets_are_taken_and_not_given() {
        let given = json!({ "grant": "client_credentials", "client_id": "c",
            "client_secret": "s3cret", "method": "client_secret_basic" });
        let read: Authorization = serde_json::from_value(given.clone()).unwrap();
        let shown = format!("{read:?}{}", serde_json::to_string(&read).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(read.written(), given);
        let wrong = json!({ "grant": "token_set", "tokens": { "access_token": "s3cret" } });
        let error = serde_json::from_value::<Authorization>(wrong).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[test]
    fn a_header_is_a_credential_if_its_name_says_so() {
        for (header, is_one) in [
            ("Authorization", true),
            ("x-api-key", true),
            ("Cookie", true),
            ("PRIVATE-TOKEN", true),
            ("x-tenant", false),
            ("accept-language", false),
        ] {
            let spec = json!({ "url": "https://x/", "headers": { header: "v" } });
            let spec: MonitorSpec = serde_json::from_value(spec).unwrap();
            assert_eq!(spec.has_credential(), is_one, "{header}");
        }
    }

    #[test]
    fn a_declared_end_is_a_time() {
        let spec = |end: &str| {
            let spec = json!({ "url": "https://x/", "credential_expires_at": end });
            serde_json::from_value::<MonitorSpec>(spec).unwrap()
        };
        assert_eq!(spec("1970-01-02T00:00:00Z").declared_end(), Some(86_400));
        assert_eq!(
            spec("1970-01-02T01:00:00+01:00").declared_end(),
            Some(86_400)
        );
        assert_eq!(spec("1970-01-02").declared_end(), None);
    }
}
