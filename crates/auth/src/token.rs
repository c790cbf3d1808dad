//! Token requests and their answers (RFC 6749 §4.4, §5, §6; RFC 7523; RFC 8707).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Reason;
use model::report::ClientAuthentication;
use serde_json::Value;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::client::{Client, Proof};
use crate::jwt;
use crate::secret::Secret;

/// The longest token that is taken: what common servers accept in a header, and some more.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// The longest life that is believed: a token that lives longer is asked for anew after it.
const MAX_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a token is asked for with.
#[derive(Debug, Clone)]
pub enum Grant<'a> {
    /// The client acts for itself (RFC 6749 §4.4).
    ClientCredentials,
    /// A user has just signed in (RFC 6749 §4.1.3, RFC 7636 §4.5).
    Code {
        /// The code that the authorization server gave.
        code: &'a Secret,
        /// The redirect URI of the authorization request.
        redirect_uri: &'a str,
        /// The verifier whose challenge the authorization request carried.
        verifier: &'a Secret,
    },
    /// A user signed in once (RFC 6749 §6).
    Refresh(&'a Secret),
}

/// What a token request is about, beside its grant.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// How the client proves itself.
    pub method: ClientAuthentication,
    /// The audience of an assertion: the issuer (RFC 7523 §3).
    pub audience: &'a str,
    /// `resource`: the canonical URI of the MCP server.
    pub resource: &'a str,
    /// `scope`.
    pub scope: Option<&'a str>,
    /// Seconds since the Unix epoch.
    pub now: i64,
    /// Random, used once.
    pub nonce: [u8; 16],
}

/// A token request, ready to be sent.
#[derive(Debug)]
pub struct TokenRequest {
    /// The value of `Authorization`, if any.
    pub authorization: Option<Secret>,
    /// The body, `application/x-www-form-urlencoded`.
    pub body: Secret,
}

/// Writes a token request; `None` where the key cannot sign.
#[must_use]
pub fn request(client: &Client, grant: &Grant<'_>, terms: &Terms<'_>) -> Option<TokenRequest> {
    let mut form = Serializer::new(String::new());
    match grant {
        Grant::ClientCredentials => {
            form.append_pair("grant_type", "client_credentials");
        }
        Grant::Code {
            code,
            redirect_uri,
            verifier,
        } => {
            form.append_pair("grant_type", "authorization_code")
                .append_pair("code", code.expose())
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("code_verifier", verifier.expose());
        }
        Grant::Refresh(token) => {
            form.append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token.expose());
        }
    }
    form.append_pair("resource", terms.resource);
    if let Some(scope) = terms.scope {
        form.append_pair("scope", scope);
    }
    let mut authorization = None;
    match (terms.method, &client.proof) {
        (ClientAuthentication::Basic, Proof::Secret(secret)) => {
            authorization = Some(basic(&client.id, secret));
        }
        (ClientAuthentication::PrivateKeyJwt, Proof::Key(key)) => {
            let assertion =
                jwt::assertion(key, &client.id, terms.audience, terms.now, terms.nonce)?;
            const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            form.append_pair("client_id", &client.id)
                .append_pair("client_assertion_type", KIND)
                .append_pair("client_assertion", assertion.expose());
        }
        (_, Proof::Secret(secret)) => {
            form.append_pair("client_id", &client.id)
                .append_pair("client_secret", secret.expose());
        }
        (_, Proof::Key(_) | Proof::Nothing) => {
            form.append_pair("client_id", &client.id);
        }
    }
    Some(TokenRequest {
        authorization,
        body: Secret::new(form.finish()),
    })
}

/// HTTP Basic with both parts form-encoded (RFC 6749 §2.3.1).
fn basic(id: &str, secret: &Secret) -> Secret {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

/// An access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// `access_token`: visible ASCII, so that it can be a header.
    pub access: Secret,
    /// `expires_in`.
    pub life: Option<Duration>,
    /// `refresh_token`.
    pub refresh: Option<Secret>,
    /// `scope`, escaped and cut.
    pub scope: Option<String>,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of class `refused`.
    pub reason: Reason,
    /// What came back, in a few words; untrusted text in it is escaped.
    pub detail: String,
    /// Whether the same grant is refused for ever: `invalid_grant` (RFC 6749 §5.2), which says that
    /// it is expired, revoked or used up.
    pub is_final: bool,
    /// `refresh_token`, where the answer has one all the same: then the one that was sent is used up.
    pub refresh: Option<Secret>,
}

