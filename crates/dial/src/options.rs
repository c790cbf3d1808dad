//! How a dialer is set up.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::address::AddressPolicy;

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// PEM files with certificates of authorities that are trusted beside the system's.
    pub extra_roots: Vec<PathBuf>,
    /// What is shown to servers that ask for a client certificate (mutual TLS).
    pub client: Option<ClientIdentity>,
}

/// A certificate of the client, and its key.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// A PEM file with the certificate, and those between it and its authority.
    pub certificates: PathBuf,
    /// A PEM file with its private key.
    pub key: PathBuf,
}

/// Which address families to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// Both, as a client would.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// How a dialer is set up.
#[derive(Debug, Clone, Default)]
pub struct DialerOptions {
    /// Name servers; the system's where empty.
    pub name_servers: Vec<SocketAddr>,
    /// Address families.
    pub family: Family,
    /// Whom to trust.
    pub tls: TlsOptions,
    /// What is opened to targets of remote origin.
    pub policy: AddressPolicy,
}

/// A dialer that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system's resolver configuration cannot be read.
    #[error("name servers: {0}; name them in the configuration or with --resolver IP:PORT")]
    Resolver(String),
    /// A file of trusted authorities cannot be used.
    #[error("extra_roots: {path}: {problem}")]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The client's certificate or its key cannot be used.
    #[error("client certificate: {path}: {problem}")]
    Client {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The TLS library refuses its configuration.
    #[error("TLS: {0}")]
    Tls(String),
}
