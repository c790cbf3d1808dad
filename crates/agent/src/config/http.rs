//! What the agent serves over HTTP, and to whom.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::ConfigError;
use crate::module::Modules;

/// The listener of `/probe` and `/metrics`.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate; plain where absent.
    pub tls: Option<HttpTls>,
    /// Whether it may be plain, and open to everybody, where others can reach it.
    pub insecure_bind: bool,
    /// What whoever asks must have; nothing where absent.
    pub probe_token: Option<ProbeToken>,
    /// How targets may be probed.
    pub modules: Modules,
    /// How many requests an origin may have in a minute when it is asked for a probe; those of the
    /// schedule are counted, and go on.
    pub max_requests_per_minute: u32,
    /// Whether this is all that the agent does: then it joins no mesh, and keeps nothing.
    pub only: bool,
    /// How these settings are read anew; never where absent.
    pub reread: Option<Reread>,
}

/// Reads the settings anew, from where they were read at the start.
#[derive(Clone)]
pub struct Reread {
    /// What they were read from, beside what they name.
    files: Vec<PathBuf>,
    read: Arc<dyn Fn() -> Result<Http, String> + Send + Sync>,
}

impl Reread {
    /// By `read`, when one of `files` changes or one that the settings name. What it fails with names
    /// the setting, the problem and the way out.
    pub fn new(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<Http, String> + Send + Sync + 'static,
    ) -> Self {
        let read = Arc::new(read);
        Self { files, read }
    }

    pub(crate) fn read(&self) -> Result<Http, String> {
        (self.read)()
    }
}

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reread").field(&self.files).finish()
    }
}

/// Certificate chain and key, PEM files.
#[derive(Debug, Clone)]
pub struct HttpTls {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Http {
    /// Unless told otherwise: as many as a coordinator schedules.
    pub const MAX_REQUESTS_PER_MINUTE: u32 = 600;

    /// One on loopback, with the default module.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            insecure_bind: false,
            probe_token: None,
            modules: Modules::default(),
            max_requests_per_minute: Self::MAX_REQUESTS_PER_MINUTE,
            only: false,
            reread: None,
        }
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// All files that they are made of.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let own = self.reread.iter().flat_map(|reread| &reread.files);
        let tls = self.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key]);
        own.chain(tls)
            .chain(self.modules.files())
            .cloned()
            .collect()
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let most = self.max_requests_per_minute;
        if !(1..=model::monitor::MAX_REQUESTS_PER_MINUTE).contains(&most) {
            return Err(ConfigError::MaxRequests(most));
        }
        let missing = match (&self.tls, &self.probe_token) {
            _ if self.is_loopback() || self.insecure_bind => return Ok(()),
            (Some(_), Some(_)) => return Ok(()),
            (None, Some(_)) => "set http-tls-cert and http-tls-key",
            (Some(_), None) => "set probe-token-file",
            (None, None) => "set http-tls-cert, http-tls-key and probe-token-file",
        };
        Err(ConfigError::Open(self.listen, missing))
    }
}

/// What `Authorization: Bearer` must have, of those who ask for probes and metrics.
#[derive(Clone)]
pub struct ProbeToken(String);

/// The shortest and the longest token.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=4096;

impl ProbeToken {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProbeToken {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if !LENGTHS.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(
                "a token is one word of 16 to 4096 characters; make one with `openssl rand -hex 32`",
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ProbeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProbeToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_reach_has_tls_and_a_token() {
        let token: ProbeToken = "0123456789abcdef\n".parse().unwrap();
        assert_eq!(token.expose(), "0123456789abcdef");
        assert!(!format!("{token:?}").contains("0123"));
        let tls = HttpTls {
            certificate: "c".into(),
            key: "k".into(),
        };
        let said = |http: &Http| http.check().map_err(|error| error.to_string());
        for loopback in ["127.0.0.1:9116", "[::1]:9116", "[::ffff:127.0.0.1]:9116"] {
            assert_eq!(said(&Http::new(loopback.parse().unwrap())), Ok(()));
        }
        let mut open = Http::new("0.0.0.0:9116".parse().unwrap());
        let error = said(&open).unwrap_err();
        assert!(
            error.starts_with("http-listen: 0.0.0.0:9116 is not loopback")
                && error.contains("set http-tls-cert, http-tls-key and probe-token-file"),
            "{error}"
        );
        open.tls = Some(tls);
        assert!(said(&open).unwrap_err().contains("set probe-token-file"));
        open.probe_token = Some(token);
        assert_eq!(said(&open), Ok(()));
        open.tls = None;
        assert!(
            said(&open)
                .unwrap_err()
                .contains("set http-tls-cert and http-tls-key")
        );
        open.insecure_bind = true;
        assert_eq!(said(&open), Ok(()));
        open.max_requests_per_minute = 0;
        let error = said(&open).unwrap_err();
        let expected = "http-max-requests-per-minute: 0 is not within 1 to 1000000";
        assert_eq!(error, expected);
        for bad in ["", "short", "0123456789 abcdef", "0123456789abcdé.."] {
            assert!(bad.parse::<ProbeToken>().is_err(), "{bad}");
        }
    }
}
