//! TLS handshakes and what they reveal.

use std::io;
use std::sync::Arc;

use model::Reason;
use model::report::Tls;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, NamedGroup, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client_certificate::{self, Presenter};
use crate::error::DialError;
use crate::options::{SetupError, TlsOptions};
use crate::resume::{Session, Tickets};
use crate::roots::Roots;
use crate::verify::{Recorder, Seen};

/// Which application protocols to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alpn {
    /// HTTP/2, then HTTP/1.1.
    #[default]
    Any,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/3 only (RFC 9114 §3.1): over QUIC, never over TCP.
    Http3,
}

/// How a handshake begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hello<'a> {
    /// In full: tickets of earlier probes are never used, so that every probe sees the certificate.
    New(Alpn),
    /// With an offer to resume.
    Resume(&'a Session),
}

/// Opens TLS connections.
#[derive(Clone)]
pub(crate) struct Tls12And13 {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    verifier: Arc<WebPkiServerVerifier>,
    identity: Option<Arc<CertifiedKey>>,
}

impl Tls12And13 {
    pub(crate) fn new(options: &TlsOptions) -> Result<Self, SetupError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            // A minimal container has no certificates of its own.
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for path in &options.extra_roots {
            let bad = |problem: String| SetupError::Roots {
                path: path.clone(),
                problem,
            };
            let certs = CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))?;
            let mut added = 0;
            for cert in certs {
                let cert = cert.map_err(|e| bad(e.to_string()))?;
                roots.add(cert).map_err(|e| bad(e.to_string()))?;
                added += 1;
            }
            if added == 0 {
                return Err(bad("it has no PEM certificate".to_owned()));
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let identity = options.client.as_ref();
        let identity = identity.map(|client| client_certificate::load(client, &provider));
        Self::of(provider, roots, identity.transpose()?)
    }

    /// The same, without a certificate of its own.
    pub(crate) fn anonymous(&self) -> Self {
        Self {
            identity: None,
            ..self.clone()
        }
    }

    /// The same, trusting further authorities.
    pub(crate) fn trusting(&self, further: &Roots) -> Result<Self, SetupError> {
        let roots = further.join(&self.roots);
        let roots = roots.map_err(|error| SetupError::Tls(error.to_string()))?;
        Self::of(Arc::clone(&self.provider), roots, self.identity.clone())
    }

    fn of(
        provider: Arc<CryptoProvider>,
        roots: RootCertStore,
        identity: Option<Arc<CertifiedKey>>,
    ) -> Result<Self, SetupError> {
        let roots = Arc::new(roots);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| SetupError::Tls(error.to_string()))?;
        Ok(Self {
            provider,
            roots,
            verifier,
            identity,
        })
    }

    /// Draws the first random bytes of this process, if nobody did: they are seeded from the jitter
    /// of the CPU, which takes a tenth of a second that is not the target's.
    pub(crate) fn seed(&self) {
        // Where there is no randomness, the handshake says so.
        let _ = self.provider.secure_random.fill(&mut [0; 32]);
    }

    /// One handshake.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
        hello: Hello<'_>,
    ) -> Result<(Box<TlsStream<TcpStream>>, Tls, Session), DialError> {
        let recorder = self.recorder();
        let session = match hello {
            Hello::New(alpn) => self
                .session(Arc::clone(&recorder), alpn)
                .map_err(|error| DialError::new(Reason::ProberInternal, error.to_string()))?,
            Hello::Resume(session) => {
                session.tickets.offer();
                session.clone()
            }
        };
        let connector = TlsConnector::from(Arc::clone(&session.config));
        match connector.connect(name, stream).await {
            Ok(stream) => {
                let mut tls = facts(&stream, &recorder);
                tls.client_certificate = session.presenter.outcome();
                Ok((Box::new(stream), tls, session))
            }
            Err(error) => {
                let mut error = explain(&error);
                let seen = recorder.seen();
                if let Some(problem) = &seen.problem {
                    error.detail.clone_from(problem);
                }
                error.tls = presented(seen);
                if let Some(tls) = &mut error.tls {
                    tls.client_certificate = session.presenter.outcome();
                }
                Err(error)
            }
        }
    }

    /// A recorder of what a server presents, over the verifier.
    pub(crate) fn recorder(&self) -> Arc<Recorder> {
        Recorder::new(Arc::clone(&self.verifier) as _)
    }

    pub(crate) fn session(
        &self,
        recorder: Arc<Recorder>,
        alpn: Alpn,
    ) -> Result<Session, rustls::Error> {
        let presenter = Arc::new(Presenter::new(self.identity.clone()));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(recorder)
            .with_client_cert_resolver(Arc::clone(&presenter) as _);
        let tickets = Arc::new(Tickets::default());
        config.resumption = Resumption::store(Arc::clone(&tickets) as _);
        config.alpn_protocols = match alpn {
            Alpn::Any => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
            Alpn::Http3 => vec![b"h3".to_vec()],
        };
        let config = Arc::new(config);
        Ok(Session {
            config,
            tickets,
            presenter,
        })
    }
}

