//! Who is where: agents, servers and canaries, as data that `world`, `up` and `demo` share.
//!
//! Agent `A` has the addresses `127.0.A.x`: `.1` is its name server, `.11` on are its paths to the
//! servers, `.21` on its paths to the canaries, `.100` its link to the coordinator. What the paths
//! lead to is on `127.0.9.x`.

use std::net::{Ipv4Addr, SocketAddr};

/// The zone of all names; reserved for tests (RFC 6761 §6.2).
pub const ZONE: &str = "parallax.test";
/// How many canaries there are.
pub const CANARIES: u8 = 5;
/// The last part of a path's name that is an agent's link to the coordinator.
pub const LINK: &str = "link";

/// The third byte of the addresses where the servers themselves listen.
const REAL: u8 = 9;
const RESOLVER: u8 = 1;
const FIRST_TARGET: u8 = 11;
const FIRST_CANARY: u8 = 21;
const LINK_BYTE: u8 = 100;

/// An agent and its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agent {
    /// 1 to 8: the third byte of its addresses.
    pub number: u8,
    /// `REGION-PROVIDER`.
    pub name: &'static str,
    /// Where it is.
    pub region: &'static str,
    /// Whose network it is in.
    pub provider: &'static str,
    /// Degrees, of a city with a data centre.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
}

const fn agent(
    number: u8,
    name: &'static str,
    (region, provider): (&'static str, &'static str),
    (latitude, longitude): (f64, f64),
) -> Agent {
    Agent {
        number,
        name,
        region,
        provider,
        latitude,
        longitude,
    }
}

/// Two agents in each of four regions, and two with each of four providers: no region and no
/// provider is the only thing that two agents share with all the others.
pub const AGENTS: [Agent; 8] = [
    agent(1, "eu-alpha", ("eu", "alpha"), (50.11, 8.68)),
    agent(2, "eu-beta", ("eu", "beta"), (52.37, 4.90)),
    agent(3, "us-beta", ("us", "beta"), (39.04, -77.49)),
    agent(4, "us-gamma", ("us", "gamma"), (41.88, -87.63)),
    agent(5, "ap-gamma", ("ap", "gamma"), (1.35, 103.82)),
    agent(6, "ap-delta", ("ap", "delta"), (35.68, 139.69)),
    agent(7, "sa-delta", ("sa", "delta"), (-23.55, -46.63)),
    agent(8, "sa-alpha", ("sa", "alpha"), (-33.45, -70.67)),
];

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// 2025-11-25 and older, scripted.
    Legacy,
    /// 2026-07-28, scripted.
    Modern,
    /// Both, on the official SDK.
    Sdk,
}

/// An MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its first label, and the name of its monitor.
    pub name: &'static str,
    /// What it speaks.
    pub speaks: Speaks,
    /// What it is hosted on: no two share it, so that a host that fails is not taken for an agent
    /// that does.
    pub hosting: &'static str,
    /// The tool that its monitor calls.
    pub call: Option<&'static str>,
}

/// The tool that depends on a key of its upstream.
pub const UPSTREAM: &str = "upstream";

/// The servers, in the order of their addresses.
pub const TARGETS: [Target; 3] = [
    Target {
        name: "docs",
        speaks: Speaks::Legacy,
        hosting: "rack-1",
        call: None,
    },
    Target {
        name: "tickets",
        speaks: Speaks::Modern,
        hosting: "rack-2",
        call: Some(UPSTREAM),
    },
    Target {
        name: "search",
        speaks: Speaks::Sdk,
        hosting: "rack-3",
        call: None,
    },
];

/// Where things listen, on all addresses alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct Ports {
    /// The port of servers, canaries and the paths to them
    #[arg(
        id = "port",
        long = "port",
        default_value_t = 8443,
        value_name = "PORT"
    )]
    pub targets: u16,
    /// The port of the agents' name servers; not 5353, which desktops use
    #[arg(
        id = "dns_port",
        long = "dns-port",
        default_value_t = 5300,
        value_name = "PORT"
    )]
    pub dns: u16,
}

