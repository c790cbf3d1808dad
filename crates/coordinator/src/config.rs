//! The settings of a coordinator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Validated settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where agents connect.
    pub grpc_listen: SocketAddr,
    /// Where API and metrics are served.
    pub http_listen: SocketAddr,
    /// Where everything is kept.
    pub storage: Storage,
    /// How long raw evidence is kept.
    pub retention: Duration,
}

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// Nowhere: it is forgotten when the coordinator ends.
    Memory,
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
        "{setting}: {address} is not loopback, and this build serves without TLS; use 127.0.0.1"
    )]
    NotLoopback {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        address: SocketAddr,
    },
    /// Out of range.
    #[error("retention-hours: {0} is not within 1 to 8760")]
    Retention(u32),
}

impl Config {
    /// Raw evidence is kept for two days unless told otherwise.
    pub const RETENTION_HOURS: u32 = 48;

    /// Settings with defaults for all but these.
    ///
    /// # Errors
    /// Names the setting, the problem and the way out.
    pub fn new(
        grpc_listen: SocketAddr,
        http_listen: SocketAddr,
        storage: Storage,
    ) -> Result<Self, ConfigError> {
        for (setting, address) in [("grpc-listen", grpc_listen), ("http-listen", http_listen)] {
            if !address.ip().is_loopback() {
                return Err(ConfigError::NotLoopback { setting, address });
            }
        }
        Ok(Self {
            grpc_listen,
            http_listen,
            storage,
            retention: Duration::from_secs(3600 * Self::RETENTION_HOURS as u64),
        })
    }

    /// The same settings, keeping raw evidence for so many hours.
    ///
    /// # Errors
    /// It is out of range.
    pub fn keep(mut self, hours: u32) -> Result<Self, ConfigError> {
        if !(1..=8760).contains(&hours) {
            return Err(ConfigError::Retention(hours));
        }
        self.retention = Duration::from_secs(3600 * u64::from(hours));
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_listener_without_tls_is_refused() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let config = |http| Config::new(address("127.0.0.1:0"), address(http), Storage::Memory);
        let good = config("[::1]:0").unwrap();
        let error = config("0.0.0.0:7080").unwrap_err();
        assert_eq!(
            error.to_string(),
            "http-listen: 0.0.0.0:7080 is not loopback, and this build serves without TLS; use 127.0.0.1"
        );
        let error = good.keep(0).unwrap_err().to_string();
        assert_eq!(error, "retention-hours: 0 is not within 1 to 8760");
    }
}
