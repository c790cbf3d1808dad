//! Paths to other agents: whom the coordinator names is pinged for as long as he is named.
//!
//! What comes of it vouches for this agent's own network when a target fails, and is the mesh's map
//! of itself. A peer that never answered this process is no evidence: UDP may be closed here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dial::{AddressPolicy, Origin};
use peer::{Allowed, Client, Credentials, KeyHash, Link, Path, Server};
use rpc::v1;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::config::Peering;
use crate::record::micros;
use crate::self_test::Masks;

/// How often a peer is pinged.
const PING: Duration = Duration::from_secs(5);
/// Pings that a failure asks for come no closer than this.
const GAP: Duration = Duration::from_millis(500);
/// How long a peer counts after it answered.
const COUNTS: Duration = Duration::from_secs(24 * 3600);
/// What a heartbeat calls reached was reached within this.
const FRESH: Duration = Duration::from_secs(15);
/// The first pause before a path is opened again, and the longest.
const AGAIN: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);
/// Peers of one agent: bits of a mask. More are not watched.
const MAX_PEERS: u32 = 64;
/// Agents that may watch the path to this one.
const MAX_WATCHERS: usize = 256;

/// One path.
#[derive(Debug, Default)]
struct State {
    path: Path,
    is_connected: bool,
    handshake: Duration,
    /// When the other side last answered.
    answered: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Where {
    address: SocketAddr,
    key: KeyHash,
}

#[derive(Debug)]
struct Watched {
    at: Where,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The paths of this agent.
#[derive(Debug)]
pub(crate) struct Peers {
    policy: AddressPolicy,
    credentials: Credentials,
    is_off: bool,
    /// Answers others, where they may ask.
    server: Option<Server>,
    allowed: Allowed,
    client: Option<Arc<Client>>,
    revision: u64,
    paths: BTreeMap<u32, Watched>,
    /// Counts what asks for a ping now.
    asks: watch::Sender<u64>,
}

impl Peers {
    /// Listens where the settings say so.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub(crate) fn begin(
        peering: Peering,
        policy: AddressPolicy,
        credentials: Credentials,
    ) -> Result<Self, String> {
        let allowed = Allowed::default();
        let server = match peering {
            Peering::Listen(address) => {
                let server = Server::bind(address, credentials.clone(), allowed.clone());
                Some(server.map_err(|error| format!("peer-listen: {address}: {error}"))?)
            }
            Peering::Watch | Peering::Off => None,
        };
        Ok(Self {
            policy,
            credentials,
            is_off: peering == Peering::Off,
            server,
            allowed,
            client: None,
            revision: 0,
            paths: BTreeMap::new(),
            asks: watch::Sender::new(0),
        })
    }

    /// The UDP port at which others are answered; 0 for none.
    pub(crate) fn port(&self) -> u16 {
        let address = self.server.as_ref().map(Server::address);
        address
            .and_then(Result::ok)
            .map_or(0, |address| address.port())
    }

    /// Whom the coordinator names now. Paths that stay keep what they know.
    pub(crate) fn set(&mut self, list: &v1::PeerList) {
        let keys = list.watcher_keys_sha256.iter().take(MAX_WATCHERS);
        let keys: BTreeSet<KeyHash> = keys.filter_map(|key| key[..].try_into().ok()).collect();
        self.allowed.set(keys);
        self.revision = list.revision;
        if self.is_off {
            return;
        }
        let named: BTreeMap<u32, Where> = list
            .peers
            .iter()
            .filter(|peer| peer.bit < MAX_PEERS)
            .filter_map(|peer| Some((peer.bit, self.vet(peer)?)))
            .collect();
        self.paths
            .retain(|bit, watched| named.get(bit) == Some(&watched.at));
        for (bit, at) in named {
            if !self.paths.contains_key(&bit)
                && let Some(watched) = self.watch(at)
            {
                self.paths.insert(bit, watched);
            }
        }
        tracing::info!(peers = self.paths.len(), "paths to other agents");
    }

    /// An address that comes over the network is of remote origin, like a target's.
    fn vet(&self, peer: &v1::Peer) -> Option<Where> {
        let shown = model::text::line(&peer.address, 64);
        let (Ok(address), Ok(key)) = (
            peer.address.parse::<SocketAddr>(),
            KeyHash::try_from(&peer.public_key_sha256[..]),
        ) else {
            tracing::warn!(address = %shown, "a peer that cannot be read");
            return None;
        };
        match self
            .policy
            .admit(address.ip(), address.port(), Origin::Remote)
        {
            Ok(()) => Some(Where { address, key }),
            Err(range) => {
                tracing::debug!(%address, range, "a peer at an address that this host does not allow");
                None
            }
        }
    }

