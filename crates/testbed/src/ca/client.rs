//! Certificates of clients, and servers that want one (mutual TLS).

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::Ca;

impl Ca {
    /// A certificate of a client and its key, PEM.
    ///
    /// # Errors
    /// Signing failed.
    pub fn client(&self) -> anyhow::Result<(String, String)> {
        let mut params = CertificateParams::new(vec!["client.example.com".to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().context("generating the client's key")?;
        let cert = params.signed_by(&key, &self.issuer);
        let cert = cert.context("signing the client")?;
        Ok((cert.pem(), key.serialize_pem()))
    }

    /// TLS for a server on loopback that asks for a certificate of this authority; without one it
    /// lets nobody in, unless `is_optional`.
    ///
    /// # Errors
    /// Signing failed.
    pub fn mutual(&self, is_optional: bool) -> anyhow::Result<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes())?)?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = match is_optional {
            true => verifier.allow_unauthenticated().build()?,
            false => verifier.build()?,
        };
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().context("generating the server's key")?;
        let cert = CertificateParams::new(names)?.signed_by(&key, &self.issuer);
        let cert = cert.context("signing the server")?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![cert.der().clone()], der)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}
