//! The tool surfaces of targets: worked out when a list differs from the last, said when there is
//! something to say, and handed in when somebody asks.
//!
//! What was listed is told from the last list by a keyed hash, which costs far less than the canonical
//! form: only a list that differs is brought into that.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use contract::{Surface, Unfit};
use mcp::Listing;
use rpc::{limits, v1};

/// Packed surfaces that are at hand, in case they are asked for; the oldest make room.
const KEEP_BYTES: usize = 4 << 20;

/// What a list turned out to be.
#[derive(Debug)]
pub(crate) enum Examined {
    /// The list of the last probe.
    Same,
    /// Another one, of this hash.
    Other(u64, Result<Found, Unfit>),
}

/// A surface.
#[derive(Debug)]
pub(crate) struct Found {
    fingerprint: Vec<u8>,
    tools: u32,
    packed: Vec<u8>,
}

/// Examines the list of one probe.
#[derive(Debug)]
pub(crate) struct Examiner {
    hasher: RandomState,
    last: Option<u64>,
}

impl Examiner {
    /// What the list is; nothing where the probe got none.
    pub(crate) async fn examine(self, listing: Option<Listing>) -> Option<Examined> {
        let listing = listing?;
        let listed = match &listing {
            Listing::TooLarge => self.hasher.hash_one(()),
            Listing::Whole {
                tools,
                instructions,
            } => self.hasher.hash_one((tools, instructions)),
        };
        if self.last == Some(listed) {
            return Some(Examined::Same);
        }
        // A large list takes a while: not where slots begin.
        let found = tokio::task::spawn_blocking(move || work_out(&listing)).await;
        match found {
            Ok(found) => Some(Examined::Other(listed, found)),
            Err(error) => {
                tracing::error!(%error, "a list of tools cannot be examined");
                None
            }
        }
    }
}

fn work_out(listing: &Listing) -> Result<Found, Unfit> {
    let surface = match listing {
        Listing::TooLarge => return Err(Unfit::TooLarge),
        Listing::Whole {
            tools,
            instructions,
        } => Surface::new(tools, instructions.as_deref())?,
    };
    Ok(Found {
        // It is one.
        fingerprint: contract::digest_of(surface.fingerprint()).unwrap_or_default(),
        tools: u32::try_from(surface.tools().len()).unwrap_or(u32::MAX),
        packed: surface.pack(),
    })
}

/// What is known of a monitor's surface.
#[derive(Debug, Default)]
struct Known {
    /// The hash of what was listed last.
    listed: Option<u64>,
    seen: v1::SurfaceSeen,
    /// When that was said over the stream that is open.
    said_at: Option<Instant>,
    /// What was asked for and is not at hand.
    wanted: Option<Vec<u8>>,
}

/// The surfaces of all monitors of this agent.
#[derive(Debug, Default)]
pub(crate) struct Surfaces {
    hasher: RandomState,
    known: BTreeMap<String, Known>,
    /// Monitor, fingerprint, surface; the oldest first.
    at_hand: VecDeque<(String, Vec<u8>, Vec<u8>)>,
}

impl Surfaces {
    /// What examines the list of the next probe of a monitor.
    pub(crate) fn examiner(&self, monitor: &str) -> Examiner {
        let known = self.known.get(monitor);
        Examiner {
            hasher: self.hasher.clone(),
            last: known.and_then(|known| known.listed),
        }
    }

