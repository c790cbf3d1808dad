//! What an agent is given to join a mesh: a secret, where to use it, and whom to trust.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};

/// A single-use token: `plxj_<secret>@<host:port>#sha256:<authority's public key>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What proves the right to join.
    pub(crate) secret: String,
    /// Where the coordinator is.
    pub(crate) endpoint: String,
    /// SHA-256 of the public key of the authority that its certificate must come from.
    pub(crate) pin: [u8; 32],
}

/// A text that is no token. It is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("token: {0}; copy the whole token, which looks like plxj_…@host:port#sha256:…")]
pub struct TokenError(&'static str);

impl Token {
    /// What is kept of a token that was used, to know another one by.
    pub(crate) fn id(&self) -> String {
        let hash = digest(&SHA256, self.secret.as_bytes());
        let bytes = hash.as_ref().iter().take(8);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest = text.trim().strip_prefix("plxj_");
        let rest = rest.ok_or(TokenError("it does not begin with plxj_"))?;
        let (secret, rest) = rest.split_once('@').ok_or(TokenError("it has no @"))?;
        let (endpoint, pin) = rest
            .split_once("#sha256:")
            .ok_or(TokenError("it has no #sha256:"))?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if secret.len() != 43 || !secret.bytes().all(legal) {
            return Err(TokenError("its secret is not whole"));
        }
        if !model::target::is_endpoint(endpoint) {
            return Err(TokenError("it names no host and port"));
        }
        Ok(Self {
            secret: secret.to_owned(),
            endpoint: endpoint.to_owned(),
            pin: read_pin(pin).ok_or(TokenError("its sha256 is not 64 hexadecimal digits"))?,
        })
    }
}

fn read_pin(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut pin = [0; 32];
    for (byte, pair) in pin.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_whole_or_refused_and_never_shown() {
        let secret = "s3cret".repeat(7) + "x";
        let good = format!(
            "plxj_{secret}@mesh.example.com:7443#sha256:{}",
            "0f".repeat(32)
        );
        let token: Token = format!("{good}\n").parse().unwrap();
        assert_eq!(token.endpoint, "mesh.example.com:7443");
        assert_eq!(token.pin, [0x0f; 32]);
        assert!(!format!("{token:?}").contains("s3cret"));
        let table = [
            (good.replace("plxj_", ""), "does not begin"),
            (good.replace('@', "/"), "has no @"),
            (good.replace("#sha256", ""), "has no #sha256:"),
            (good.replace("s3crets", "s"), "secret is not whole"),
            (good.replace(":7443", ""), "names no host and port"),
            (good[..good.len() - 2].to_owned(), "64 hexadecimal"),
        ];
        for (text, problem) in table {
            let error = text.parse::<Token>().unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
            assert!(!error.contains("s3cret"));
        }
    }
}
