//! Certificate verification that remembers what was presented, also when it refuses it.

use std::sync::{Arc, Mutex, PoisonError};

use model::report::{Certificate, CertificateFault};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::diagnose;

/// Certificates of a chain that are described.
pub(crate) const MAX_CHAIN: usize = 8;
/// Names of a certificate that are listed.
const MAX_NAMES: usize = 16;
pub(crate) const MAX_TEXT: usize = 160;

/// What was presented, and what was found of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Leaf first.
    pub(crate) chain: Vec<Certificate>,
    /// When the first certificate that is needed ends, if the chain is trusted.
    pub(crate) path_not_after: Option<i64>,
    /// What is wrong with it, the cause first.
    pub(crate) faults: Vec<CertificateFault>,
    /// The same in words, if it was refused.
    pub(crate) problem: Option<String>,
    /// The error that refused it.
    pub(crate) refused: Option<Error>,
}

/// A verifier for one connection: asks the real one and keeps the chain.
#[derive(Debug)]
pub(crate) struct Recorder {
    inner: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Seen>,
}

impl Recorder {
    pub(crate) fn new(inner: Arc<dyn ServerCertVerifier>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            seen: Mutex::default(),
        })
    }

    /// What the server presented.
    pub(crate) fn seen(&self) -> Seen {
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
        let mut seen = Seen {
            chain: chain.take(MAX_CHAIN).filter_map(describe).collect(),
            ..Seen::default()
        };
        let verify = |intermediates: &[CertificateDer<'_>], at: UnixTime| {
            self.inner
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
        };
        // The name is looked at last: a wrong one says that all else is well.
        let trusts = |intermediates: &[CertificateDer<'_>], at: UnixTime| {
            verify(intermediates, at).map_or_else(|error| is_of_name(&error), |_| true)
        };
        let verified = verify(intermediates, now);
        if verified.as_ref().map_or_else(is_of_name, |_| true) {
            seen.path_not_after = diagnose::path_end(end_entity, intermediates, now, &trusts);
        }
        let verified = verified.map_err(|error| {
            let refusal =
                diagnose::refusal(error, end_entity, intermediates, server_name, now, &trusts);
            seen.faults = refusal.faults;
            seen.problem = Some(refusal.problem);
            seen.refused = Some(refusal.error.clone());
            refusal.error
        });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        verified
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

fn is_of_name(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    )
}

fn describe(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(Certificate {
        subject: model::text::line(&cert.subject().to_string(), MAX_TEXT),
        issuer: model::text::line(&cert.issuer().to_string(), MAX_TEXT),
        names: names(&cert),
        not_before: cert.validity().not_before.timestamp(),
        not_after: cert.validity().not_after.timestamp(),
        sha256: fingerprint(der),
    })
}

/// The names and addresses that a certificate is for, the first of them.
pub(crate) fn names(cert: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = cert.subject_alternative_name() else {
        return Vec::new();
    };
    let listed = alternative.value.general_names.iter().take(MAX_NAMES);
    listed.filter_map(general_name).collect()
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
