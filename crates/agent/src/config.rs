//! The settings of an agent.

use std::net::SocketAddr;
use std::path::PathBuf;

use dial::{AddressPolicy, Allow, Dialer, DialerOptions, Family, SetupError, TlsOptions};

use crate::token::Token;

/// Validated settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Coordinators, `host:port`, tried in turn; the one that the token named where empty.
    pub coordinators: Vec<String>,
    /// What to join the mesh with, where the state folder has no identity yet.
    pub token: Option<Token>,
    /// Name servers; the system's where empty.
    pub name_servers: Vec<SocketAddr>,
    /// Networks that targets may be in beside public addresses.
    pub allow: Vec<Allow>,
    /// PEM files with authorities to trust beside the system's.
    pub extra_roots: Vec<PathBuf>,
    /// Probes that may run at once.
    pub max_probes: usize,
    /// Where identity, schedule and results are kept; nowhere where absent.
    pub state_dir: Option<PathBuf>,
    /// How much may wait to be handed in; then the oldest makes room.
    pub spool_bytes: u64,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A coordinator's address that is none.
    #[error("coordinator: `{0}` is no host and port; write it like mesh.example.com:7443")]
    Coordinator(String),
    /// Out of range.
    #[error("max-probes: {0} is not within 1 to 4096")]
    MaxProbes(usize),
    /// Out of range.
    #[error("spool-bytes: {0} is not within 1048576 (1 MiB) to 68719476736 (64 GiB)")]
    SpoolBytes(u64),
}

impl Config {
    /// Unless told otherwise: days of a hundred monitors a minute.
    pub const SPOOL_BYTES: u64 = 256 << 20;

    /// Checks the settings.
    ///
    /// # Errors
    /// Names the setting, the problem and the way out.
    pub fn check(self) -> Result<Self, ConfigError> {
        for coordinator in &self.coordinators {
            if !model::target::is_endpoint(coordinator) {
                let shown = model::text::line(coordinator, 64);
                return Err(ConfigError::Coordinator(shown));
            }
        }
        if !(1..=4096).contains(&self.max_probes) {
            return Err(ConfigError::MaxProbes(self.max_probes));
        }
        if !(1 << 20..=64 << 30).contains(&self.spool_bytes) {
            return Err(ConfigError::SpoolBytes(self.spool_bytes));
        }
        Ok(self)
    }

    /// A dialer by these settings.
    ///
    /// # Errors
    /// Names the setting that this host cannot use.
    pub fn dialer(&self) -> Result<Dialer, SetupError> {
        Dialer::new(DialerOptions {
            name_servers: self.name_servers.clone(),
            family: Family::Any,
            tls: TlsOptions {
                extra_roots: self.extra_roots.clone(),
            },
            policy: AddressPolicy::new(self.allow.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            coordinators: vec!["127.0.0.1:7443".into()],
            token: None,
            name_servers: Vec::new(),
            allow: Vec::new(),
            extra_roots: Vec::new(),
            max_probes: 256,
            state_dir: None,
            spool_bytes: Config::SPOOL_BYTES,
        }
    }

    #[test]
    fn each_bad_setting_is_named_with_the_way_out() {
        assert!(config().check().is_ok());
        type Break = fn(&mut Config);
        let table: [(Break, &str); 3] = [
            (
                |c| c.coordinators = vec!["localhost".into()],
                "coordinator: `localhost` is no host and port",
            ),
            (|c| c.spool_bytes = 1, "spool-bytes: 1 is not within"),
            (
                |c| c.max_probes = 0,
                "max-probes: 0 is not within 1 to 4096",
            ),
        ];
        for (break_it, message) in table {
            let mut config = config();
            break_it(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
