//! Who the agent is: the key that it made, and the certificate that the mesh gave for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// In the state folder.
const FILE: &str = "identity.json";
/// A key whose enrolment has not been answered yet.
const NEW_KEY: &str = "enrolling.pem";

/// What does not work about an identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The file cannot be read or written.
    #[error("state-dir: {}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("state-dir: {}: is damaged; remove it and enrol with a new token", .0.display())]
    Damaged(PathBuf),
    /// Making a key or a request failed.
    #[error("key: {0}")]
    Key(#[from] rcgen::Error),
    /// The TLS library refuses what the coordinator gave.
    #[error("certificate: {0}")]
    Tls(String),
}

/// As it is kept, mode 0600. Certificates are base64 of DER.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    agent: String,
    region: String,
    provider: String,
    coordinators: Vec<String>,
    key_pem: String,
    chain: Vec<String>,
    authorities: Vec<String>,
    generation: u64,
}

/// Who the agent is.
#[derive(Clone)]
pub(crate) struct Identity {
    row: Row,
}

/// What a coordinator gave.
pub(crate) struct Given {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) authorities: Vec<Vec<u8>>,
    pub(crate) generation: u64,
}

/// A key that is to be enrolled, with the request for its certificate.
pub(crate) struct NewKey {
    key: KeyPair,
}

impl NewKey {
    /// The key of an enrolment that was not answered, or a new one: kept before it is used, so
    /// that a token is not lost with an answer.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, IdentityError> {
        let Some(folder) = folder else {
            return Ok(Self {
                key: KeyPair::generate()?,
            });
        };
        let path = folder.join(NEW_KEY);
        match std::fs::read_to_string(&path) {
            Ok(pem) => KeyPair::from_pem(&pem)
                .map(|key| Self { key })
                .map_err(|_| IdentityError::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                let written = write(folder, NEW_KEY, key.serialize_pem().as_bytes());
                written.map_err(|error| IdentityError::Io { path, error })?;
                Ok(Self { key })
            }
            Err(error) => Err(IdentityError::Io { path, error }),
        }
    }

    /// PKCS #10, DER: the key, and the proof that we have it.
    pub(crate) fn request(&self) -> Result<Vec<u8>, IdentityError> {
        request(&self.key)
    }

    /// The identity that was given for the key.
    pub(crate) fn becomes(
        self,
        agent: String,
        (region, provider): (String, String),
        coordinators: Vec<String>,
        given: &Given,
    ) -> Identity {
        let mut identity = Identity {
            row: Row {
                agent,
                region,
                provider,
                coordinators,
                key_pem: self.key.serialize_pem(),
                chain: Vec::new(),
                authorities: Vec::new(),
                generation: 0,
            },
        };
        identity.take(given);
        identity
    }
}

fn request(key: &KeyPair) -> Result<Vec<u8>, IdentityError> {
    let params = CertificateParams::default();
    Ok(params.serialize_request(key)?.der().to_vec())
}

impl Identity {
    /// The identity of a state folder, if there is one.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, IdentityError> {
        let path = folder.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(IdentityError::Io { path, error }),
        };
        let row = serde_json::from_slice(&bytes);
        let row = row.map_err(|_| IdentityError::Damaged(path))?;
        Ok(Some(Self { row }))
    }

    /// Keeps the identity: whole, or the one before.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        let io = |error| IdentityError::Io {
            path: folder.join(FILE),
            error,
        };
        let bytes = serde_json::to_vec_pretty(&self.row);
        write(folder, FILE, &bytes.map_err(|error| io(error.into()))?).map_err(io)?;
        match std::fs::remove_file(folder.join(NEW_KEY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(crate) fn agent(&self) -> &str {
        &self.row.agent
    }

    pub(crate) fn region(&self) -> &str {
        &self.row.region
    }

    pub(crate) fn coordinators(&self) -> &[String] {
        &self.row.coordinators
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.row.generation
    }

    /// A request to renew the certificate of the same key.
    pub(crate) fn request(&self) -> Result<Vec<u8>, IdentityError> {
        request(&KeyPair::from_pem(&self.row.key_pem)?)
    }

    /// Takes what a coordinator gave.
    pub(crate) fn take(&mut self, given: &Given) {
        let text = |der: &Vec<u8>| STANDARD.encode(der);
        self.row.chain = given.chain.iter().map(text).collect();
        self.row.authorities = given.authorities.iter().map(text).collect();
        self.row.generation = given.generation;
    }

    fn certificates(
        &self,
        texts: &[String],
    ) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        let der = |text: &String| {
            let der = STANDARD.decode(text);
            let der = der.map_err(|error| IdentityError::Tls(error.to_string()))?;
            Ok(CertificateDer::from(der))
        };
        texts.iter().map(der).collect()
    }

    /// TLS to a coordinator: our certificate, and theirs from the mesh's authority alone.
    pub(crate) fn tls(&self) -> Result<ClientConfig, IdentityError> {
        let tls = |error: rustls::Error| IdentityError::Tls(error.to_string());
        let mut roots = RootCertStore::empty();
        for authority in self.certificates(&self.row.authorities)? {
            roots.add(authority).map_err(tls)?;
        }
        let key = KeyPair::from_pem(&self.row.key_pem)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| IdentityError::Tls(error.to_owned()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(self.certificates(&self.row.chain)?, key);
        let mut config = config.map_err(tls)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// How long until the certificate should be renewed: at half of its life, give or take a
    /// tenth, so that agents that were enrolled together do not renew together.
    pub(crate) fn renew_in(&self, now: Duration, random: f64) -> Duration {
        let Some((begins, ends)) = self.life() else {
            return Duration::ZERO;
        };
        let life = ends.saturating_sub(begins).as_secs_f64();
        let at = begins.as_secs_f64() + life * (0.45 + 0.1 * random.clamp(0.0, 1.0));
        Duration::from_secs_f64((at - now.as_secs_f64()).max(0.0))
    }

    /// From when to when the certificate is good, since the Unix epoch.
    fn life(&self) -> Option<(Duration, Duration)> {
        let leaf = self.certificates(self.row.chain.get(..1)?).ok()?;
        let (_, leaf) = X509Certificate::from_der(leaf.first()?).ok()?;
        let seconds = |time: i64| u64::try_from(time).ok().map(Duration::from_secs);
        let validity = leaf.validity();
        Some((
            seconds(validity.not_before.timestamp())?,
            seconds(validity.not_after.timestamp())?,
        ))
    }
}

/// Writes a file that nobody else may read: whole, on the medium, or not at all.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    // What a crash left behind may have other permissions.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}
