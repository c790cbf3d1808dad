//! Secrets that the coordinator hands out once and keeps only as a hash.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of a secret: too many to guess, so a plain hash is enough at rest.
const LEN: usize = 32;

/// No randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the machine has no randomness")]
pub(crate) struct NoRandomness;

/// A new secret, as text that is safe in URLs and files.
pub(crate) fn new() -> Result<String, NoRandomness> {
    let mut bytes = [0; LEN];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A short name that nobody else has.
pub(crate) fn id() -> Result<String, NoRandomness> {
    let mut bytes = [0; 6];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(hex(&bytes))
}

/// What is kept of a secret.
pub(crate) fn hash(secret: &str) -> String {
    hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// Whether a secret is the one that was kept, in a time that does not tell how nearly.
pub(crate) fn is(secret: &str, kept: &str) -> bool {
    verify_slices_are_equal(hash(secret).as_bytes(), kept.as_bytes()).is_ok()
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_hash_alone() {
        let (one, other) = (new().unwrap(), new().unwrap());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
        assert!(is(&one, &hash(&one)) && !is(&other, &hash(&one)));
        assert!(!is(&one, ""));
        // FIPS 180-2, appendix B.1.
        assert!(hash("abc").starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }
}
