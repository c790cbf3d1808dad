//! The settings of an agent.

use std::net::SocketAddr;
use std::path::PathBuf;

use dial::{AddressPolicy, Allow, Dialer, DialerOptions, Family, SetupError, TlsOptions};
use rpc::{convert, v1};

/// Validated settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Coordinators, `address:port`, tried in turn.
    pub coordinators: Vec<String>,
    /// Who the agent is. This build's link is loopback only, where a claim is believed.
    pub agent: String,
    /// The metro it probes from.
    pub region: String,
    /// Whose network it is on.
    pub provider: String,
    /// Name servers; the system's where empty.
    pub name_servers: Vec<SocketAddr>,
    /// Networks that targets may be in beside public addresses.
    pub allow: Vec<Allow>,
    /// PEM files with authorities to trust beside the system's.
    pub extra_roots: Vec<PathBuf>,
    /// Probes that may run at once.
    pub max_probes: usize,
    /// Where schedule and results are kept; nowhere where absent.
    pub state_dir: Option<PathBuf>,
    /// How much may wait to be handed in; then the oldest makes room.
    pub spool_bytes: u64,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An id that is none.
    #[error("{0}; use 1 to 64 letters, digits, `-`, `_` and `.`")]
    Id(#[from] convert::ConvertError),
    /// A coordinator's address that is none.
    #[error("coordinator: `{0}` is no address and port; write it like 127.0.0.1:7443")]
    Coordinator(String),
    /// A link that others could read.
    #[error("coordinator: {0} is not loopback, and this build's link has no TLS; use 127.0.0.1")]
    NotLoopback(String),
    /// No coordinator at all.
    #[error("coordinator: name at least one")]
    NoCoordinator,
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
        convert::id_from("agent", &self.agent)?;
        convert::id_from("region", &self.region)?;
        convert::id_from("provider", &self.provider)?;
        if self.coordinators.is_empty() {
            return Err(ConfigError::NoCoordinator);
        }
        for coordinator in &self.coordinators {
            let shown = || model::text::line(coordinator, 64);
            let address: SocketAddr = coordinator
                .parse()
                .map_err(|_| ConfigError::Coordinator(shown()))?;
            if !address.ip().is_loopback() {
                return Err(ConfigError::NotLoopback(shown()));
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

    pub(crate) fn claim(&self) -> v1::AgentClaim {
        v1::AgentClaim {
            agent_id: self.agent.clone(),
            region: self.region.clone(),
            provider: self.provider.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            coordinators: vec!["127.0.0.1:7443".into()],
            agent: "eu-1".into(),
            region: "eu".into(),
            provider: "p".into(),
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
        let table: [(Break, &str); 7] = [
            (
                |c| c.agent = "a b".into(),
                "agent: `a b` is no id; use 1 to 64",
            ),
            (|c| c.region.clear(), "region: `` is no id"),
            (|c| c.coordinators.clear(), "coordinator: name at least one"),
            (
                |c| c.coordinators = vec!["localhost".into()],
                "write it like 127.0.0.1:7443",
            ),
            (
                |c| c.coordinators = vec!["192.0.2.1:7443".into()],
                "is not loopback",
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
