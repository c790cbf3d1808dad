//! Who the agent is: the key that it made, and the certificate that the mesh gave for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use peer::Credentials;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::token::Token;

/// In the state folder.
const FILE: &str = "identity.json";
/// In front of the file of a key whose enrolment has not been answered yet.
const NEW_KEY: &str = "enrolling-";

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
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Which token it was got with.
    token: String,
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
    token: String,
}

impl NewKey {
    /// The key of an enrolment with this token that was not answered, or a new one: kept before it
    /// is used, so that a token is not lost with an answer.
    pub(crate) fn open(folder: Option<&Path>, token: &Token) -> Result<Self, IdentityError> {
        let token = token.id();
        let Some(folder) = folder else {
            let key = KeyPair::generate()?;
            return Ok(Self { key, token });
        };
        let name = format!("{NEW_KEY}{token}.pem");
        let path = folder.join(&name);
        match std::fs::read_to_string(&path) {
            Ok(pem) => KeyPair::from_pem(&pem)
                .map(|key| Self { key, token })
                .map_err(|_| IdentityError::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                let written = write(folder, &name, key.serialize_pem().as_bytes());
                written.map_err(|error| IdentityError::Io { path, error })?;
                Ok(Self { key, token })
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
                token: self.token,
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
        // Keys of other enrolments are of no use any more.
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.file_name().to_string_lossy().starts_with(NEW_KEY) {
                std::fs::remove_file(entry.path()).map_err(io)?;
            }
        }
        Ok(())
    }

    /// Whether the identity was got with this token.
    pub(crate) fn is_of(&self, token: &Token) -> bool {
        self.row.token == token.id()
    }

    /// Whether a state folder has an identity.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
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
        let Credentials { chain, key } = self.credentials()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key);
        let mut config = config.map_err(tls)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// What other agents are shown, and the coordinator.
    pub(crate) fn credentials(&self) -> Result<Credentials, IdentityError> {
        let key = KeyPair::from_pem(&self.row.key_pem)?;
        let key = PrivateKeyDer::try_from(key.serialize_der());
        Ok(Credentials {
            chain: self.certificates(&self.row.chain)?,
            key: key.map_err(|error| IdentityError::Tls(error.to_owned()))?,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An identity whose certificate lasts from day 0 to day `days`.
    fn identity(days: u64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let day = |n: u64| std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(n * 86_400);
        (params.not_before, params.not_after) = (day(0).into(), day(days).into());
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        let token = format!("plxj_{}@h:1#sha256:{}", "s".repeat(43), "0".repeat(64));
        let token: Token = token.parse().unwrap();
        let given = Given {
            chain: vec![certificate.clone()],
            authorities: vec![certificate],
            generation: 3,
        };
        let new = NewKey {
            key,
            token: token.id(),
        };
        let place = ("eu".to_owned(), "p".to_owned());
        new.becomes("eu-1".to_owned(), place, vec!["h:1".to_owned()], &given)
    }

    #[test]
    fn a_certificate_is_renewed_at_half_of_its_life_give_or_take() {
        let days = |n: f64| Duration::from_secs_f64(n * 86_400.0);
        let identity = identity(10);
        assert_eq!(identity.renew_in(days(0.0), 0.0), days(4.5));
        assert_eq!(identity.renew_in(days(0.0), 1.0), days(5.5));
        assert_eq!(identity.renew_in(days(4.0), 0.5), days(1.0));
        assert_eq!(identity.renew_in(days(9.0), 0.5), Duration::ZERO);
        assert_eq!(identity.renew_in(days(99.0), 0.5), Duration::ZERO);
    }

    #[test]
    fn an_identity_is_kept_whole_and_private() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        assert!(Identity::load(folder.path()).unwrap().is_none());
        let stale = folder.path().join("enrolling-0123.pem");
        std::fs::write(&stale, b"key").unwrap();
        identity(10).save(folder.path()).unwrap();
        let again = Identity::load(folder.path()).unwrap().unwrap();
        assert_eq!(
            (again.agent(), again.region(), again.generation()),
            ("eu-1", "eu", 3)
        );
        assert!(!stale.exists(), "keys that lead nowhere are gone");
        let file = folder.path().join(FILE);
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        std::fs::write(&file, b"{}").unwrap();
        let error = Identity::load(folder.path()).map(|_| ()).unwrap_err();
        assert!(
            error.to_string().contains("identity.json: is damaged"),
            "{error}"
        );
    }
}
