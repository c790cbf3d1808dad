//! Authorization server metadata (RFC 8414, OpenID Connect Discovery 1.0).

use serde_json::Value;
use url::Url;

use crate::place;

/// The metadata of an authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerMetadata {
    /// `issuer`, as it is written.
    pub issuer: String,
    /// `authorization_endpoint`.
    pub authorization_endpoint: Option<Url>,
    /// `token_endpoint`.
    pub token_endpoint: Option<Url>,
    /// `registration_endpoint` (RFC 7591).
    pub registration_endpoint: Option<Url>,
    /// `grant_types_supported`.
    pub grant_types: Option<Vec<String>>,
    /// `code_challenge_methods_supported` (RFC 7636).
    pub challenge_methods: Option<Vec<String>>,
    /// `token_endpoint_auth_methods_supported`.
    pub auth_methods: Option<Vec<String>>,
    /// `token_endpoint_auth_signing_alg_values_supported`.
    pub signing_algorithms: Option<Vec<String>>,
    /// `scopes_supported`.
    pub scopes: Option<Vec<String>>,
    /// `client_id_metadata_document_supported`.
    pub takes_metadata_documents: bool,
    /// `authorization_response_iss_parameter_supported` (RFC 9207).
    pub names_itself: bool,
}

/// How the `issuer` of a document stands to the one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerFit {
    /// Identical, as RFC 8414 §3.3 demands.
    Same,
    /// But for a slash at the end: of the same origin and path.
    Slash,
    /// Another one: not to be used.
    Other,
}

