//! Joining a mesh: a token for an identity.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rpc::v1::enrolment_service_client::EnrolmentServiceClient;
use rpc::{PROTOCOL_VERSION, v1};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::identity::{Given, Identity, IdentityError, NewKey};
use crate::link::{Route, connect, pause};
use crate::token::Token;

/// Why an agent cannot join, whatever it tries.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError {
    /// The coordinator turns the token away.
    #[error("{0}")]
    Refused(String),
    /// Keys and files.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The agent stops before it has joined.
    #[error("stopped before the agent was enrolled")]
    Stopped,
}

/// Trades a token for an identity, as often as it takes: a coordinator that is away is waited for,
/// one that refuses is believed.
pub(crate) async fn enrol(
    route: &Route,
    token: &Token,
    coordinators: &[String],
    folder: Option<&Path>,
    shutdown: &CancellationToken,
) -> Result<Identity, EnrolError> {
    let key = NewKey::open(folder, token)?;
    let request = v1::EnrolRequest {
        protocol_version: PROTOCOL_VERSION,
        token: token.secret.clone(),
        certificate_request: key.request()?,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let tls = Arc::new(pinned(token.pin)?);
    // What the settings name is tried instead of what the token names; the pin stays.
    let named = [token.endpoint.clone()];
    let coordinators = if coordinators.is_empty() {
        &named[..]
    } else {
        coordinators
    };
    let mut next = coordinators.iter().cycle();
    let mut failures = 0;
    let response = loop {
        let endpoint = next.next().unwrap_or(&token.endpoint);
        let asked = tokio::select! {
            () = shutdown.cancelled() => return Err(EnrolError::Stopped),
            asked = ask(route, endpoint, &tls, request.clone()) => asked,
        };
        let status = match asked {
            Ok(response) => break response,
            Err(status) => status,
        };
        let is_final = matches!(
            status.code(),
            Code::Unauthenticated
                | Code::PermissionDenied
                | Code::InvalidArgument
                | Code::FailedPrecondition
        );
        if is_final {
            return Err(EnrolError::Refused(model::text::line(
                status.message(),
                300,
            )));
        }
        failures += 1;
        let pause = pause(failures, fastrand::f64());
        let reason = model::text::line(status.message(), 200);
        tracing::warn!(coordinator = %endpoint, %reason, ?pause, "not enrolled yet");
        tokio::select! {
            () = shutdown.cancelled() => return Err(EnrolError::Stopped),
            () = tokio::time::sleep(pause) => {}
        }
    };
    let given = Given {
        chain: response.certificate_chain,
        authorities: response.authorities,
        generation: 0,
    };
    let place = (response.region, response.provider);
    let told = vec![token.endpoint.clone()];
    let identity = key.becomes(response.agent_id, place, told, &given);
    // Whatever was given must be of use before the old key is forgotten.
    identity.tls()?;
    if let Some(folder) = folder {
        identity.save(folder)?;
    }
    tracing::info!(
        agent = identity.agent(),
        region = identity.region(),
        "enrolled"
    );
    Ok(identity)
}

async fn ask(
    route: &Route,
    endpoint: &str,
    tls: &Arc<ClientConfig>,
    request: v1::EnrolRequest,
) -> Result<v1::EnrolResponse, tonic::Status> {
    let channel = connect(route, endpoint, tls).await?;
    let mut client = EnrolmentServiceClient::new(channel);
    let mut request = tonic::Request::new(request);
    request.set_timeout(Duration::from_secs(20));
    Ok(client.enrol(request).await?.into_inner())
}

/// TLS to a coordinator that is known by its authority's public key alone.
fn pinned(pin: [u8; 32]) -> Result<ClientConfig, IdentityError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Pinned {
        pin,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| IdentityError::Tls(error.to_string()))?;
    let mut config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Trusts the one authority whose key the token names, which the server sends along.
#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        X509Certificate::from_der(certificate)
            .is_ok_and(|(_, cert)| digest(&SHA256, cert.public_key().raw).as_ref() == self.pin)
    }

    /// The usual rules, with that authority as the only one.
    fn usual(
        &self,
        chain: &[CertificateDer<'_>],
    ) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let authority = chain.iter().find(|certificate| self.is_pinned(certificate));
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = authority.ok_or(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        built.map_err(|error| rustls::Error::General(error.to_string()))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let usual = self.usual(intermediates)?;
        usual.verify_server_cert(leaf, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 is due".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
