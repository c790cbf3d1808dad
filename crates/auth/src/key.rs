//! A client's private key, and signatures in the form of JOSE (RFC 7515, RFC 7518 §3).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

/// The smallest RSA key that RS256 allows, bits (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// A text that holds no usable key. Nothing of the text is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No PEM section of a private key.
    #[error(
        "it has no PEM private key; make one like openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    )]
    NoPem,
    /// Neither P-256 nor RSA.
    #[error("the key is neither EC P-256 (ES256) nor RSA of at least 2048 bits (RS256)")]
    Kind,
}

/// A private key that signs client assertions.
#[derive(Clone)]
pub enum SigningKey {
    /// ECDSA on P-256 with SHA-256.
    Es256(Arc<EcdsaKeyPair>),
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256(Arc<RsaKeyPair>),
}

impl SigningKey {
    /// The first private key of a PEM text: PKCS #8, SEC 1 or PKCS #1.
    ///
    /// # Errors
    /// There is none, or it is of another kind.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| BadKey::NoPem)?;
        let bytes = der.secret_der();
        let elliptic = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes);
        if let Ok(key) = elliptic {
            return Ok(Self::Es256(Arc::new(key)));
        }
        let rsa = RsaKeyPair::from_pkcs8(bytes).or_else(|_| RsaKeyPair::from_der(bytes));
        match rsa {
            Ok(key) if key.public_modulus_len() * 8 >= MIN_RSA_BITS => {
                Ok(Self::Rs256(Arc::new(key)))
            }
            Ok(_) | Err(_) => Err(BadKey::Kind),
        }
    }

    /// Its algorithm, in the words of JOSE.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        }
    }

    /// The signature of `message`; `None` where the library fails, which it does not for good keys.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => {
                let signature = key.sign(&random, message).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm())
    }
}