impl ServerMetadata {
    /// Reads a document; `None` where it is no JSON object.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let document = super::object(body)?;
        let url = |field| super::text(&document, field).and_then(|text| Url::parse(&text).ok());
        let list = |field| super::list(&document, field);
        let flag = |field: &str| document[field] == Value::Bool(true);
        Some(Self {
            issuer: super::text(&document, "issuer").unwrap_or_default(),
            authorization_endpoint: url("authorization_endpoint"),
            token_endpoint: url("token_endpoint"),
            registration_endpoint: url("registration_endpoint"),
            grant_types: list("grant_types_supported"),
            challenge_methods: list("code_challenge_methods_supported"),
            auth_methods: list("token_endpoint_auth_methods_supported"),
            signing_algorithms: list("token_endpoint_auth_signing_alg_values_supported"),
            scopes: list("scopes_supported"),
            takes_metadata_documents: flag("client_id_metadata_document_supported"),
            names_itself: flag("authorization_response_iss_parameter_supported"),
        })
    }

    /// What a server of 2025-03-26 without metadata is taken to be: its endpoints lie at its origin
    /// (2025-03-26 basic/authorization#fallbacks-for-servers-without-metadata-discovery).
    #[must_use]
    pub fn assumed(origin: &str) -> Self {
        let at = |path: &str| Url::parse(&format!("{origin}{path}")).ok();
        Self {
            issuer: origin.to_owned(),
            authorization_endpoint: at("/authorize"),
            token_endpoint: at("/token"),
            registration_endpoint: at("/register"),
            grant_types: None,
            challenge_methods: None,
            auth_methods: None,
            signing_algorithms: None,
            scopes: None,
            takes_metadata_documents: false,
            names_itself: false,
        }
    }

    /// How its issuer stands to the one that was asked for.
    #[must_use]
    pub fn fit(&self, issuer: &str) -> IssuerFit {
        if issuer.is_empty() {
            IssuerFit::Other
        } else if self.issuer == issuer {
            IssuerFit::Same
        } else if self.issuer.trim_end_matches('/') == issuer.trim_end_matches('/') {
            IssuerFit::Slash
        } else {
            IssuerFit::Other
        }
    }

    /// Whether the user flow can use PKCE with S256, which clients must see before they begin it.
    #[must_use]
    pub fn has_s256(&self) -> bool {
        let methods = self.challenge_methods.as_ref();
        methods.is_some_and(|methods| methods.iter().any(|method| method == "S256"))
    }

    /// Whether users can sign in at all. Where it is not said they can (RFC 8414 §2).
    #[must_use]
    pub fn has_user_flow(&self) -> bool {
        let grants = self.grant_types.as_ref();
        grants.is_none_or(|grants| grants.iter().any(|grant| grant == "authorization_code"))
    }

    /// What keeps a client from getting a token, the first of it.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let Some(token) = &self.token_endpoint else {
            return Some("it names no token_endpoint".to_owned());
        };
        let endpoints = [
            ("token_endpoint", Some(token)),
            (
                "authorization_endpoint",
                self.authorization_endpoint.as_ref(),
            ),
            ("registration_endpoint", self.registration_endpoint.as_ref()),
        ];
        for (field, url) in endpoints {
            if let Some(url) = url.filter(|url| !place::is_private(url)) {
                return Some(format!("its {field} {} is not https", place::shown(url)));
            }
        }
        if !self.has_user_flow() {
            return None;
        }
        if self.authorization_endpoint.is_none() {
            return Some("it names no authorization_endpoint".to_owned());
        }
        if !self.has_s256() {
            return Some("it does not list S256 in code_challenge_methods_supported".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn document() -> Value {
        json!({
            "issuer": "https://as.example.com",
            "authorization_endpoint": "https://as.example.com/authorize",
            "token_endpoint": "https://as.example.com/token",
            "code_challenge_methods_supported": ["plain", "S256"],
        })
    }

    fn read(change: impl FnOnce(&mut Value)) -> ServerMetadata {
        let mut document = document();
        change(&mut document);
        ServerMetadata::read(document.to_string().as_bytes()).unwrap()
    }

    type Change = fn(&mut Value);

    #[test]
    fn each_flaw_is_said() {
        assert_eq!(read(|_| {}).problem(), None);
        let problem = |change: Change| read(change).problem().unwrap();
        let table: [(Change, &str); 5] = [
            (|d| d["token_endpoint"] = Value::Null, "no token_endpoint"),
            (
                |d| d["token_endpoint"] = json!("http://as.example.com/token?key=x"),
                "its token_endpoint http://as.example.com/token is not https",
            ),
            (
                |d| d["authorization_endpoint"] = Value::Null,
                "no authorization_endpoint",
            ),
            (
                |d| d["code_challenge_methods_supported"] = json!(["plain"]),
                "S256",
            ),
            (
                |d| d["code_challenge_methods_supported"] = Value::Null,
                "S256",
            ),
        ];
        for (change, said) in table {
            assert!(problem(change).contains(said), "{said}");
        }
        // A server for machines alone has no users whose codes could be stolen.
        let machines = read(|d| {
            d["grant_types_supported"] = json!(["client_credentials"]);
            d["code_challenge_methods_supported"] = Value::Null;
            d["authorization_endpoint"] = Value::Null;
        });
        assert_eq!(machines.problem(), None);
        let loopback = read(|d| d["token_endpoint"] = json!("http://localhost:9/token"));
        assert_eq!(loopback.problem(), None);
    }

    #[test]
    fn an_issuer_is_identical_or_not_used() {
        let table = [
            ("https://as.example.com", IssuerFit::Same),
            ("https://as.example.com/", IssuerFit::Slash),
            ("https://AS.example.com", IssuerFit::Other),
            ("https://as.example.com/tenant", IssuerFit::Other),
            ("https://evil.example.com", IssuerFit::Other),
            ("", IssuerFit::Other),
        ];
        for (issuer, fit) in table {
            assert_eq!(read(|_| {}).fit(issuer), fit, "{issuer}");
        }
        assert_eq!(
            read(|d| d["issuer"] = Value::Null).fit(""),
            IssuerFit::Other
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>) {
            if let Some(read) = ServerMetadata::read(&body) {
                let _ = (read.problem(), read.fit("https://as.example.com"));
            }
        }
    }
}
