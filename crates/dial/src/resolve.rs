//! Names to addresses, asked anew for every probe: a cached answer would hide a broken resolver
//! and a moved target.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, Resolver, TokioResolver};
use model::Reason;

use crate::error::DialError;
use crate::options::{Family, SetupError};

/// Addresses of one name that are used; the rest could only serve to keep an agent busy.
const MAX_ADDRESSES: usize = 16;
/// How long one name server may take before the next is asked.
const ATTEMPT: Duration = Duration::from_secs(2);

/// What a name was resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The addresses that may be connected to.
    pub addresses: Vec<IpAddr>,
    /// The smallest time to live of the answers, seconds; absent where no name server answered.
    pub ttl: Option<u32>,
    /// Who was asked: name servers, `ip:port`, of which any may have answered, or `hosts file`.
    pub resolver: Vec<String>,
}

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Resolved {
    addresses: Vec<IpAddr>,
    /// The smallest time to live of the answers, seconds.
    ttl: u32,
}

/// Name servers that are listed; more than three are hardly configured anywhere.
const MAX_SERVERS: usize = 8;

/// How long the second family may take once the first has answered (RFC 8305 §3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Asks the system's name servers, or those that the configuration names.
#[derive(Clone)]
pub(crate) struct Names {
    v4: Option<TokioResolver>,
    v6: Option<TokioResolver>,
    has_search_list: bool,
    servers: Vec<String>,
    hosts: Arc<Hosts>,
}

/// Which answers are waited for when both families are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The first, and for the other only a moment: as a client would.
    First,
    /// Both.
    Both,
}

impl Names {
    /// Name servers in `servers`, or the system's where there are none.
    pub(crate) fn new(servers: &[SocketAddr], family: Family) -> Result<Self, SetupError> {
        let failed = |error: NetError| SetupError::Resolver(error.to_string());
        let (config, options) = if servers.is_empty() {
            read_system_conf().map_err(failed)?
        } else {
            let configs = servers.iter().map(name_server).collect();
            (
                ResolverConfig::from_parts(None, Vec::new(), configs),
                ResolverOpts::default(),
            )
        };
        let has_search_list = !config.search.is_empty();
        let servers = listed(&config);
        let build = |strategy| {
            let provider = TokioRuntimeProvider::default();
            let mut builder = Resolver::builder_with_config(config.clone(), provider);
            *builder.options_mut() = tuned(options.clone(), strategy);
            builder.build().map_err(failed)
        };
        let wanted = |only: Family| family == Family::Any || family == only;
        Ok(Self {
            v4: wanted(Family::V4)
                .then(|| build(LookupIpStrategy::Ipv4Only))
                .transpose()?,
            v6: wanted(Family::V6)
                .then(|| build(LookupIpStrategy::Ipv6Only))
                .transpose()?,
            has_search_list,
            servers,
            // Without the file, or with one that cannot be read, names are asked for.
            hosts: Arc::new(Hosts::from_system().unwrap_or_default()),
        })
    }

    /// The same names, of one family only.
    pub(crate) fn of(self, family: Family) -> Self {
        let (v4, v6) = match family {
            Family::Any => (self.v4, self.v6),
            Family::V4 => (self.v4, None),
            Family::V6 => (None, self.v6),
        };
        Self { v4, v6, ..self }
    }

    /// The addresses of `name`.
    ///
    /// A name of three labels or more is absolute: a search list must not turn a public name that
    /// is gone into a private one that answers. Shorter names are also looked up with the list.
    pub(crate) async fn resolve(&self, name: &str, wait: Wait) -> Result<Resolution, DialError> {
        let resolved = self.find(name, wait).await?;
        let (ttl, resolver) = match self.known_here(name) {
            Some(here) => (None, vec![here.to_owned()]),
            None => (Some(resolved.ttl), self.servers.clone()),
        };
        Ok(Resolution {
            addresses: resolved.addresses,
            ttl,
            resolver,
        })
    }

