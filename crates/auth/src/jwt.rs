//! JSON Web Tokens: written to prove a client (RFC 7523 §2.2), read for when they end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::key::SigningKey;
use crate::secret::Secret;

/// How long an assertion is good, seconds: enough for clocks that differ, too short to be of use to
/// a thief.
const LIFE_SECONDS: i64 = 120;
/// The longest token that is looked into.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// A client assertion for `audience`, the issuer. `now` is in seconds since the Unix epoch, `nonce`
/// is random and used once.
pub(crate) fn assertion(
    key: &SigningKey,
    client: &str,
    audience: &str,
    now: i64,
    nonce: [u8; 16],
) -> Option<Secret> {
    let header = json!({ "alg": key.algorithm(), "typ": "JWT" });
    let claims = json!({
        "iss": client,
        "sub": client,
        "aud": audience,
        "iat": now,
        "exp": now.saturating_add(LIFE_SECONDS),
        "jti": URL_SAFE_NO_PAD.encode(nonce),
    });
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())?);
    Some(Secret::new(format!("{message}.{signature}")))
}

/// When a token ends, and when it was made: seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// `exp`.
    pub expires_at: i64,
    /// `iat`.
    pub issued_at: Option<i64>,
}

/// What a token says of its end, if it is a JWT that does (RFC 7519 §4.1.4). Its signature is not
/// looked at: whoever holds a token has no key for it, and nothing is decided by it but a warning.
#[must_use]
pub fn expiry(token: &str) -> Option<Expiry> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(Expiry {
        expires_at: date(&claims["exp"])?,
        issued_at: date(&claims["iat"]),
    })
}

/// A NumericDate (RFC 7519 §2): seconds, perhaps with a fraction.
fn date(value: &Value) -> Option<i64> {
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| seconds.is_finite())?;
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
        Some(seconds as i64)
    })?;
    // The year 9999: later is no date that anybody could write down.
    (0..=253_402_300_799).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    };
    use proptest::prelude::*;

    const EC: &str = include_str!("../fixtures/p256.pem");
    const RSA: &str = include_str!("../fixtures/rfc7515_a2.pem");

    /// RFC 7515 A.2: the signature of RS256 is determined by key and message.
    #[test]
    fn rs256_signs_as_the_rfc_does() {
        let key = SigningKey::from_pem(RSA).unwrap();
        let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap());
        assert_eq!(
            signature,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        );
    }

    fn verified(token: &str, public: &[u8], es256: bool) -> Value {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let verified = if es256 {
            // RFC 7518 §3.4: R and S, 32 bytes each.
            assert_eq!(signature.len(), 64);
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
                .verify(message.as_bytes(), &signature)
        } else {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
                .verify(message.as_bytes(), &signature)
        };
        verified.unwrap();
        let claims = message.split_once('.').unwrap().1;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    }

    /// The claims that RFC 7523 §3 wants, under a signature that holds.
    #[test]
    fn an_assertion_says_who_to_whom_and_until_when() {
        for pem in [EC, RSA] {
            let key = SigningKey::from_pem(pem).unwrap();
            let (public, is_ec) = match &key {
                SigningKey::Es256(key) => (key.public_key().as_ref().to_vec(), true),
                SigningKey::Rs256(key) => (key.public_key().as_ref().to_vec(), false),
            };
            let made = assertion(&key, "me", "https://as.example.com", 1_000, [7; 16]).unwrap();
            let claims = verified(made.expose(), &public, is_ec);
            assert_eq!(claims["iss"], "me");
            assert_eq!(claims["sub"], "me");
            assert_eq!(claims["aud"], "https://as.example.com");
            assert_eq!(
                (&claims["iat"], &claims["exp"]),
                (&json!(1_000), &json!(1_120))
            );
            assert!(!claims["jti"].as_str().unwrap().is_empty());
            assert_eq!(expiry(made.expose()).unwrap().expires_at, 1_120);
        }
    }

    #[test]
    fn other_keys_are_refused_and_not_repeated() {
        for (pem, problem) in [
            ("", BadKeyOf::NoPem),
            ("hunter2", BadKeyOf::NoPem),
            (include_str!("../fixtures/ed25519.pem"), BadKeyOf::Kind),
            (include_str!("../fixtures/rsa1024.pem"), BadKeyOf::Kind),
        ] {
            let error = SigningKey::from_pem(pem).unwrap_err();
            assert_eq!(error, problem);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
    use crate::key::BadKey as BadKeyOf;

    /// The token of RFC 7519 §3.1, and what is none.
    #[test]
    fn the_end_of_a_token_is_read() {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(expiry(token).unwrap().expires_at, 1_300_819_380);
        assert_eq!(expiry(token).unwrap().issued_at, None);
        let of = |claims: &str| expiry(&format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims)));
        assert_eq!(of(r#"{"exp":12.9,"iat":3}"#).unwrap().expires_at, 12);
        for none in [
            "{}",
            "[]",
            r#"{"exp":"1"}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":1e300}"#,
            "x",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        for opaque in ["", "a.b", "a.b.c", "a.b.c.d", "gho_abcdef"] {
            assert_eq!(expiry(opaque), None, "{opaque}");
        }
    }

    proptest! {
        #[test]
        fn no_token_panics(token: String, claims: Vec<u8>) {
            let (_, claims) = (expiry(&token), format!("a.{}.b", URL_SAFE_NO_PAD.encode(claims)));
            prop_assert!(expiry(&claims).is_none_or(|found| found.expires_at >= 0));
        }
    }
}
