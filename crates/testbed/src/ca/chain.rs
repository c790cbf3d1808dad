//! Chains of certificates, as servers send them and should not.

use anyhow::Context as _;
use rcgen::{CertificateParams, CustomExtension, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::{Ca, DAY, authority, config, now};

/// What a server sends beside its certificate, which an intermediate authority signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// The intermediate certificate, as it should be; it ends in 60 days, the server's in 90.
    Whole,
    /// The intermediate certificate, which ended yesterday.
    IntermediateExpired,
    /// The intermediate certificate, which begins tomorrow.
    IntermediateNotYetValid,
    /// Nothing, while the certificate says where its issuer's is published.
    IntermediateMissing,
    /// The intermediate certificate, and the authority's own.
    WithRoot,
    /// The intermediate certificate, and the authority's as another one signed it that is unknown
    /// and ended yesterday: what half of the web sent in 2021.
    CrossSignedExpired,
    /// A certificate that signed itself, and nothing else.
    SelfSigned,
}

/// Where the intermediate certificate is said to be published.
pub const PUBLISHED: &str = "http://ca.testbed.example/intermediate.der";

impl Ca {
    /// TLS for a server that is known by `names`, with such a chain.
    ///
    /// # Errors
    /// Signing failed, or a name is none.
    pub fn chained(&self, names: &[&str], chain: Chain) -> anyhow::Result<ServerConfig> {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let now = now()?;
        let owned: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(owned).context("names of the certificate")?;
        params.not_before = epoch + (now - 30 * DAY);
        params.not_after = epoch + (now + 90 * DAY);
        params.custom_extensions = vec![published_at(PUBLISHED)];
        let key = KeyPair::generate().context("generating the server's key")?;
        if chain == Chain::SelfSigned {
            let cert = params.self_signed(&key).context("signing the server")?;
            return config(vec![cert.der().clone()], &key);
        }

        let mut above = authority("Parallax testbed intermediate");
        let (from, to) = match chain {
            Chain::IntermediateExpired => (now - 60 * DAY, now - DAY),
            Chain::IntermediateNotYetValid => (now + DAY, now + 60 * DAY),
            Chain::Whole
            | Chain::IntermediateMissing
            | Chain::WithRoot
            | Chain::CrossSignedExpired
            | Chain::SelfSigned => (now - 60 * DAY, now + 60 * DAY),
        };
        above.not_before = epoch + from;
        above.not_after = epoch + to;
        let above_key = KeyPair::generate().context("generating the intermediate's key")?;
        let above_cert = above
            .signed_by(&above_key, &self.issuer)
            .context("signing the intermediate")?;
        let issuer = Issuer::new(above, above_key);
        let cert = params
            .signed_by(&key, &issuer)
            .context("signing the server")?;

        let mut certs = vec![cert.der().clone()];
        if chain != Chain::IntermediateMissing {
            certs.push(above_cert.der().clone());
        }
        if chain == Chain::WithRoot {
            certs.push(self.cert.clone());
        }
        if chain == Chain::CrossSignedExpired {
            let mut crossed = self.params.clone();
            crossed.not_before = epoch + (now - 300 * DAY);
            crossed.not_after = epoch + (now - DAY);
            let own = KeyPair::try_from(&PrivatePkcs8KeyDer::from(self.key.clone()))
                .context("reading the authority's key")?;
            let old = KeyPair::generate().context("generating the old authority's key")?;
            let old = Issuer::new(authority("Parallax testbed of old"), old);
            let crossed = crossed.signed_by(&own, &old).context("signing across")?;
            certs.push(crossed.der().clone());
        }
        config(certs, &key)
    }
}

/// Authority information access with the issuer's certificate (RFC 5280 §4.2.2.1), DER.
fn published_at(url: &str) -> CustomExtension {
    let length = |content: &[u8]| u8::try_from(content.len()).unwrap_or(u8::MAX);
    let tagged = |tag: u8, content: &[u8]| [&[tag, length(content)], content].concat();
    let ca_issuers = [0x2b, 6, 1, 5, 5, 7, 0x30, 2];
    let entry = [tagged(6, &ca_issuers), tagged(0x86, url.as_bytes())].concat();
    let access = tagged(0x30, &tagged(0x30, &entry));
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access)
}
