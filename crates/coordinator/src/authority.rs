//! The authority that signs what agents and coordinator show each other: made at the first start,
//! kept sealed in the store, trusted by nobody but this mesh.

use std::time::{Duration, SystemTime};

use peer::key_of;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use store::{Kind, Store, StoreError};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Clocks of agents may be wrong by so much: certificates begin earlier.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);
/// How long the authority is good for.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long an agent's certificate is good for. Agents renew at about half of it, so that one that was
/// away for days comes back by itself.
pub(crate) const AGENT_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);
/// The coordinator's own certificate, which is made anew with each start.
const SERVER_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// In front of an agent's name, in the URI of its certificate.
const AGENT_URI: &str = "parallax://agent/";

/// What does not work about certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is of no use.
    #[error("the authority in the store is damaged: {0}")]
    Damaged(String),
    /// Signing failed.
    #[error("certificate: {0}")]
    Sign(#[from] rcgen::Error),
}

/// How the authority is kept.
#[derive(Serialize, Deserialize)]
struct Row {
    certificate_pem: String,
    key_pem: String,
}

/// Signs certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate with its key.
pub(crate) struct Leaf {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// An agent's certificate, and which key it is for.
pub(crate) struct Issued {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key_sha256: [u8; 32],
}

impl Authority {
    /// The authority of a store; a new one where it has none.
    pub(crate) async fn open<S: Store>(store: &S, now: SystemTime) -> Result<Self, AuthorityError> {
        if let Some(row) = store.entry(Kind::Authority, "current").await? {
            return Self::of(&row);
        }
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Parallax mesh");
        lasts(&mut params, now, AUTHORITY_LIFE);
        let key = KeyPair::generate()?;
        let row = Row {
            certificate_pem: params.self_signed(&key)?.pem(),
            key_pem: key.serialize_pem(),
        };
        let row = serde_json::to_vec(&row).map_err(|e| AuthorityError::Damaged(e.to_string()))?;
        // Another coordinator on the same store may have been first.
        let id = "current";
        if store
            .replace(Kind::Authority, id, None, Some(row.clone()))
            .await?
        {
            return Self::of(&row);
        }
        let row = store.entry(Kind::Authority, id).await?;
        Self::of(&row.unwrap_or_default())
    }

    fn of(row: &[u8]) -> Result<Self, AuthorityError> {
        let damaged = |problem: String| AuthorityError::Damaged(problem);
        let row: Row = serde_json::from_slice(row).map_err(|e| damaged(e.to_string()))?;
        let key = KeyPair::from_pem(&row.key_pem)?;
        let issuer = Issuer::from_ca_cert_pem(&row.certificate_pem, key)?;
        use rustls::pki_types::pem::PemObject as _;
        let certificate = CertificateDer::from_pem_slice(row.certificate_pem.as_bytes());
        let certificate = certificate.map_err(|e| damaged(e.to_string()))?;
        Ok(Self {
            issuer,
            certificate,
        })
    }

    /// The authority's certificate.
    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What a token pins: SHA-256 of the authority's public key.
    pub(crate) fn pin(&self) -> [u8; 32] {
        key_of(&self.certificate).unwrap_or_default()
    }

    /// A certificate for the listener that agents connect to.
    pub(crate) fn server(&self, now: SystemTime) -> Result<Leaf, AuthorityError> {
        let key = KeyPair::generate()?;
        // One name for every coordinator of the mesh: this authority signs for nobody else, so
        // the address at which an agent reaches it needs no certificate of its own.
        let mut params = CertificateParams::new(vec![rpc::COORDINATOR_NAME.to_owned()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Parallax coordinator");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        lasts(&mut params, now, SERVER_LIFE);
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der());
        Ok(Leaf {
            chain: vec![leaf.der().clone(), self.certificate.clone()],
            key: key.map_err(|e| AuthorityError::Damaged(e.to_owned()))?,
        })
    }

    /// A certificate for an agent. Of the request only the key is used, which the request itself
    /// proves that its sender holds.
    pub(crate) fn agent(
        &self,
        agent: &str,
        request: &[u8],
        now: SystemTime,
    ) -> Result<Issued, AuthorityError> {
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let mut request = CertificateSigningRequestParams::from_der(&request)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, agent);
        let uri = format!("{AGENT_URI}{agent}").try_into()?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let mut serial = [0; 16];
        // Without randomness rcgen makes a serial of the key.
        if aws_lc_rs::rand::fill(&mut serial).is_ok() {
            serial[0] &= 0x7f;
            params.serial_number = Some(SerialNumber::from_slice(&serial));
        }
        lasts(&mut params, now, AGENT_LIFE);
        request.params = params;
        let leaf = request.signed_by(&self.issuer)?.der().clone();
        let key_sha256 = key_of(&leaf)
            .ok_or_else(|| AuthorityError::Damaged("no key in a new certificate".to_owned()))?;
        Ok(Issued {
            chain: vec![leaf, self.certificate.clone()],
            key_sha256,
        })
    }
}

fn lasts(params: &mut CertificateParams, now: SystemTime, life: Duration) {
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + life).into();
}

/// When a certificate ends.
pub(crate) fn ends_at(certificate: &CertificateDer<'_>) -> Option<jiff::Timestamp> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    jiff::Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// Whose a verified client certificate is: exactly one name, and that an agent's.
pub(crate) fn agent_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let [GeneralName::URI(uri)] = names.value.general_names[..] else {
        return None;
    };
    let agent = uri.strip_prefix(AGENT_URI)?;
    model::monitor::is_id(agent).then(|| agent.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::MemoryStore;

    fn request() -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        // What an agent asks for beside its key is not given.
        let params = CertificateParams::new(vec!["coordinator.example".to_owned()]).unwrap();
        params.serialize_request(&key).unwrap().der().to_vec()
    }

    #[tokio::test]
    async fn the_authority_is_kept_and_names_agents_by_their_certificate() {
        let store = MemoryStore::new(0);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let authority = Authority::open(&store, now).await.unwrap();
        let again = Authority::open(&store, now).await.unwrap();
        assert_eq!(authority.pin(), again.pin());
        let issued = again.agent("eu-1", &request(), now).unwrap();
        assert_eq!(agent_of(&issued.chain[0]).as_deref(), Some("eu-1"));
        assert_eq!(agent_of(authority.certificate()), None);
        let server = authority.server(now).unwrap();
        assert_eq!(agent_of(&server.chain[0]), None, "a server is no agent");
        let other = Authority::open(&MemoryStore::new(0), now).await.unwrap();
        assert_ne!(authority.pin(), other.pin());
        let error = authority
            .agent("eu-1", b"nonsense", now)
            .map(|_| ())
            .unwrap_err();
        assert!(error.to_string().starts_with("certificate: "), "{error}");
    }
}
