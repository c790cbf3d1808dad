//! The settings of an agent.

mod http;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use dial::{AddressPolicy, Allow, Dialer, DialerOptions, Family, Proxy, SetupError, TlsOptions};

use crate::token::Token;
pub use http::{Http, HttpTls, ProbeToken, Reread};

/// What the agent has to do with the paths to other agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Peering {
    /// Nothing.
    Off,
    /// It watches the paths to those whom the coordinator names.
    #[default]
    Watch,
    /// And answers those that the coordinator names, over UDP at this address.
    Listen(SocketAddr),
}

/// Validated settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Coordinators, `host:port`, tried in turn; the one that the token named where empty.
    pub coordinators: Vec<String>,
    /// What to join the mesh with, where the state folder has no identity yet.
    pub token: Option<Token>,
    /// The proxy on the way to the coordinators, for enrolment and link. Probes and canaries never
    /// use it: they would measure it.
    pub link_proxy: Option<Proxy>,
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
    /// What the agent should reach whatever its targets do, `host:port`: its self-test. None for
    /// a network without a way out.
    pub canaries: Vec<String>,
    /// Paths to other agents.
    pub peering: Peering,
    /// Whom owners of targets can write to, in the `User-Agent` of every request.
    pub contact: probe::Contact,
    /// Where `/probe` and `/metrics` are served; nowhere where absent.
    pub http: Option<Http>,
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
    /// A canary's address that is none.
    #[error(
        "canaries: `{0}` is no host and port; write it like one.one.one.one:443, or set none with `canaries = []`"
    )]
    Canary(String),
    /// Too many.
    #[error("canaries: {0} are too many; name at most {max}", max = Config::MAX_CANARIES)]
    Canaries(usize),
    /// Out of range.
    #[error(
        "http-max-requests-per-minute: {0} is not within 1 to {max}",
        max = model::monitor::MAX_REQUESTS_PER_MINUTE
    )]
    MaxRequests(u32),
    /// A listener that others could reach, and that is not guarded.
    #[error(
        "http-listen: {0} is not loopback, and whoever reaches it could make this agent probe; {1}, or say --insecure-bind where something in front guards it"
    )]
    Open(SocketAddr, &'static str),
}

impl Config {
    /// Unless told otherwise: days of a hundred monitors a minute.
    pub const SPOOL_BYTES: u64 = 256 << 20;
    /// Unless told otherwise: five operators who are everywhere, and who do not fail together.
    pub const CANARIES: [&str; 5] = [
        "one.one.one.one:443",
        "dns.google:443",
        "dns.quad9.net:443",
        "www.fastly.com:443",
        "www.akamai.com:443",
    ];
    /// Canaries of one agent: each of its rounds asks all of them.
    pub const MAX_CANARIES: usize = 16;

    /// Checks the settings.
    ///
    /// # Errors
    /// Names the setting, the problem and the way out.
    pub fn check(mut self) -> Result<Self, ConfigError> {
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
        for canary in &self.canaries {
            if !model::target::is_endpoint(canary) {
                return Err(ConfigError::Canary(model::text::line(canary, 64)));
            }
        }
        // One that is named twice vouches once, and all agents call it by the same name.
        let mut known = BTreeSet::new();
        for canary in &mut self.canaries {
            canary.make_ascii_lowercase();
        }
        self.canaries.retain(|canary| known.insert(canary.clone()));
        if self.canaries.len() > Self::MAX_CANARIES {
            return Err(ConfigError::Canaries(self.canaries.len()));
        }
        if let Some(http) = &self.http {
            http.check()?;
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
                ..TlsOptions::default()
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
            link_proxy: None,
            name_servers: Vec::new(),
            allow: Vec::new(),
            extra_roots: Vec::new(),
            max_probes: 256,
            state_dir: None,
            spool_bytes: Config::SPOOL_BYTES,
            canaries: Config::CANARIES.map(str::to_owned).to_vec(),
            peering: Peering::default(),
            contact: probe::Contact::default(),
            http: None,
        }
    }

    #[test]
    fn each_bad_setting_is_named_with_the_way_out() {
        assert!(config().check().is_ok());
        type Break = fn(&mut Config);
        let table: [(Break, &str); 5] = [
            (
                |c| c.coordinators = vec!["localhost".into()],
                "coordinator: `localhost` is no host and port",
            ),
            (|c| c.spool_bytes = 1, "spool-bytes: 1 is not within"),
            (
                |c| c.max_probes = 0,
                "max-probes: 0 is not within 1 to 4096",
            ),
            (
                |c| c.canaries.push("1.1.1.1".into()),
                "canaries: `1.1.1.1` is no host and port; write it like one.one.one.one:443, or \
                 set none with `canaries = []`",
            ),
            (
                |c| c.canaries = (1..=17).map(|port| format!("a:{port}")).collect(),
                "canaries: 17 are too many; name at most 16",
            ),
        ];
        for (break_it, message) in table {
            let mut config = config();
            break_it(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_canary_has_one_name_and_is_asked_once() {
        let mut config = config();
        config.canaries = ["Dns.Google:443", "a:1", "dns.google:443"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(config.check().unwrap().canaries, ["dns.google:443", "a:1"]);
    }
}
