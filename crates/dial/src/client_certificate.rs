//! The client's own certificate: shown where a server asks for one, and whether one did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::report::ClientCertificate;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::options::{ClientIdentity, SetupError};

/// Reads a certificate and its key, and sees that they belong together.
pub(crate) fn load(
    identity: &ClientIdentity,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, SetupError> {
    let bad = |path: &std::path::Path, problem: String| SetupError::Client {
        path: path.to_owned(),
        problem,
    };
    let of_certificates = |problem: String| bad(&identity.certificates, problem);
    let of_key = |problem: String| bad(&identity.key, problem);
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&identity.certificates)
            .and_then(Iterator::collect)
            .map_err(|error| of_certificates(error.to_string()))?;
    if certificates.is_empty() {
        return Err(of_certificates("it has no PEM certificate".to_owned()));
    }
    // What PEM errors quote is the label, never the key.
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|error| of_key(format!("it has no PEM private key: {error}")))?;
    let certified = CertifiedKey::from_der(certificates, key, provider);
    let certified = certified.map_err(|error| of_key(error.to_string()))?;
    Ok(Arc::new(certified))
}

/// What one connection answers to a server that asks.
#[derive(Debug)]
pub(crate) struct Presenter {
    identity: Option<Arc<CertifiedKey>>,
    was_asked: AtomicBool,
}

impl Presenter {
    pub(crate) const fn new(identity: Option<Arc<CertifiedKey>>) -> Self {
        Self {
            identity,
            was_asked: AtomicBool::new(false),
        }
    }

    /// What became of the certificate.
    pub(crate) fn outcome(&self) -> Option<ClientCertificate> {
        match (&self.identity, self.was_asked.load(Ordering::Relaxed)) {
            (Some(_), true) => Some(ClientCertificate::Sent),
            (None, true) => Some(ClientCertificate::Missing),
            (Some(_), false) => Some(ClientCertificate::NotAsked),
            (None, false) => None,
        }
    }
}

impl ResolvesClientCert for Presenter {
    /// Servers do not always list the authority that they accept, so the one certificate that
    /// there is is sent whatever they list: a refusal then says more than silence.
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}