/// The texts that a token request makes secret: answers may repeat them.
pub(crate) fn secrets<'a>(client: &'a Client, grant: &Grant<'a>) -> Vec<&'a Secret> {
    let mut secrets: Vec<&Secret> = match grant {
        Grant::ClientCredentials => Vec::new(),
        Grant::Code { code, verifier, .. } => vec![code, verifier],
        Grant::Refresh(token) => vec![token],
    };
    if let Proof::Secret(secret) = &client.proof {
        secrets.push(secret);
    }
    secrets
}

/// A text of the server on one line, cut after what is secret is out of it: half a secret would be
/// found by nobody.
fn discreet(text: &str, max: usize, secrets: &[&Secret]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.expose().len() >= 4) {
        text = text.replace(secret.expose(), "[redacted]");
    }
    model::text::line(&text, max)
}

/// Reads the answer of a token endpoint, which may repeat the `secrets` of the request.
///
/// # Errors
/// It gave no token that can be used.
pub fn read(status: u16, body: &[u8], secrets: &[&Secret]) -> Result<Token, Refusal> {
    // Serde refuses what nests deeper than 128; the size is bounded by whoever read it.
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let refresh = refresh(&json);
    let secrets: Vec<&Secret> = secrets.iter().copied().chain(&refresh).collect();
    let read = usable(status, &json, &secrets);
    read.map_err(|refusal| Refusal { refresh, ..refusal })
}

fn usable(status: u16, json: &Value, secrets: &[&Secret]) -> Result<Token, Refusal> {
    let down = |detail: String| Refusal {
        reason: Reason::AuthServerDown,
        detail,
        is_final: false,
        refresh: None,
    };
    if let Some(error) = json["error"].as_str() {
        let shown = discreet(error, 60, secrets);
        let description = json["error_description"].as_str().unwrap_or_default();
        let description = discreet(description, 120, secrets);
        let detail = match description.as_str() {
            "" => format!("refused with {shown} ({status})"),
            text => format!("refused with {shown} ({status}): {text}"),
        };
        let is_ours = matches!(error, "temporarily_unavailable" | "server_error");
        let reason = if is_ours || status >= 500 {
            Reason::AuthServerDown
        } else {
            Reason::AuthCredentialRefused
        };
        return Err(Refusal {
            reason,
            detail,
            is_final: error == "invalid_grant" && !is_ours && status < 500,
            refresh: None,
        });
    }
    match status {
        200 => token(json).map_err(|problem| down(format!("answers 200, but {problem}"))),
        300..=399 => Err(down(format!("redirects ({status}), which is not followed"))),
        400 | 401 | 403 => Err(Refusal {
            reason: Reason::AuthCredentialRefused,
            detail: format!("refused ({status}) without an error code"),
            is_final: false,
            refresh: None,
        }),
        429 => Err(Refusal {
            reason: Reason::RateLimited,
            detail: "is asked too often (429)".to_owned(),
            is_final: false,
            refresh: None,
        }),
        _ => Err(down(format!("answers {status}"))),
    }
}

fn refresh(json: &Value) -> Option<Secret> {
    let refresh = json["refresh_token"].as_str();
    let refresh = refresh.filter(|text| !text.is_empty() && text.len() <= MAX_TOKEN_BYTES);
    refresh.map(Secret::new)
}