    /// A list was examined: `seen` says whose, when, and what answered. What is to be handed in.
    pub(crate) fn handle_examined(
        &mut self,
        mut seen: v1::SurfaceSeen,
        examined: Examined,
        now: Instant,
    ) -> Vec<v1::Record> {
        let monitor = seen.monitor_id.clone();
        let known = self.known.entry(monitor.clone()).or_default();
        let mut packed = None;
        match examined {
            Examined::Same => {
                let before = &known.seen;
                seen.fingerprint.clone_from(&before.fingerprint);
                seen.unfit.clone_from(&before.unfit);
                (seen.tools, seen.is_sendable) = (before.tools, before.is_sendable);
            }
            Examined::Other(listed, Ok(found)) => {
                known.listed = Some(listed);
                seen.fingerprint = found.fingerprint;
                seen.tools = found.tools;
                seen.is_sendable = found.packed.len() <= limits::MAX_SURFACE_BYTES;
                packed = Some(found.packed).filter(|_| seen.is_sendable);
            }
            Examined::Other(listed, Err(unfit)) => {
                known.listed = Some(listed);
                unfit.as_str().clone_into(&mut seen.unfit);
            }
        }
        let is_due = known
            .said_at
            .is_none_or(|at| now.saturating_duration_since(at) >= limits::SURFACE_AGAIN);
        let mut records = Vec::new();
        if is_due || !is_as(&known.seen, &seen) {
            known.said_at = Some(now);
            records.push(record(v1::record::Kind::SurfaceSeen(seen.clone())));
        }
        if let Some(packed) = packed {
            let is_it = |wanted: &mut Vec<u8>| *wanted == seen.fingerprint;
            if known.wanted.take_if(is_it).is_some() {
                records.extend(parts(&monitor, &seen.fingerprint, &packed));
            }
            let fingerprint = seen.fingerprint.clone();
            known.seen = seen;
            self.keep(monitor, fingerprint, packed);
        } else {
            known.seen = seen;
        }
        records
    }

    /// Somebody wants a surface: its parts, where it is at hand. What is not, but is seen, is worked
    /// out anew by the next probe.
    pub(crate) fn handle_request(&mut self, request: v1::SurfaceRequest) -> Vec<v1::Record> {
        let v1::SurfaceRequest {
            monitor_id,
            fingerprint,
        } = request;
        let mut at_hand = self.at_hand.iter();
        let it = at_hand.find(|(of, which, _)| *of == monitor_id && *which == fingerprint);
        if let Some((_, _, packed)) = it {
            return parts(&monitor_id, &fingerprint, packed).collect();
        }
        let known = self.known.get_mut(&monitor_id);
        if let Some(known) = known.filter(|known| known.seen.fingerprint == fingerprint) {
            (known.listed, known.wanted) = (None, Some(fingerprint));
        }
        Vec::new()
    }

    /// A stream is open: whoever is there now may know nothing yet.
    pub(crate) fn handle_opened(&mut self) {
        for known in self.known.values_mut() {
            known.said_at = None;
        }
    }

    /// A monitor is gone.
    pub(crate) fn remove(&mut self, monitor: &str) {
        self.known.remove(monitor);
        self.at_hand.retain(|(of, _, _)| of != monitor);
    }

    fn keep(&mut self, monitor: String, fingerprint: Vec<u8>, packed: Vec<u8>) {
        self.at_hand.retain(|(of, _, _)| *of != monitor);
        self.at_hand.push_back((monitor, fingerprint, packed));
        let bytes = |(_, _, packed): &(String, Vec<u8>, Vec<u8>)| packed.len();
        while self.at_hand.iter().map(bytes).sum::<usize>() > KEEP_BYTES {
            self.at_hand.pop_front();
        }
    }
}

/// Whether two say the same, at whatever time and of whichever server.
fn is_as(one: &v1::SurfaceSeen, other: &v1::SurfaceSeen) -> bool {
    one.fingerprint == other.fingerprint
        && one.unfit == other.unfit
        && one.generation == other.generation
        && one.credential == other.credential
}

fn parts(monitor: &str, fingerprint: &[u8], packed: &[u8]) -> impl Iterator<Item = v1::Record> {
    let pieces = packed.chunks(limits::SURFACE_PART_BYTES);
    let parts = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    (0..).zip(pieces).map(move |(part, data)| {
        record(v1::record::Kind::SurfacePart(v1::SurfacePart {
            monitor_id: monitor.to_owned(),
            fingerprint: fingerprint.to_owned(),
            part,
            parts,
            data: data.to_owned(),
        }))
    })
}

fn record(kind: v1::record::Kind) -> v1::Record {
    v1::Record {
        kind: Some(kind),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