impl Agent {
    /// One of its addresses.
    #[must_use]
    pub const fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, self.number, last)
    }

    /// Its name server.
    #[must_use]
    pub fn resolver(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.address(RESOLVER), port))
    }

    /// Where its link to the coordinator begins.
    #[must_use]
    pub fn link(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.address(LINK_BYTE), port))
    }

    /// The name of its path to `to`: a server, a canary or [`LINK`].
    #[must_use]
    pub fn path(&self, to: &str) -> String {
        format!("{}/{to}", self.name)
    }
}

impl Target {
    /// The URL of its endpoint.
    #[must_use]
    pub fn url(&self, port: u16) -> String {
        format!("https://{}.{ZONE}:{port}/mcp", self.name)
    }
}

/// Something that has a name and paths to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// An MCP server.
    Target(&'static Target),
    /// A canary, 1 to [`CANARIES`].
    Canary(u8),
}

impl Host {
    /// The first label of its name.
    #[must_use]
    pub fn short(self) -> String {
        match self {
            Self::Target(target) => target.name.to_owned(),
            Self::Canary(number) => format!("canary-{number}"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}.{ZONE}", self.short())
    }

    /// The last byte of its addresses.
    #[must_use]
    pub fn last_byte(self) -> u8 {
        match self {
            Self::Target(target) => {
                let before = TARGETS.iter().take_while(|other| *other != target);
                before.fold(FIRST_TARGET, |byte, _| byte + 1)
            }
            Self::Canary(number) => FIRST_CANARY - 1 + number,
        }
    }

    /// Where it listens itself.
    #[must_use]
    pub fn real(self, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(127, 0, REAL, self.last_byte()), port))
    }
}

/// Everything that has a name.
pub fn hosts() -> impl Iterator<Item = Host> {
    let targets = TARGETS.iter().map(Host::Target);
    targets.chain((1..=CANARIES).map(Host::Canary))
}

/// The canaries as an agent's setting wants them: `host:port`, with commas between.
#[must_use]
pub fn canaries(port: u16) -> String {
    let named = (1..=CANARIES).map(|number| format!("{}:{port}", Host::Canary(number).name()));
    named.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn two_agents_share_a_region_and_two_a_provider() {
        let mut shared: BTreeMap<&str, Vec<&Agent>> = BTreeMap::new();
        for (index, agent) in AGENTS.iter().enumerate() {
            assert_eq!(usize::from(agent.number), index + 1);
            assert_eq!(agent.name, format!("{}-{}", agent.region, agent.provider));
            shared.entry(agent.region).or_default().push(agent);
            shared.entry(agent.provider).or_default().push(agent);
        }
        assert_eq!(shared.len(), 8, "four regions, four providers");
        for (name, agents) in shared {
            assert_eq!(agents.len(), 2, "{name}");
        }
        for one in &AGENTS {
            for other in AGENTS.iter().filter(|other| other.name != one.name) {
                let both = one.region == other.region && one.provider == other.provider;
                assert!(
                    !both,
                    "{} and {} cannot be told apart",
                    one.name, other.name
                );
            }
        }
    }

    #[test]
    fn no_two_things_share_an_address_or_a_hosting() {
        let mut addresses = BTreeSet::new();
        for host in hosts() {
            assert!(addresses.insert(host.real(1)), "{}", host.name());
            for agent in &AGENTS {
                let address = SocketAddr::from((agent.address(host.last_byte()), 1));
                assert!(addresses.insert(address), "{}", agent.path(&host.short()));
            }
        }
        for agent in &AGENTS {
            assert!(addresses.insert(agent.resolver(1)) && addresses.insert(agent.link(1)));
        }
        assert_eq!(addresses.len(), 8 + 8 * (8 + 2));
        let hostings: BTreeSet<_> = TARGETS.iter().map(|target| target.hosting).collect();
        assert_eq!(hostings.len(), TARGETS.len());
    }

    #[test]
    fn canaries_are_written_as_agents_read_them() {
        let text = canaries(8443);
        assert!(text.starts_with("canary-1.parallax.test:8443,canary-2.parallax.test:8443,"));
        assert_eq!(text.split(',').count(), usize::from(CANARIES));
    }
}
