//! Certificate verification that remembers what was presented, also when it refuses it.

use std::sync::{Arc, Mutex, PoisonError};

use model::report::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Certificates of a chain that are described.
const MAX_CHAIN: usize = 8;
/// Names of a certificate that are listed.
const MAX_NAMES: usize = 16;
const MAX_TEXT: usize = 160;

/// A verifier for one connection: asks the real one and keeps the chain.
#[derive(Debug)]
pub(crate) struct Recorder {
    inner: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Vec<Certificate>>,
}

impl Recorder {
    pub(crate) fn new(inner: Arc<dyn ServerCertVerifier>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            seen: Mutex::default(),
        })
    }

    /// The chain that the server presented, leaf first.
    pub(crate) fn chain(&self) -> Vec<Certificate> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let described: Vec<Certificate> = chain.take(MAX_CHAIN).filter_map(describe).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = described;
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| self.sharpen(error, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl Recorder {
    /// Path building gives up with "unknown issuer" where the only path leads over an expired
    /// intermediate. An operator must hear of the expiry.
    fn sharpen(&self, error: Error, now: UnixTime) -> Error {
        if error != Error::InvalidCertificate(CertificateError::UnknownIssuer) {
            return error;
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let intermediates = seen.get(1..).unwrap_or_default();
        if intermediates.iter().any(|cert| cert.not_after < now) {
            return Error::InvalidCertificate(CertificateError::Expired);
        }
        error
    }
}

fn describe(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    let mut names = Vec::new();
    if let Ok(Some(alternative)) = cert.subject_alternative_name() {
        let listed = alternative.value.general_names.iter().take(MAX_NAMES);
        names.extend(listed.filter_map(general_name));
    }
    Some(Certificate {
        subject: model::text::line(&cert.subject().to_string(), MAX_TEXT),
        issuer: model::text::line(&cert.issuer().to_string(), MAX_TEXT),
        names,
        not_before: cert.validity().not_before.timestamp(),
        not_after: cert.validity().not_after.timestamp(),
        sha256: fingerprint(der),
    })
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other kinds do not name servers"
    )]
    match name {
        GeneralName::DNSName(name) => Some(model::text::line(name, MAX_TEXT)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|b| std::net::Ipv4Addr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|b| std::net::Ipv6Addr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// SHA-256 of the DER form, lower-case hex.
fn fingerprint(der: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut hex = String::with_capacity(64);
    for byte in digest.as_ref() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
