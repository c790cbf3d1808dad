//! TLS of a listener, from PEM files.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The largest file: a chain is some kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// A certificate or a key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {}: {problem}", path.display())]
pub struct BadTls {
    /// The setting that names the file.
    setting: &'static str,
    path: PathBuf,
    /// What is wrong; nothing of the file is repeated.
    problem: String,
}

/// The settings of a server that shows this chain and has this key; clients choose one of the
/// protocols, the first ones rather (RFC 7301).
///
/// # Errors
/// Names the setting (`http-tls-cert`, `http-tls-key`), the file and the problem.
pub fn from_files(certificate: &Path, key: &Path, alpn: &[&str]) -> Result<ServerConfig, BadTls> {
    let chain_of = |problem: String| BadTls {
        setting: "http-tls-cert",
        path: certificate.to_owned(),
        problem,
    };
    let key_of = |problem: String| BadTls {
        setting: "http-tls-key",
        path: key.to_owned(),
        problem,
    };
    let pem = read(certificate).map_err(chain_of)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| chain_of(error.to_string()))?;
    if chain.is_empty() {
        return Err(chain_of("it has no PEM certificate".to_owned()));
    }
    let pem = read(key).map_err(key_of)?;
    let secret = PrivateKeyDer::from_pem_slice(&pem);
    let secret = secret.map_err(|error| key_of(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| chain_of(error.to_string()))?;
    let config = builder
        .with_no_client_auth()
        .with_single_cert(chain, secret);
    let mut config = config.map_err(|error| key_of(format!("does not fit: {error}")))?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let named = |error: std::io::Error| error.to_string();
    let file = std::fs::File::open(path).map_err(named)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(named)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_file_is_named_with_its_setting() {
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (own, other) = (made("own.example"), made("other.example"));
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let chain = file("chain", &own.cert.pem());
        let key = file("key", &own.signing_key.serialize_pem());
        let config = from_files(&chain, &key, &["h2", "http/1.1"]).unwrap();
        assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]);
        let empty = file("empty", "");
        let other = file("other", &other.signing_key.serialize_pem());
        let large = file("large", &"-".repeat(1 + MAX_BYTES as usize));
        let gone = folder.path().join("gone");
        let table = [
            (&gone, &key, "http-tls-cert", "No such file"),
            (&empty, &key, "http-tls-cert", "it has no PEM certificate"),
            (&key, &key, "http-tls-cert", "it has no PEM certificate"),
            (
                &large,
                &key,
                "http-tls-cert",
                "is larger than 1048576 bytes",
            ),
            (&chain, &gone, "http-tls-key", "No such file"),
            (&chain, &empty, "http-tls-key", ""),
            (&chain, &chain, "http-tls-key", ""),
            (&chain, &other, "http-tls-key", "does not fit"),
        ];
        for (certificate, key, setting, problem) in table {
            let error = from_files(certificate, key, &[]).unwrap_err();
            assert_eq!(error.setting, setting, "{error}");
            assert!(error.problem.contains(problem), "{error}");
            assert!(!error.to_string().contains("BEGIN"), "{error}");
        }
    }
}