fn token(json: &Value) -> Result<Token, &'static str> {
    let kind = json["token_type"].as_str().unwrap_or_default();
    let access = json["access_token"].as_str().unwrap_or_default();
    if access.is_empty() {
        return Err("without access_token");
    }
    if access.len() > MAX_TOKEN_BYTES || !access.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its access_token is too long, or no header can carry it");
    }
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err("its token_type is not Bearer");
    }
    let life = &json["expires_in"];
    // Some servers write the number as a text.
    let seconds = life.as_f64().or_else(|| life.as_str()?.parse().ok());
    let life = seconds
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .map(|seconds| Duration::from_secs_f64(seconds.min(MAX_LIFE.as_secs_f64())));
    Ok(Token {
        access: Secret::new(access),
        life,
        refresh: refresh(json),
        scope: json["scope"]
            .as_str()
            .map(|scope| model::text::line(scope, 200)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const TERMS: Terms<'_> = Terms {
        method: ClientAuthentication::Basic,
        audience: "https://as.example.com",
        resource: "https://mcp.example.com/mcp",
        scope: Some("a b"),
        now: 1_000,
        nonce: [0; 16],
    };

    fn written(
        method: ClientAuthentication,
        client: &Client,
    ) -> (TokenRequest, BTreeMap<String, String>) {
        let made = request(
            client,
            &Grant::ClientCredentials,
            &Terms { method, ..TERMS },
        )
        .unwrap();
        let form = url::form_urlencoded::parse(made.body.expose().as_bytes());
        let form = form.into_owned().collect();
        (made, form)
    }

    /// RFC 6749 §2.3.1 and §4.4.2, RFC 8707 §2.2.
    #[test]
    fn a_secret_goes_into_the_header_or_the_body_never_both() {
        let client = Client {
            id: "s6BhdRkqt3".to_owned(),
            proof: Proof::Secret(Secret::new("7Fjfp0ZBr1KtDRbnfVdmIw")),
        };
        let (made, form) = written(ClientAuthentication::Basic, &client);
        assert_eq!(
            made.authorization.unwrap().expose(),
            "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"
        );
        let expected = [
            ("grant_type", "client_credentials"),
            ("resource", "https://mcp.example.com/mcp"),
            ("scope", "a b"),
        ];
        let expected: BTreeMap<String, String> =
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(form, expected);
        let (made, form) = written(ClientAuthentication::Post, &client);
        assert_eq!(made.authorization, None);
        assert_eq!(form["client_id"], "s6BhdRkqt3");
        assert_eq!(form["client_secret"], "7Fjfp0ZBr1KtDRbnfVdmIw");
        assert!(!format!("{client:?}").contains("7Fjfp"));
    }

    #[test]
    fn both_parts_of_basic_are_form_encoded() {
        let value = basic("a:b c", &Secret::new("%é"));
        let encoded = value.expose().strip_prefix("Basic ").unwrap();
        let pair = STANDARD.decode(encoded).unwrap();
        assert_eq!(pair, b"a%3Ab+c:%25%C3%A9");
    }

    #[test]
    fn a_key_goes_nowhere_its_assertion_goes_into_the_body() {
        let pem = include_str!("../fixtures/p256.pem");
        let client = Client {
            id: "me".to_owned(),
            proof: Proof::Key(SigningKey::from_pem(pem).unwrap()),
        };
        let (made, form) = written(ClientAuthentication::PrivateKeyJwt, &client);
        assert_eq!(made.authorization, None);
        assert_eq!(
            form["client_assertion_type"],
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        assert_eq!(form["client_assertion"].split('.').count(), 3);
        assert_eq!(form["grant_type"], "client_credentials");
    }

    #[expect(clippy::too_many_lines, reason = "one table")]
    /// The answers of RFC 6749 §5.1 and §5.2, and those of the field.
    #[test]
    fn answers_are_tokens_or_refusals_with_a_reason() {
        let good = br#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"bearer","expires_in":3600,"refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA","example_parameter":"x"}"#;
        let token = read(200, good, &[]).unwrap();
        assert_eq!(token.access.expose(), "2YotnFZFEjr1zCsicMWpAA");
        assert_eq!(token.life, Some(Duration::from_secs(3600)));
        assert!(!format!("{token:?}").contains("2Yotn"));
        let text = br#"{"access_token":"a","token_type":"Bearer","expires_in":"60"}"#;
        assert_eq!(
            read(200, text, &[]).unwrap().life,
            Some(Duration::from_secs(60))
        );
        let table: [(u16, &str, Reason, &str); 14] = [
            (
                401,
                r#"{"error":"invalid_client","error_description":"no \u001b[31m"}"#,
                Reason::AuthCredentialRefused,
                "refused with invalid_client (401): no \\u{1b}[31m",
            ),
            (
                400,
                r#"{"error":"invalid_scope"}"#,
                Reason::AuthCredentialRefused,
                "refused with invalid_scope (400)",
            ),
            (
                200,
                r#"{"error":"bad_verification_code"}"#,
                Reason::AuthCredentialRefused,
                "refused with bad_verification_code (200)",
            ),
            (
                503,
                r#"{"error":"temporarily_unavailable"}"#,
                Reason::AuthServerDown,
                "temporarily_unavailable",
            ),
            (
                401,
                "",
                Reason::AuthCredentialRefused,
                "without an error code",
            ),
            (500, "<html>", Reason::AuthServerDown, "answers 500"),
            (404, "", Reason::AuthServerDown, "answers 404"),
            (302, "", Reason::AuthServerDown, "redirects (302)"),
            (429, "", Reason::RateLimited, "429"),
            (
                200,
                "<html>",
                Reason::AuthServerDown,
                "without access_token",
            ),
            (
                200,
                r#"{"access_token":"a"}"#,
                Reason::AuthServerDown,
                "not Bearer",
            ),
            (
                200,
                r#"{"access_token":"a","token_type":"DPoP"}"#,
                Reason::AuthServerDown,
                "not Bearer",
            ),
            (
                200,
                r#"{"access_token":"a\nb","token_type":"Bearer"}"#,
                Reason::AuthServerDown,
                "no header can carry it",
            ),
            (
                200,
                r#"{"access_token":7,"token_type":"Bearer"}"#,
                Reason::AuthServerDown,
                "without access_token",
            ),
        ];
        for (status, body, reason, said) in table {
            let refusal = read(status, body.as_bytes(), &[]).unwrap_err();
            assert_eq!(refusal.reason, reason, "{status} {body}");
            assert!(refusal.detail.contains(said), "{}", refusal.detail);
            assert_eq!(reason.class(), model::Class::Refused);
        }
        let odd = br#"{"access_token":"a","token_type":"Bearer","expires_in":-5}"#;
        assert_eq!(read(200, odd, &[]).unwrap().life, None);
        let endless = br#"{"access_token":"a","token_type":"Bearer","expires_in":1e300}"#;
        assert_eq!(read(200, endless, &[]).unwrap().life, Some(MAX_LIFE));
    }

    #[test]
    fn an_answer_without_a_token_may_have_a_refresh_token() {
        for (status, body) in [
            (200, r#"{"access_token":"a","refresh_token":"r-new"}"#),
            (200, r#"{"token_type":"Bearer","refresh_token":"r-new"}"#),
            (
                400,
                r#"{"error":"no","error_description":"r-new","refresh_token":"r-new"}"#,
            ),
            (503, r#"{"refresh_token":"r-new"}"#),
        ] {
            let refusal = read(status, body.as_bytes(), &[]).unwrap_err();
            assert_eq!(refusal.refresh, Some(Secret::new("r-new")), "{body}");
            assert!(!format!("{refusal:?}").contains("r-new"), "{refusal:?}");
        }
        assert_eq!(read(503, b"", &[]).unwrap_err().refresh, None);
    }

    #[test]
    fn a_secret_that_is_repeated_is_not_shown_not_even_half() {
        let secret = Secret::new("correct horse battery staple");
        let long = format!("{}{}", "x".repeat(110), secret.expose());
        for description in [secret.expose(), &long] {
            let body =
                serde_json::json!({ "error": "invalid_grant", "error_description": description });
            let refusal = read(400, body.to_string().as_bytes(), &[&secret]).unwrap_err();
            assert!(!refusal.detail.contains("correct"), "{}", refusal.detail);
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(status: u16, body: Vec<u8>, life: f64) {
            let _ = read(status, &body, &[]);
            let body = serde_json::json!({ "access_token": "a", "token_type": "Bearer", "expires_in": life });
            let token = read(200, body.to_string().as_bytes(), &[]).unwrap();
            prop_assert!(token.life.is_none_or(|life| life <= MAX_LIFE));
        }

        /// Whatever id and secret are, the server gets exactly them.
        #[test]
        fn what_is_written_is_what_was_meant(id: String, secret: String) {
            let client = Client { id: id.clone(), proof: Proof::Secret(Secret::new(secret.clone())) };
            let (_, form) = written(ClientAuthentication::Post, &client);
            prop_assert_eq!((&form["client_id"], &form["client_secret"]), (&id, &secret));
        }
    }
}
