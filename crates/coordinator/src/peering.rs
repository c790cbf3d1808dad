//! The mesh measures itself: which agents watch the paths to which others, and what they see.
//!
//! An agent is watched only at the address that its own link comes from, and once the coordinator has
//! reached it there and it has shown its key: so nobody can point the mesh at somebody else. Who cannot
//! be reached only watches, and so do private agents, whose addresses are nobody's business.

mod run;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peer::KeyHash;
use rpc::v1;
use schedule::peers::{Place, choose, watchers};

use crate::fleet::Identity;
use crate::secret::hex;

pub(crate) use run::run;

/// How long an agent stays a peer after its link has ended: paths tell most while links are down.
const KEPT: Duration = Duration::from_secs(600);
/// How often it is tried whether an agent is still reached, and one that was not.
const RETEST: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_secs(120);
/// What an agent said so long ago is not shown.
const OLD: Duration = Duration::from_secs(60);

/// An agent, as far as paths go.
#[derive(Debug)]
struct Known {
    identity: Identity,
    key: KeyHash,
    /// Where it says that it answers.
    address: Option<SocketAddr>,
    /// Whether it does; unknown until it was tried.
    is_reachable: Option<bool>,
    test_at: Instant,
    streams: u32,
    left: Instant,
    /// Its peers, each at its bit.
    bits: Vec<Option<String>>,
    told: v1::PeerList,
    must_tell: bool,
    seen: Vec<v1::PeerPath>,
    seen_at: Instant,
}

/// A path, as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) agent: Identity,
    pub(crate) peer: Identity,
    pub(crate) seen: v1::PeerPath,
}

/// Whether an agent answers others.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) agent: Identity,
    /// None where it does not want to, or was not tried yet.
    pub(crate) is_reachable: Option<bool>,
}

/// What is to be tried: does the agent with this key answer there?
#[derive(Debug, Clone)]
struct Trial {
    agent: String,
    address: SocketAddr,
    key: KeyHash,
}

/// Who watches whom.
#[derive(Debug, Default)]
pub(crate) struct Peering {
    agents: Mutex<BTreeMap<String, Known>>,
}

impl Peering {
    /// A watch stream of an agent began. `port` is where it answers others, 0 for nowhere; `from` is
    /// where its link comes from.
    pub(crate) fn joined(
        &self,
        identity: &Identity,
        key: KeyHash,
        (from, port): (Option<SocketAddr>, u32),
        now: Instant,
    ) {
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        let address = from
            .zip(port)
            .filter(|_| !identity.is_private)
            .map(|(from, port)| SocketAddr::new(from.ip().to_canonical(), port));
        let mut agents = self.lock();
        let known = agents
            .entry(identity.agent.clone())
            .or_insert_with(|| Known {
                identity: identity.clone(),
                key,
                address: None,
                is_reachable: None,
                test_at: now,
                streams: 0,
                left: now,
                bits: Vec::new(),
                told: v1::PeerList::default(),
                must_tell: true,
                seen: Vec::new(),
                seen_at: now,
            });
        if known.address != address || known.key != key {
            (known.is_reachable, known.test_at) = (None, now);
        }
        known.identity = identity.clone();
        (known.address, known.key) = (address, key);
        known.streams += 1;
        known.must_tell = true;
    }

    /// A watch stream of an agent ended.
    pub(crate) fn left(&self, agent: &str, now: Instant) {
        if let Some(known) = self.lock().get_mut(agent) {
            known.streams = known.streams.saturating_sub(1);
            known.left = now;
        }
    }

    /// What an agent sees of its paths. What is said of an older list is of no use.
    pub(crate) fn seen(&self, agent: &str, paths: &[v1::PeerPath], now: Instant) {
        if let Some(known) = self.lock().get_mut(agent) {
            let revision = known.told.revision;
            let paths = paths.iter().take(known.bits.len());
            let paths = paths.filter(|path| path.revision == revision);
            let by_bit: BTreeMap<u32, v1::PeerPath> = paths.map(|path| (path.bit, *path)).collect();
            known.seen = by_bit.into_values().collect();
            known.seen_at = now;
        }
    }

    /// Only these are members, with these keys in hex: others are peers no more.
    fn keep(&self, members: &BTreeMap<String, String>, now: Instant) {
        self.lock().retain(|agent, known| {
            let is_member = members.get(agent) == Some(&hex(&known.key));
            let is_there = known.streams > 0 || now.saturating_duration_since(known.left) < KEPT;
            is_member && is_there
        });
    }

