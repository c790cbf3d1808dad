//! What this agent's other monitors say of its network: those on other hostings, of probes that
//! began after the one that failed.
//!
//! Whole hostings are counted, not monitors: a hosting that is down with a hundred monitors says
//! no more of the agent than one with a single monitor. Where it is not known whether two share a
//! hosting, they do: too few others vouch weakly, too many would mute an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use model::{Class, Outcome, Reason, Report, TargetUrl};

/// The newest probes that are looked at: an attestation costs no more however many monitors there
/// are.
const LOOKED_AT: usize = 256;

/// The newest probe of a monitor.
#[derive(Debug)]
struct Newest {
    hosting: String,
    /// Of the last connection, of this probe or an earlier one.
    network: Option<IpAddr>,
    began: Instant,
    /// Whether the network works, as far as the probe can tell.
    works: Option<bool>,
}

/// The newest probes of all monitors.
#[derive(Debug, Default)]
pub(crate) struct Others {
    newest: BTreeMap<String, Newest>,
    order: BTreeSet<(Instant, String)>,
}

/// Monitors that may share a hosting.
#[derive(Debug, Default)]
struct Group<'a> {
    hostings: BTreeSet<&'a str>,
    networks: BTreeSet<IpAddr>,
    is_own: bool,
    works: bool,
}

impl Others {
    /// A probe is over.
    pub(crate) fn handle_probe(
        &mut self,
        monitor: &str,
        hosting: &str,
        report: &Report,
        began: Instant,
    ) {
        let address = report.connection.as_ref().map(|known| &known.address);
        let address = address.and_then(|text| text.parse::<SocketAddr>().ok());
        let mut network = address.map(|address| network(address.ip()));
        if let Some(known) = self.newest.get_mut(monitor) {
            if known.began > began {
                return; // a confirmation overtook it
            }
            network = network.or(known.network);
            self.order.remove(&(known.began, monitor.to_owned()));
        }
        self.order.insert((began, monitor.to_owned()));
        let newest = Newest {
            hosting: hosting.to_owned(),
            network,
            began,
            works: works(&report.outcome),
        };
        self.newest.insert(monitor.to_owned(), newest);
    }

    /// A monitor is gone.
    pub(crate) fn remove(&mut self, monitor: &str) {
        if let Some(known) = self.newest.remove(monitor) {
            self.order.remove(&(known.began, monitor.to_owned()));
        }
    }

    /// Other hostings that were probed after `began`, and those of them that were reached.
    pub(crate) fn count(&self, monitor: &str, began: Instant) -> (u32, u32) {
        let Some(own) = self.newest.get(monitor) else {
            return (0, 0); // gone meanwhile: nobody knows who shares its hosting
        };
        let mut groups = vec![Group {
            is_own: true,
            ..Group::default()
        }];
        groups[0].add(own);
        let after = (began + Duration::from_nanos(1), String::new());
        let others = self.order.range(after..).rev().take(LOOKED_AT);
        for (_, name) in others.filter(|(_, name)| name != monitor) {
            let Some(other) = self.newest.get(name) else {
                continue;
            };
            if let Some(works) = other.works {
                join(&mut groups, other, works);
            }
        }
        let others = groups.iter().filter(|group| !group.is_own);
        others.fold((0, 0), |(asked, ok), group| {
            (asked + 1, ok + u32::from(group.works))
        })
    }
}

/// Adds a probe to the group that it belongs to, which may make one of several.
fn join<'a>(groups: &mut Vec<Group<'a>>, newest: &'a Newest, works: bool) {
    let mut joined = Group {
        works,
        ..Group::default()
    };
    joined.add(newest);
    let shared = |group: &mut Group<'_>| {
        group.hostings.contains(newest.hosting.as_str())
            || newest
                .network
                .is_some_and(|net| group.networks.contains(&net))
    };
    for group in groups.extract_if(.., shared) {
        joined.hostings.extend(group.hostings);
        joined.networks.extend(group.networks);
        joined.is_own |= group.is_own;
        joined.works |= group.works;
    }
    groups.push(joined);
}

impl<'a> Group<'a> {
    fn add(&mut self, newest: &'a Newest) {
        self.hostings.insert(&newest.hosting);
        self.networks.extend(newest.network);
    }
}

/// Whether a probe shows that the network works. Whoever answers was reached, whatever the answer.
fn works(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Ok | Outcome::Degraded { .. } => Some(true),
        Outcome::Inconclusive { .. } => None,
        Outcome::Failed(failure) => Some(match failure.class() {
            Class::Refused | Class::Tool | Class::Contract | Class::Protocol => true,
            Class::Http => !matches!(
                failure.reason,
                Reason::HttpTimeoutHeaders | Reason::HttpTimeoutBody | Reason::HttpConnClosed
            ),
            Class::Network | Class::Ours => false,
        }),
    }
}

/// The hosting of a monitor: its label, else the last two labels of the host's name, else the
/// network of its address.
pub(crate) fn hosting(label: &str, url: &TargetUrl) -> String {
    if !label.is_empty() {
        return label.to_owned();
    }
    let host = url.as_url().host_str().unwrap_or_default();
    let literal: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    if let Ok(ip) = literal {
        return network(ip).to_string();
    }
    let name = host.trim_end_matches('.');
    let mut labels = name.rsplitn(3, '.');
    match (labels.next(), labels.next()) {
        (Some(top), Some(second)) => format!("{second}.{top}"),
        (_, _) => name.to_owned(),
    }
}

/// The /24 or /48 of an address, by its first address.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