fn facts(stream: &TlsStream<TcpStream>, recorder: &Recorder) -> Tls {
    let (_, session) = stream.get_ref();
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
    let version = session.protocol_version().map(|version| match version {
        rustls::ProtocolVersion::TLSv1_2 => "1.2".to_owned(),
        rustls::ProtocolVersion::TLSv1_3 => "1.3".to_owned(),
        other => format!("{other:?}"),
    });
    let suite = session.negotiated_cipher_suite();
    let group = session.negotiated_key_exchange_group();
    let mut tls = presented(recorder.seen()).map_or_else(Tls::default, |tls| *tls);
    tls.version = version;
    tls.cipher_suite = suite.and_then(|suite| suite.suite().as_str().map(iana_name));
    tls.key_exchange = group.and_then(|group| group.name().as_str().map(str::to_owned));
    tls.post_quantum = group.map(|group| is_post_quantum(group.name()));
    tls.alpn = session
        .alpn_protocol()
        .map(|protocol| model::text::line_of_bytes(protocol, 16));
    tls
}

/// Whether a group resists quantum computers: ML-KEM (FIPS 203), alone or beside an elliptic curve,
/// as the IANA registry "TLS Supported Groups" lists them.
fn is_post_quantum(group: NamedGroup) -> bool {
    group.as_str().is_some_and(|name| name.contains("MLKEM"))
}

/// rustls says `TLS13_AES_…` where the registry says `TLS_AES_…`.
fn iana_name(name: &str) -> String {
    name.replacen("TLS13_", "TLS_", 1)
}

pub(crate) fn presented(seen: Seen) -> Option<Box<Tls>> {
    (!seen.chain.is_empty()).then(|| {
        Box::new(Tls {
            earliest_not_after: seen.chain.iter().map(|cert| cert.not_after).min(),
            path_not_after: seen.path_not_after,
            chain: seen.chain,
            faults: seen.faults,
            ..Tls::default()
        })
    })
}

/// The reason behind an alert that arrives after the handshake: in TLS 1.3 a server refuses a
/// missing client certificate only then.
#[must_use]
pub fn late_alert(error: &io::Error) -> Option<Reason> {
    let inner = error.get_ref()?;
    let is_alert = match inner.downcast_ref::<rustls::Error>() {
        Some(inner) => matches!(inner, rustls::Error::AlertReceived(_)),
        // HTTP/2 passes on the text of an error only.
        None => inner.to_string().starts_with("received fatal alert"),
    };
    is_alert.then_some(Reason::TlsHandshake)
}

fn explain(error: &io::Error) -> DialError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(inner) = inner else {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
        return match error.kind() {
            io::ErrorKind::ConnectionReset => DialError::new(
                Reason::TcpReset,
                "the connection was reset in the TLS handshake",
            ),
            io::ErrorKind::UnexpectedEof => DialError::new(
                Reason::TlsHandshake,
                "the server closed the connection in the TLS handshake",
            ),
            _ => DialError::new(Reason::TlsHandshake, error.to_string()),
        };
    };
    let detail = model::text::line(&inner.to_string(), 200);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
    let (reason, detail) = match inner {
        rustls::Error::InvalidCertificate(problem) => (certificate(problem), detail),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | rustls::Error::NoApplicationProtocol => (
            Reason::TlsAlpn,
            "the server accepts neither h2 nor http/1.1".to_owned(),
        ),
        rustls::Error::InvalidMessage(_) => (
            Reason::TlsHandshake,
            format!("the server does not speak TLS here: {detail}"),
        ),
        _ => (Reason::TlsHandshake, detail),
    };
    DialError::new(reason, detail)
}

pub(crate) fn certificate(problem: &CertificateError) -> Reason {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Reason::TlsCertExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Reason::TlsCertNotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Reason::TlsCertName
        }
        _ => Reason::TlsCertUntrusted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the IANA registry "TLS Supported Groups".
    #[test]
    fn post_quantum_groups_are_named_as_such() {
        for group in [
            NamedGroup::X25519MLKEM768,
            NamedGroup::secp256r1MLKEM768,
            NamedGroup::MLKEM1024,
        ] {
            assert!(is_post_quantum(group), "{group:?}");
        }
        for group in [
            NamedGroup::X25519,
            NamedGroup::secp256r1,
            NamedGroup::FFDHE2048,
        ] {
            assert!(!is_post_quantum(group), "{group:?}");
        }
    }
}
