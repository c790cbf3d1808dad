//! A client, and how it proves itself at a token endpoint.

use model::report::ClientAuthentication;

use crate::key::SigningKey;
use crate::metadata::ServerMetadata;
use crate::secret::Secret;

/// What a client proves itself with.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A secret that it shares with the authorization server.
    Secret(Secret),
    /// A private key whose public half the authorization server has.
    Key(SigningKey),
    /// Nothing: a public client.
    Nothing,
}

/// A client that an authorization server knows.
#[derive(Debug, Clone)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// What it proves itself with.
    pub proof: Proof,
}

/// The authorization server takes no proof of the kind that the client has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the authorization server takes {takes}, and the client has {has}")]
pub struct NoMethod {
    /// What it lists, escaped.
    pub takes: String,
    /// What the client has.
    pub has: &'static str,
}

/// How a client with this proof authenticates at a server with this metadata, or at one that has
/// none. What RFC 8414 §2 says for an absent list, Basic, holds for secrets; a key has one way only,
/// and is tried.
///
/// # Errors
/// The server lists methods, and none of them fits.
pub fn choose(
    proof: &Proof,
    server: Option<&ServerMetadata>,
) -> Result<ClientAuthentication, NoMethod> {
    let (fitting, has): (&[ClientAuthentication], _) = match proof {
        Proof::Secret(_) => (
            &[ClientAuthentication::Basic, ClientAuthentication::Post],
            "a secret",
        ),
        Proof::Key(_) => (&[ClientAuthentication::PrivateKeyJwt], "a private key"),
        Proof::Nothing => (&[ClientAuthentication::None], "neither secret nor key"),
    };
    let listed = server.and_then(|server| server.auth_methods.as_ref());
    let Some(listed) = listed else {
        return Ok(fitting[0]);
    };
    let refused = |takes: &[String]| NoMethod {
        takes: model::text::line(&takes.join(", "), 120),
        has,
    };
    let takes = |method: &&ClientAuthentication| listed.iter().any(|one| one == method.as_str());
    let chosen = fitting.iter().find(takes).ok_or_else(|| refused(listed))?;
    if let Proof::Key(key) = proof
        && let Some(algorithms) = server.and_then(|server| server.signing_algorithms.as_ref())
        && !algorithms.iter().any(|one| one == key.algorithm())
    {
        return Err(NoMethod {
            has: match key {
                SigningKey::Es256(_) => "a key for ES256",
                SigningKey::Rs256(_) => "a key for RS256",
            },
            ..refused(algorithms)
        });
    }
    Ok(*chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(methods: &str, algorithms: &str) -> ServerMetadata {
        let document = format!(
            r#"{{"token_endpoint_auth_methods_supported":{methods},
                "token_endpoint_auth_signing_alg_values_supported":{algorithms}}}"#
        );
        ServerMetadata::read(document.as_bytes()).unwrap()
    }

    #[test]
    fn the_method_is_one_that_both_know() {
        let secret = || Proof::Secret(Secret::new("s"));
        let key = || {
            let pem = include_str!("../fixtures/p256.pem");
            Proof::Key(SigningKey::from_pem(pem).unwrap())
        };
        let table = [
            (secret(), "null", "null", Ok(ClientAuthentication::Basic)),
            (
                secret(),
                r#"["client_secret_post","client_secret_basic"]"#,
                "null",
                Ok(ClientAuthentication::Basic),
            ),
            (
                secret(),
                r#"["client_secret_post"]"#,
                "null",
                Ok(ClientAuthentication::Post),
            ),
            (
                secret(),
                r#"["private_key_jwt"]"#,
                "null",
                Err("the authorization server takes private_key_jwt, and the client has a secret"),
            ),
            (
                key(),
                "null",
                "null",
                Ok(ClientAuthentication::PrivateKeyJwt),
            ),
            (
                key(),
                r#"["private_key_jwt"]"#,
                r#"["ES256"]"#,
                Ok(ClientAuthentication::PrivateKeyJwt),
            ),
            (
                key(),
                r#"["private_key_jwt"]"#,
                r#"["RS256"]"#,
                Err("the authorization server takes RS256, and the client has a key for ES256"),
            ),
            (
                Proof::Nothing,
                r#"["none"]"#,
                "null",
                Ok(ClientAuthentication::None),
            ),
        ];
        for (proof, methods, algorithms, expected) in table {
            let chosen = choose(&proof, Some(&server(methods, algorithms)));
            let chosen = chosen.map_err(|error| error.to_string());
            assert_eq!(
                chosen,
                expected.map_err(str::to_owned),
                "{proof:?} {methods}"
            );
        }
        let bare = choose(&secret(), None).unwrap();
        assert_eq!(bare, ClientAuthentication::Basic);
    }
}