    /// At most `most` agents that are to be tried.
    fn trials(&self, most: usize, now: Instant) -> Vec<Trial> {
        let mut agents = self.lock();
        let due = agents.iter_mut().filter(|(_, known)| known.test_at <= now);
        let trials = due.filter_map(|(agent, known)| {
            let address = known.address?;
            known.test_at = now + RETRY;
            Some(Trial {
                agent: agent.clone(),
                address,
                key: known.key,
            })
        });
        trials.take(most).collect()
    }

    /// What came of a trial.
    fn tried(&self, trial: &Trial, is_reachable: bool, now: Instant) {
        if let Some(known) = self.lock().get_mut(&trial.agent)
            && known.address == Some(trial.address)
            && known.key == trial.key
        {
            known.is_reachable = Some(is_reachable);
            known.test_at = now + if is_reachable { RETEST } else { RETRY };
        }
    }

    /// Lists that agents must be told: those that have changed, and those of new streams.
    fn lists(&self) -> Vec<(String, v1::PeerList)> {
        let mut agents = self.lock();
        let places = agents.iter().map(|(agent, known)| Place {
            agent,
            region: &known.identity.region,
            provider: &known.identity.provider,
            is_reachable: known.is_reachable == Some(true),
        });
        let places: Vec<Place<'_>> = places.collect();
        let chosen = choose(&places);
        let watchers = watchers(&chosen);
        let mut wanted = BTreeMap::new();
        for (agent, peers) in &chosen {
            let keys = watchers.get(agent).into_iter().flatten();
            let keys = keys.filter_map(|watcher| Some(agents.get(*watcher)?.key.to_vec()));
            let peers = peers.iter().filter_map(|name| {
                let known = agents.get(*name)?;
                let peer = v1::Peer {
                    agent_id: (*name).to_owned(),
                    address: known.address?.to_string(),
                    public_key_sha256: known.key.to_vec(),
                    bit: 0,
                };
                Some((peer.agent_id.clone(), peer))
            });
            let list = v1::PeerList {
                watcher_keys_sha256: keys.collect(),
                ..Default::default()
            };
            wanted.insert(
                (*agent).to_owned(),
                (peers.collect::<BTreeMap<_, _>>(), list),
            );
        }
        let mut lists = Vec::new();
        for (agent, (peers, list)) in wanted {
            if let Some(known) = agents.get_mut(&agent)
                && known.becomes(peers, list)
            {
                lists.push((agent, known.told.clone()));
            }
        }
        lists
    }

    /// A list did not reach its agent: it is told again.
    fn untold(&self, agent: &str) {
        if let Some(known) = self.lock().get_mut(agent) {
            known.must_tell = true;
        }
    }

    /// Every path of which something was heard lately.
    pub(crate) fn paths(&self, now: Instant) -> Vec<Path> {
        let agents = self.lock();
        let lately = |known: &&Known| now.saturating_duration_since(known.seen_at) < OLD;
        let mut paths = Vec::new();
        for known in agents.values().filter(lately) {
            for seen in &known.seen {
                let bit = usize::try_from(seen.bit).unwrap_or(usize::MAX);
                let peer = known.bits.get(bit).and_then(Option::as_ref);
                if let Some(peer) = peer.and_then(|peer| agents.get(peer)) {
                    paths.push(Path {
                        agent: known.identity.clone(),
                        peer: peer.identity.clone(),
                        seen: *seen,
                    });
                }
            }
        }
        paths
    }

    /// All agents that are here, by name.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        let agents = self.lock();
        let standing = |known: &Known| Standing {
            agent: known.identity.clone(),
            is_reachable: known.address.and(known.is_reachable),
        };
        agents.values().map(standing).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Takes another list; whether the agent must be told. Peers keep their bits.
    fn becomes(&mut self, mut peers: BTreeMap<String, v1::Peer>, mut list: v1::PeerList) -> bool {
        for bit in &mut self.bits {
            bit.take_if(|peer| !peers.contains_key(peer));
        }
        for name in peers.keys() {
            if !self.bits.iter().flatten().any(|peer| peer == name) {
                match self.bits.iter_mut().find(|bit| bit.is_none()) {
                    Some(free) => *free = Some(name.clone()),
                    None => self.bits.push(Some(name.clone())),
                }
            }
        }
        for (bit, name) in self.bits.iter().enumerate() {
            let peer = name.as_ref().and_then(|name| peers.remove(name));
            list.peers.extend(peer.map(|peer| v1::Peer {
                bit: u32::try_from(bit).unwrap_or(u32::MAX),
                ..peer
            }));
        }
        list.revision = self.told.revision;
        let is_new = list != self.told;
        if is_new {
            list.revision += 1;
            self.told = list;
        }
        std::mem::take(&mut self.must_tell) || is_new
    }
}

#[cfg(test)]
mod tests;
