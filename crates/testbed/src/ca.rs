//! A private certificate authority, and certificates that are wrong in a chosen way.

mod chain;
mod client;

pub use chain::{Chain, PUBLISHED};

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const DAY: Duration = Duration::from_secs(86_400);

/// An authority that signs whatever it is asked to.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    /// What its certificate says, and its key in PKCS #8: for another authority to sign too.
    params: CertificateParams,
    key: Vec<u8>,
    cert: CertificateDer<'static>,
    pem: String,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It ended yesterday.
    Expired,
    /// It begins tomorrow.
    NotYetValid,
    /// It ends in three days.
    EndsSoon,
}

impl Ca {
    /// A new authority.
    ///
    /// # Errors
    /// Key generation or signing failed.
    pub fn new() -> anyhow::Result<Self> {
        Self::until(None)
    }

    /// A new authority whose certificate ends in so many days.
    ///
    /// # Errors
    /// Key generation or signing failed.
    pub fn ending(days: u32) -> anyhow::Result<Self> {
        Self::until(Some(now()? + days * DAY))
    }

    fn until(end: Option<Duration>) -> anyhow::Result<Self> {
        let mut params = authority("Parallax testbed");
        if let Some(end) = end {
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
        }
        let key = KeyPair::generate().context("generating the authority's key")?;
        let cert = params.self_signed(&key).context("signing the authority")?;
        Ok(Self {
            key: key.serialize_der(),
            cert: cert.der().clone(),
            pem: cert.pem(),
            issuer: Issuer::new(params.clone(), key),
            params,
        })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// TLS for a server that is known by `names` (DNS names or addresses).
    ///
    /// # Errors
    /// Signing failed, or a name is none.
    pub fn server(&self, names: &[&str], flaw: Flaw) -> anyhow::Result<ServerConfig> {
        let owned: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(owned).context("names of the certificate")?;
        let now = now()?;
        let (from, to) = match flaw {
            Flaw::None => (now - DAY, now + 90 * DAY),
            Flaw::Expired => (now - 30 * DAY, now - DAY),
            Flaw::NotYetValid => (now + DAY, now + 30 * DAY),
            Flaw::EndsSoon => (now - DAY, now + 3 * DAY),
        };
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + from;
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + to;
        let key = KeyPair::generate().context("generating the server's key")?;
        let cert = params
            .signed_by(&key, &self.issuer)
            .context("signing the server")?;
        config(vec![cert.der().clone()], &key)
    }

    /// TLS for a server on loopback: `localhost` and the addresses that tests use.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn loopback(&self, flaw: Flaw) -> anyhow::Result<ServerConfig> {
        let address: IpAddr = std::net::Ipv4Addr::LOCALHOST.into();
        self.server(&["localhost", &address.to_string()], flaw)
    }
}

/// The certificate of an authority.
fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Since the epoch.
fn now() -> anyhow::Result<Duration> {
    let seconds = telemetry::clock::wall().as_second();
    let seconds = u64::try_from(seconds).context("a clock before 1970")?;
    Ok(Duration::from_secs(seconds))
}

fn config(certs: Vec<CertificateDer<'static>>, key: &KeyPair) -> anyhow::Result<ServerConfig> {
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certs, der)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
