//! Authorities that are trusted beside the system's.

use std::str::FromStr;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Certificates of authorities, as one target wants them: PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots(Arc<[CertificateDer<'static>]>);

/// A text that is no [`Roots`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; give certificates of authorities in PEM")]
pub struct RootsError(String);

impl FromStr for Roots {
    type Err = RootsError;

    fn from_str(pem: &str) -> Result<Self, Self::Err> {
        let bad = |problem: &str| RootsError(model::text::line(problem, 120));
        let certs: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| bad(&error.to_string()))?;
        if certs.is_empty() {
            return Err(bad("it has no PEM certificate"));
        }
        let roots = Self(certs.into());
        roots
            .join(&RootCertStore::empty())
            .map_err(|error| bad(&error.to_string()))?;
        Ok(roots)
    }
}

impl Roots {
    /// These authorities beside those of `base`.
    pub(crate) fn join(&self, base: &RootCertStore) -> Result<RootCertStore, rustls::Error> {
        let mut joined = base.clone();
        for cert in self.0.iter() {
            joined.add(cert.clone())?;
        }
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_says_so() {
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "certificate", key, junk] {
            let error = text.parse::<Roots>().unwrap_err().to_string();
            assert!(error.ends_with("in PEM"), "{error}");
        }
    }
}
