//! Dynamic client registration (RFC 7591), for servers that know no other way.

use model::Reason;
use model::report::ClientAuthentication;
use serde_json::{Value, json};

use crate::client::{Client, Proof};
use crate::metadata::ServerMetadata;
use crate::net::{Answer, Fault};
use crate::secret::Secret;
use crate::token::Refusal;

/// The longest client id and secret that are taken.
const MAX_BYTES: usize = 4096;

/// The registration of a native client, public where the server lets it be.
pub(super) fn request(server: &ServerMetadata, redirect_uri: &str) -> String {
    json!({
        "client_name": "Parallax",
        "application_type": "native",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method(server).as_str(),
    })
    .to_string()
}

fn method(server: &ServerMetadata) -> ClientAuthentication {
    let preferred = [
        ClientAuthentication::None,
        ClientAuthentication::Basic,
        ClientAuthentication::Post,
    ];
    let Some(listed) = &server.auth_methods else {
        return ClientAuthentication::None;
    };
    let takes = |method: &ClientAuthentication| listed.iter().any(|one| one == method.as_str());
    preferred
        .into_iter()
        .find(takes)
        .unwrap_or(ClientAuthentication::None)
}

/// A client, and how it authenticates.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) client: Client,
    pub(super) method: ClientAuthentication,
    /// When its secret ends, seconds since the Unix epoch (RFC 7591 §3.2.1).
    pub(super) secret_expires_at: Option<i64>,
}

/// The client that was registered, and how it authenticates: as the server says, else as was asked.
pub(super) fn read(
    answer: &Result<Answer, Fault>,
    server: &ServerMetadata,
) -> Result<Registered, Refusal> {
    let down = |detail: String| Refusal {
        reason: Reason::AuthServerDown,
        detail,
        is_final: false,
        refresh: None,
    };
    let answer = answer.as_ref().map_err(|fault| {
        down(format!(
            "does not answer: {}: {}",
            fault.reason, fault.detail
        ))
    })?;
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if !matches!(answer.status, 200 | 201) {
        let error = json["error"].as_str().unwrap_or("no error code");
        return Err(Refusal {
            reason: Reason::AuthCredentialRefused,
            detail: format!(
                "answers {} ({})",
                answer.status,
                model::text::line(error, 60)
            ),
            is_final: false,
            refresh: None,
        });
    }
    let field = |name: &str| {
        let text = json[name].as_str()?;
        (1..=MAX_BYTES)
            .contains(&text.len())
            .then(|| text.to_owned())
    };
    let id = field("client_id");
    let id = id.ok_or_else(|| down(format!("answers {} without client_id", answer.status)))?;
    let granted = field("token_endpoint_auth_method");
    let granted: Option<ClientAuthentication> = granted.and_then(|word| word.parse().ok());
    let (proof, method) = match (field("client_secret"), granted.unwrap_or(method(server))) {
        (Some(secret), ClientAuthentication::None) if granted.is_none() => {
            // A secret that nobody asked for is still the client's.
            (
                Proof::Secret(Secret::new(secret)),
                ClientAuthentication::Basic,
            )
        }
        (Some(_) | None, ClientAuthentication::None | ClientAuthentication::PrivateKeyJwt)
        | (None, ClientAuthentication::Basic | ClientAuthentication::Post) => {
            (Proof::Nothing, ClientAuthentication::None)
        }
        (Some(secret), method) => (Proof::Secret(Secret::new(secret)), method),
    };
    let has_secret = matches!(proof, Proof::Secret(_));
    // 0 stands for a secret that does not end.
    let ends = json["client_secret_expires_at"].as_i64();
    let ends = ends.filter(|at| has_secret && *at > 0);
    Ok(Registered {
        client: Client { id, proof },
        method,
        secret_expires_at: ends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn server(methods: &str) -> ServerMetadata {
        let document = format!("{{\"token_endpoint_auth_methods_supported\":{methods}}}");
        ServerMetadata::read(document.as_bytes()).unwrap()
    }

    fn answer(status: u16, body: &str) -> Result<Answer, Fault> {
        Ok(Answer {
            status,
            body: Bytes::copy_from_slice(body.as_bytes()),
            challenges: Vec::new(),
            address: None,
        })
    }

    /// RFC 7591 §2, §3.2.
    #[test]
    fn a_client_authenticates_as_it_was_registered() {
        use ClientAuthentication::{Basic, None as Public, Post};
        let table = [
            ("[\"none\"]", r#"{"client_id":"a"}"#, Public),
            (
                "[\"none\",\"client_secret_basic\"]",
                r#"{"client_id":"a"}"#,
                Public,
            ),
            (
                "[\"client_secret_post\"]",
                r#"{"client_id":"a","client_secret":"s"}"#,
                Post,
            ),
            (
                "[\"client_secret_basic\"]",
                r#"{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"client_secret_post"}"#,
                Post,
            ),
            (
                "[\"none\"]",
                r#"{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"none"}"#,
                Public,
            ),
            ("null", r#"{"client_id":"a","client_secret":"s"}"#, Basic),
        ];
        for (methods, body, expected) in table {
            let Registered { client, method, .. } =
                read(&answer(201, body), &server(methods)).unwrap();
            assert_eq!(
                (client.id.as_str(), method),
                ("a", expected),
                "{methods} {body}"
            );
            assert_eq!(matches!(client.proof, Proof::Nothing), method == Public);
        }
        let asked: Value = serde_json::from_str(&request(
            &server("[\"none\"]"),
            "http://127.0.0.1:1/callback",
        ))
        .unwrap();
        assert_eq!(asked["application_type"], "native");
        assert_eq!(asked["redirect_uris"][0], "http://127.0.0.1:1/callback");
    }

    /// RFC 7591 §3.2.1: 0 stands for never.
    #[test]
    fn a_secret_ends_when_the_registration_says_so() {
        for (body, ends) in [
            (
                r#"{"client_id":"a","client_secret":"s","client_secret_expires_at":1577858400}"#,
                Some(1_577_858_400),
            ),
            (
                r#"{"client_id":"a","client_secret":"s","client_secret_expires_at":0}"#,
                None,
            ),
            (
                r#"{"client_id":"a","client_secret_expires_at":1577858400}"#,
                None,
            ),
        ] {
            let registered = read(&answer(201, body), &server("null")).unwrap();
            assert_eq!(registered.secret_expires_at, ends, "{body}");
        }
    }

    #[test]
    fn a_refused_registration_says_why() {
        let refused = answer(400, r#"{"error":"invalid_redirect_uri"}"#);
        let refusal = read(&refused, &server("null")).unwrap_err();
        assert_eq!(refusal.reason, Reason::AuthCredentialRefused);
        assert_eq!(refusal.detail, "answers 400 (invalid_redirect_uri)");
        let odd = read(&answer(201, "<html>"), &server("null")).unwrap_err();
        assert_eq!(odd.reason, Reason::AuthServerDown);
    }
}
