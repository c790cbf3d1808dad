//! Names to addresses, asked anew for every probe: a cached answer would hide a broken resolver
//! and a moved target.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::{Resolver, TokioResolver};
use model::Reason;

use crate::dialer::{Family, SetupError};
use crate::error::DialError;

/// Addresses of one name that are used; the rest could only serve to keep an agent busy.
const MAX_ADDRESSES: usize = 16;
/// How long one name server may take before the next is asked.
const ATTEMPT: Duration = Duration::from_secs(2);

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) addresses: Vec<IpAddr>,
    /// The smallest time to live of the answers, seconds.
    pub(crate) ttl: u32,
}

/// Asks the system's name servers, or those that the configuration names.
#[derive(Clone)]
pub(crate) struct Names {
    resolver: TokioResolver,
}

impl Names {
    /// Name servers in `servers`, or the system's where there are none.
    pub(crate) fn new(servers: &[SocketAddr], family: Family) -> Result<Self, SetupError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if servers.is_empty() {
            Resolver::builder(provider).map_err(|error| SetupError::Resolver(error.to_string()))?
        } else {
            let configs = servers.iter().map(name_server).collect();
            Resolver::builder_with_config(
                ResolverConfig::from_parts(None, Vec::new(), configs),
                provider,
            )
        };
        tune(builder.options_mut(), family);
        let resolver = builder
            .build()
            .map_err(|error| SetupError::Resolver(error.to_string()))?;
        Ok(Self { resolver })
    }

    /// The addresses of `name`.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Resolved, DialError> {
        let found = self
            .resolver
            .lookup_ip(name)
            .await
            .map_err(|e| explain(name, &e))?;
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
}

fn tune(options: &mut ResolverOpts, family: Family) {
    options.cache_size = 0;
    options.timeout = ATTEMPT;
    options.attempts = 2;
    options.ip_strategy = match family {
        Family::Any => LookupIpStrategy::Ipv4AndIpv6,
        Family::V4 => LookupIpStrategy::Ipv4Only,
        Family::V6 => LookupIpStrategy::Ipv6Only,
    };
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
    let name = model::text::line(name, 80);
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
