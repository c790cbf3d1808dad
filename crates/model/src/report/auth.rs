//! What a probe learned of authorization. Nothing in here is a secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Reason;

crate::closed_words! {
    /// What the authorization of a target came to.
    pub enum AuthState ("auth state") {
        /// The server wants a credential, and everything that a client needs to get one is there.
        WalledHealthy = "walled_healthy",
        /// The server wants a credential, but a client cannot find out where to get one.
        WalledMalformed = "walled_malformed",
        /// A token was got, and the probe ran with it.
        Authorized = "authorized",
        /// No token was got; the target was not probed.
        Refused = "refused",
    }
}

crate::closed_words! {
    /// A part of getting a token.
    pub enum AuthStep ("auth step") {
        /// A request without a credential, which brings the challenge.
        Challenge = "challenge",
        /// The protected resource metadata (RFC 9728).
        ResourceMetadata = "resource_metadata",
        /// The authorization server metadata (RFC 8414, OpenID Connect Discovery).
        ServerMetadata = "server_metadata",
        /// Dynamic client registration (RFC 7591).
        Registration = "registration",
        /// The token endpoint (RFC 6749 §3.2).
        Token = "token",
    }
}

crate::closed_words! {
    /// How a client authenticates at the token endpoint, in the words of RFC 8414 and the IANA
    /// registry of OAuth parameters.
    pub enum ClientAuthentication ("client authentication method") {
        /// HTTP Basic (RFC 6749 §2.3.1).
        Basic = "client_secret_basic",
        /// Id and secret in the body (RFC 6749 §2.3.1).
        Post = "client_secret_post",
        /// A signed assertion (RFC 7523 §2.2).
        PrivateKeyJwt = "private_key_jwt",
        /// A public client has nothing to prove.
        None = "none",
    }
}

/// What was learned of a target's authorization. All text is untrusted, escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Auth {
    /// What it came to.
    pub state: AuthState,
    /// Why there is no token, or what is wrong with the wall, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where the protected resource metadata was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_metadata: Option<String>,
    /// The authorization servers that it names, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_servers: Vec<String>,
    /// The issuer whose metadata was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where its metadata was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_metadata: Option<String>,
    /// The scopes that the challenge wants or, where it names none, that the metadata lists; at
    /// most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// How the client authenticated at the token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_authentication: Option<ClientAuthentication>,
    /// The exchanges that this took, in order.
    pub exchanges: Vec<AuthExchange>,
    /// What all of it took, microseconds; no part of the probe's `total_us` and `own_us`.
    pub total_us: u64,
}

/// One request of getting a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthExchange {
    /// What it was for.
    pub step: AuthStep,
    /// Where it went, without the query.
    pub url: String,
    /// The HTTP status, if there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What is wrong with it, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it took, from the first look-up to the end of the answer, microseconds.
    pub total_us: u64,
}

/// A credential that was sent with the probe. Its value is nowhere in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Credential {
    /// When it ends, RFC 3339 UTC: the `exp` of a token that is a JWT, or what its issuer said.
    pub expires_at: String,
}