    fn watch(&mut self, at: Where) -> Option<Watched> {
        if self.client.is_none() {
            match Client::new(Some(self.credentials.clone())) {
                Ok(client) => self.client = Some(Arc::new(client)),
                Err(error) => {
                    tracing::warn!(%error, "no socket for the paths to other agents");
                    return None;
                }
            }
        }
        let client = Arc::clone(self.client.as_ref()?);
        let state = Arc::new(Mutex::new(State::default()));
        let task = follow(client, at, Arc::clone(&state), self.asks.subscribe());
        Some(Watched {
            at,
            state,
            task: tokio::spawn(task).abort_handle(),
        })
    }

    /// Something failed: who is reached now?
    pub(crate) fn ask(&self) {
        self.asks.send_modify(|asks| *asks = asks.wrapping_add(1));
    }

    /// Who was reached by pings sent at `since` or later. Whoever is still waited for is not among
    /// those asked.
    pub(crate) fn reached(&self, since: Instant, now: Instant) -> Masks {
        let mut masks = Masks::default();
        for (bit, watched) in &self.paths {
            let mut state = lock(&watched.state);
            state.path.handle_timeout(now);
            let counts = |answered: Instant| now.saturating_duration_since(answered) < COUNTS;
            if !state.answered.is_some_and(counts) {
                continue;
            }
            let reached = if state.is_connected {
                state.path.is_reached(since)
            } else {
                Some(false)
            };
            if let Some(is_reached) = reached {
                masks.asked |= 1 << bit;
                masks.answered |= u64::from(is_reached) << bit;
            }
        }
        masks
    }

    /// As [`Peers::reached`], of the last moments.
    pub(crate) fn lately(&self, now: Instant) -> Masks {
        self.reached(now.checked_sub(FRESH).unwrap_or(now), now)
    }

    /// What is known of each path.
    pub(crate) fn seen(&self) -> Vec<v1::PeerPath> {
        let us = |duration: Duration| u32::try_from(micros(duration)).unwrap_or(u32::MAX);
        let path = |(bit, watched): (&u32, &Watched)| {
            let state = lock(&watched.state);
            let seen = state.path.seen();
            v1::PeerPath {
                bit: *bit,
                revision: self.revision,
                connected: state.is_connected,
                judged: seen.judged,
                lost: seen.lost,
                rtt_us: seen.rtt.map_or(0, us),
                jitter_us: us(seen.jitter),
                handshake_us: us(state.handshake),
            }
        };
        self.paths.iter().map(path).collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a path open for as long as the task lives.
async fn follow(
    client: Arc<Client>,
    at: Where,
    state: Arc<Mutex<State>>,
    mut asks: watch::Receiver<u64>,
) {
    let mut pause = AGAIN;
    // Agents that are told together do not knock together.
    tokio::time::sleep(AGAIN.mul_f64(fastrand::f64() / 5.0)).await;
    loop {
        match client.open(at.address, at.key).await {
            Ok(link) => {
                {
                    let mut state = lock(&state);
                    (state.is_connected, state.handshake) = (true, link.handshake);
                }
                let ended = ping(&link, &state, &mut asks).await;
                tracing::debug!(address = %at.address, %ended, "a path has ended");
                let mut state = lock(&state);
                state.is_connected = false;
                state.path.handle_gone();
                pause = AGAIN;
            }
            Err(error) => {
                tracing::debug!(address = %at.address, %error, "a path is not open");
                pause = (pause * 2).min(LONGEST);
            }
        }
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

/// Pings over an open path; why it ended.
async fn ping(
    link: &Link,
    state: &Mutex<State>,
    asks: &mut watch::Receiver<u64>,
) -> peer::PathError {
    let now = || tokio::time::Instant::now();
    let mut next = now();
    loop {
        tokio::select! {
            answered = link.answered() => match answered {
                Ok(number) => {
                    let at = now().into_std();
                    let mut state = lock(state);
                    state.path.handle_answer(number, at);
                    state.answered = state.path.answered_at();
                }
                Err(ended) => return ended,
            },
            changed = asks.changed() => {
                // The core is gone, and this task with it.
                if changed.is_ok() {
                    next = next.min(now().max(next + GAP - PING));
                }
            }
            () = tokio::time::sleep_until(next) => {
                let number = lock(state).path.handle_send(now().into_std());
                if let Err(ended) = link.ping(number) {
                    return ended;
                }
                next = now() + PING;
            }
        }
    }
}

#[cfg(test)]
mod tests;
