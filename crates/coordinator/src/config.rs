//! The settings of a coordinator.

use std::net::SocketAddr;
use std::path::PathBuf;

use dial::{AddressPolicy, Allow, Dialer, DialerOptions, SetupError, TlsOptions};

/// Settings; [`Config::check`] says whether they can be used.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where agents connect, always with TLS of the mesh's own authority.
    pub grpc_listen: SocketAddr,
    /// Where API and metrics are served.
    pub http_listen: SocketAddr,
    /// Certificate chain and key of API and metrics, PEM files; plain where absent.
    pub http_tls: Option<(PathBuf, PathBuf)>,
    /// Whether the API may be plain where others can reach it.
    pub insecure_bind: bool,
    /// Where agents reach this coordinator, `host:port`; where it listens if absent, unless that is
    /// every address: then each token must say it.
    pub endpoint: Option<String>,
    /// The file with a key that may do everything; made where it is missing.
    pub admin_key_file: Option<PathBuf>,
    /// Whether metrics are read without a key.
    pub open_metrics: bool,
    /// Whether everybody may read the verdicts, by name and without URLs.
    pub public_summary: bool,
    /// A folder with files of monitors that is followed.
    pub monitors_dir: Option<PathBuf>,
    /// Where everything is kept.
    pub storage: Storage,
    /// How many hours raw evidence is kept.
    pub retention_hours: u32,
    /// Requests a minute that all monitors of an origin may make together by schedule; where they
    /// want more, they are probed less often.
    pub max_requests_per_minute: u32,
    /// Networks that authorization servers may be in beside public addresses.
    pub allow: Vec<Allow>,
    /// Authorities that are trusted for them beside the system's, PEM files.
    pub extra_roots: Vec<PathBuf>,
}

/// Where everything is kept.
#[derive(Debug, Clone)]
pub enum Storage {
    /// Nowhere: it is forgotten with the store given, which may outlive a coordinator.
    Memory(store::MemoryStore),
    /// In a folder of this machine.
    Embedded {
        /// Which folder.
        folder: PathBuf,
        /// When evidence may be acknowledged.
        durability: Durability,
    },
}

/// When evidence counts as kept, and may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the operating system has it: it survives the death of the process.
    Process,
    /// When the medium has it: it survives the death of the machine.
    Power,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A listener without TLS that others could reach.
    #[error(
        "http-listen: {0} is not loopback, and keys would travel in the clear; set --http-tls-cert and --http-tls-key, or say --insecure-bind behind a proxy that has TLS"
    )]
    Insecure(SocketAddr),
    /// No address.
    #[error("endpoint: `{0}` is no host and port; write it like mesh.example.com:7443")]
    Endpoint(String),
    /// Out of range.
    #[error("retention-hours: {0} is not within 1 to 8760")]
    Retention(u32),
    /// Out of range.
    #[error(
        "max-requests-per-minute: {0} is not within 1 to {max}",
        max = model::monitor::MAX_REQUESTS_PER_MINUTE
    )]
    Requests(u32),
}

impl Config {
    /// Raw evidence is kept for two days unless told otherwise.
    pub const RETENTION_HOURS: u32 = 48;
    /// What an origin bears unless told otherwise: ten agents with ten monitors of six requests a minute.
    pub const MAX_REQUESTS_PER_MINUTE: u32 = 600;

    /// Settings with defaults for all but these.
    #[must_use]
    pub const fn new(grpc_listen: SocketAddr, http_listen: SocketAddr, storage: Storage) -> Self {
        Self {
            grpc_listen,
            http_listen,
            http_tls: None,
            insecure_bind: false,
            endpoint: None,
            admin_key_file: None,
            open_metrics: false,
            public_summary: false,
            monitors_dir: None,
            storage,
            retention_hours: Self::RETENTION_HOURS,
            max_requests_per_minute: Self::MAX_REQUESTS_PER_MINUTE,
            allow: Vec::new(),
            extra_roots: Vec::new(),
        }
    }

    /// A dialer by these settings, for authorization servers.
    pub(crate) fn dialer(&self) -> Result<Dialer, SetupError> {
        Dialer::new(DialerOptions {
            tls: TlsOptions {
                extra_roots: self.extra_roots.clone(),
                ..TlsOptions::default()
            },
            policy: AddressPolicy::new(self.allow.clone()),
            ..DialerOptions::default()
        })
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Names the setting, the problem and the way out.
    pub fn check(self) -> Result<Self, ConfigError> {
        let is_open = !self.http_listen.ip().is_loopback();
        if is_open && self.http_tls.is_none() && !self.insecure_bind {
            return Err(ConfigError::Insecure(self.http_listen));
        }
        if let Some(endpoint) = self
            .endpoint
            .as_ref()
            .filter(|text| !model::target::is_endpoint(text))
        {
            return Err(ConfigError::Endpoint(model::text::line(endpoint, 80)));
        }
        let hours = self.retention_hours;
        if !(1..=8760).contains(&hours) {
            return Err(ConfigError::Retention(hours));
        }
        let most = self.max_requests_per_minute;
        if !(1..=model::monitor::MAX_REQUESTS_PER_MINUTE).contains(&most) {
            return Err(ConfigError::Requests(most));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(http: &str) -> Config {
        let store = store::MemoryStore::new(0);
        Config::new(
            "0.0.0.0:7443".parse().unwrap(),
            http.parse().unwrap(),
            Storage::Memory(store),
        )
    }

    #[test]
    fn each_bad_setting_is_named_with_the_way_out() {
        assert!(config("[::1]:0").check().is_ok());
        let mut open = config("0.0.0.0:7080");
        let error = open.clone().check().unwrap_err().to_string();
        assert!(error.starts_with("http-listen: 0.0.0.0:7080 is not loopback"));
        open.insecure_bind = true;
        assert!(open.check().is_ok());
        let mut short = config("127.0.0.1:0");
        short.retention_hours = 0;
        let error = short.check().unwrap_err().to_string();
        assert_eq!(error, "retention-hours: 0 is not within 1 to 8760");
        let mut capped = config("127.0.0.1:0");
        capped.max_requests_per_minute = 0;
        let error = capped.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "max-requests-per-minute: 0 is not within 1 to 1000000"
        );
        let mut nowhere = config("127.0.0.1:0");
        nowhere.endpoint = Some("mesh.example.com".into());
        let error = nowhere.check().unwrap_err().to_string();
        assert!(error.starts_with("endpoint: `mesh.example.com` is no host and port"));
    }
}