    /// Who on this host knows the name, so that no name server is asked.
    fn known_here(&self, name: &str) -> Option<&'static str> {
        let name = name.trim_end_matches('.');
        let parsed = Name::from_utf8(name).ok()?;
        let is_listed = [RecordType::A, RecordType::AAAA].into_iter().any(|kind| {
            let query = Query::query(parsed.clone(), kind);
            self.hosts.lookup_static_host(&query).is_some()
        });
        if is_listed {
            return Some("hosts file");
        }
        // RFC 6761 §6.3: names of this host are never asked for.
        let is_own = name == "localhost" || name.ends_with(".localhost");
        is_own.then_some("this host")
    }

    async fn find(&self, name: &str, wait: Wait) -> Result<Resolved, DialError> {
        let labels = name.trim_end_matches('.').split('.').count();
        let absolute = format!("{}.", name.trim_end_matches('.'));
        if labels == 1 && self.has_search_list {
            return self.both(name, wait).await;
        }
        let found = self.both(&absolute, wait).await;
        let is_absent = found
            .as_ref()
            .is_err_and(|error| matches!(error.reason, Reason::DnsNxdomain | Reason::DnsNoData));
        if is_absent && labels == 2 && self.has_search_list {
            return self.both(name, wait).await.or(found);
        }
        found
    }

    /// Both families at once. The first answer waits for the other only for a moment.
    async fn both(&self, name: &str, wait: Wait) -> Result<Resolved, DialError> {
        let (v4, v6) = match (&self.v4, &self.v6) {
            (Some(v4), None) => return lookup(v4, name).await,
            (None, Some(v6)) => return lookup(v6, name).await,
            (None, None) => return Err(DialError::new(Reason::ProberInternal, "no family")),
            (Some(v4), Some(v6)) => (lookup(v4, name), lookup(v6, name)),
        };
        let (v4, v6) = (std::pin::pin!(v4), std::pin::pin!(v6));
        match futures_util::future::select(v6, v4).await {
            Either::Left((first, other)) => settle(first, other, wait).await,
            Either::Right((first, other)) => settle(first, other, wait).await,
        }
    }
}

/// The answers of both families, of which `first` has come.
async fn settle(
    first: Result<Resolved, DialError>,
    other: impl Future<Output = Result<Resolved, DialError>>,
    wait: Wait,
) -> Result<Resolved, DialError> {
    match first {
        Err(first) => other.await.map_err(|other| worse(first, other)),
        Ok(mut first) => {
            let other = match wait {
                Wait::First => tokio::time::timeout(RESOLUTION_DELAY, other).await.ok(),
                Wait::Both => Some(other.await),
            };
            if let Some(Ok(other)) = other {
                first.ttl = first.ttl.min(other.ttl);
                first.addresses.extend(other.addresses);
                // IPv6 first, as the system's own resolver would order them.
                first.addresses.sort_by_key(IpAddr::is_ipv4);
                first.addresses.truncate(MAX_ADDRESSES);
            }
            Ok(first)
        }
    }
}

/// That a name does not exist is said of the name; a failure of one family's question says more
/// than the absence of the other's address.
fn worse(one: DialError, other: DialError) -> DialError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are no failures of DNS"
    )]
    let rank = |error: &DialError| match error.reason {
        Reason::DnsNxdomain => 3,
        Reason::DnsServfail => 2,
        Reason::DnsTimeout => 1,
        _ => 0,
    };
    if rank(&one) >= rank(&other) {
        one
    } else {
        other
    }
}

async fn lookup(resolver: &TokioResolver, name: &str) -> Result<Resolved, DialError> {
    let found = resolver
        .lookup_ip(name)
        .await
        .map_err(|error| explain(name, &error))?;
    let answers = found.as_lookup().answers();
    let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
    let mut addresses: Vec<IpAddr> = found.iter().take(MAX_ADDRESSES).collect();
    addresses.dedup();
    if addresses.is_empty() {
        let shown = model::text::line(name, 80);
        return Err(DialError::new(
            Reason::DnsNoData,
            format!("{shown} has no address"),
        ));
    }
    Ok(Resolved { addresses, ttl })
}

fn tuned(mut options: ResolverOpts, strategy: LookupIpStrategy) -> ResolverOpts {
    options.cache_size = 0;
    options.timeout = ATTEMPT;
    options.attempts = 2;
    options.ip_strategy = strategy;
    options
}

/// The name servers of a configuration, `ip:port`.
fn listed(config: &ResolverConfig) -> Vec<String> {
    let mut servers: Vec<String> = Vec::new();
    for server in &config.name_servers {
        for connection in &server.connections {
            let server = SocketAddr::new(server.ip, connection.port).to_string();
            if servers.len() < MAX_SERVERS && !servers.contains(&server) {
                servers.push(server);
            }
        }
    }
    servers
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let mut config = NameServerConfig::udp_and_tcp(address.ip());
    config.connections = vec![
        with_port(ConnectionConfig::udp()),
        with_port(ConnectionConfig::tcp()),
    ];
    config
}

fn explain(name: &str, error: &NetError) -> DialError {
    let name = model::text::line(name.trim_end_matches('.'), 80);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
    let (reason, detail) = match error {
        NetError::Timeout => (Reason::DnsTimeout, format!("no answer for {name}")),
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => (Reason::DnsNxdomain, format!("{name} does not exist")),
            ResponseCode::NoError => (Reason::DnsNoData, format!("{name} has no address")),
            code => (Reason::DnsServfail, format!("{name}: {code}")),
        },
        other => (
            Reason::DnsServfail,
            format!("{name}: {}", model::text::line(&other.to_string(), 120)),
        ),
    };
    DialError::new(reason, detail)
}
