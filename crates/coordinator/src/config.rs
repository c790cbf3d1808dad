//! The settings of a coordinator.

use std::net::SocketAddr;

/// Validated settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where agents connect.
    pub grpc_listen: SocketAddr,
    /// Where API and metrics are served.
    pub http_listen: SocketAddr,
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
}

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the setting, the problem and the way out.
    pub fn new(grpc_listen: SocketAddr, http_listen: SocketAddr) -> Result<Self, ConfigError> {
        for (setting, address) in [("grpc-listen", grpc_listen), ("http-listen", http_listen)] {
            if !address.ip().is_loopback() {
                return Err(ConfigError::NotLoopback { setting, address });
            }
        }
        Ok(Self {
            grpc_listen,
            http_listen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_listener_without_tls_is_refused() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(Config::new(address("127.0.0.1:0"), address("[::1]:0")).is_ok());
        let error = Config::new(address("127.0.0.1:0"), address("0.0.0.0:7080")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "http-listen: 0.0.0.0:7080 is not loopback, and this build serves without TLS; use 127.0.0.1"
        );
    }
}
