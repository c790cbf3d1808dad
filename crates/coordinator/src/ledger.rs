//! Applies evidence: each record once, in the order of its lane, under the shard's fence.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use delivery::{Applied, Refused, Span};
use prost::Message as _;
use rpc::{limits, v1};
use store::{Batch, Kept, Provenance, Store, StoreError};
use tokio::sync::Mutex;

use crate::board::{Board, Sighting};
use crate::fleet::Identity;
use crate::keeper::millis;

/// How long a stream that opens may wait for the store.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A slice that cannot be applied. The stream that brought it is closed; the agent offers the
/// records again on the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LedgerError {
    /// The lane does not exist, or the sequences do not.
    #[error("lane {lane}: no such lane or sequence")]
    NoLane {
        /// What was named.
        lane: u32,
    },
    /// Too many holes.
    #[error("lane {lane}: {refused}")]
    Refused {
        /// Which lane.
        lane: u32,
        /// Why.
        refused: Refused,
    },
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What one stream hands in.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) spool_epoch: u64,
    pub(crate) boot_id: &'a str,
    pub(crate) sent_at_us: u64,
    pub(crate) received: Instant,
    pub(crate) wall: jiff::Timestamp,
    /// Whether it is read from the store after a restart: shown, and not counted anew.
    pub(crate) is_recalled: bool,
}

impl Delivery<'_> {
    fn provenance(&self) -> Provenance {
        Provenance {
            agent: self.identity.agent.clone(),
            region: self.identity.region.clone(),
            provider: self.identity.provider.clone(),
            spool_epoch: self.spool_epoch,
            boot_id: self.boot_id.to_owned(),
            sent_at_us: self.sent_at_us,
            received_at_ms: millis(self.wall),
        }
    }
}

/// Where the lanes of a spool stand.
#[derive(Debug)]
pub(crate) struct States {
    pub(crate) lanes: Vec<(u16, Applied)>,
    /// Records that had not come and never will.
    pub(crate) lost: u64,
}

/// Who of whom has what applied in one lane.
type Lane = BTreeMap<(String, u64), Applied>;

/// The shards of this coordinator: one owner each, because a lane's records are applied in order.
#[derive(Debug)]
pub(crate) struct Ledger {
    lanes: Vec<(u64, Mutex<Lane>)>,
    /// The newest position that was appended.
    appended: AtomicU64,
}

impl Ledger {
    /// Takes all shards over.
    pub(crate) async fn open<S: Store>(store: &S) -> Result<Self, StoreError> {
        let mut lanes = Vec::new();
        for shard in 0..model::monitor::LANES {
            lanes.push((store.take_shard(shard).await?, Mutex::default()));
        }
        Ok(Self {
            lanes,
            appended: AtomicU64::default(),
        })
    }

    /// The fence of a shard.
    pub(crate) fn fence(&self, shard: u16) -> Option<u64> {
        self.lanes.get(usize::from(shard)).map(|(fence, _)| *fence)
    }

    /// Where a spool stands: what it has handed in before, and what it says will never come.
    pub(crate) async fn states<S: Store>(
        &self,
        store: &S,
        agent: &str,
        spool_epoch: u64,
        starts: &[v1::LaneStart],
    ) -> Result<States, StoreError> {
        let mut known: BTreeMap<u16, Applied> = store
            .applied(agent, spool_epoch)
            .await?
            .into_iter()
            .collect();
        for start in starts.iter().take(self.lanes.len()) {
            if let Ok(lane) = u16::try_from(start.lane) {
                known.entry(lane).or_default();
            }
        }
        let mut states = States {
            lanes: Vec::new(),
            lost: 0,
        };
        let key = (agent.to_owned(), spool_epoch);
        for (lane, stored) in known {
            let Some((_, owner)) = self.lanes.get(usize::from(lane)) else {
                continue;
            };
            let start = starts.iter().find(|start| start.lane == u32::from(lane));
            let below = Span {
                first: 0,
                end: start.map_or(0, |start| start.oldest_seq),
            };
            let mut owner = owner.lock().await;
            // An older stream of this agent may have applied more since the store was read.
            let applied = owner.entry(key.clone()).or_insert(stored);
            // A prefix opens no run.
            let lost = applied.apply(below).unwrap_or_default();
            states.lost += lost.into_iter().map(Span::len).fold(0, u64::saturating_add);
            states.lanes.push((lane, applied.clone()));
        }
        // What is stated is taken for acknowledged: an older stream may have applied some of it
        // just now.
        let appended = self.appended.load(Ordering::SeqCst);
        let mut durable = store.durable();
        let survived = durable.wait_for(|durable| *durable >= appended);
        let survived = tokio::time::timeout(PATIENCE, survived).await;
        let late = |_| StoreError::Io("the medium does not keep up".to_owned());
        survived.map_err(late)?.map_err(|_| StoreError::Closed)?;
        Ok(states)
    }

    /// Applies a slice: what is new is stored and shown; the state of the lane after it.
    pub(crate) async fn apply<S: Store>(
        &self,
        store: &S,
        board: &Board,
        delivery: &Delivery<'_>,
        slice: v1::Slice,
    ) -> Result<(u16, Applied, store::Position), LedgerError> {
        let no_lane = LedgerError::NoLane { lane: slice.lane };
        let lane = u16::try_from(slice.lane).map_err(|_| no_lane.clone())?;
        let (fence, owner) = self.lanes.get(usize::from(lane)).ok_or(no_lane.clone())?;
        let span = Span::of(slice.first_seq, slice.records.len()).ok_or(no_lane)?;
        let key = (delivery.identity.agent.clone(), delivery.spool_epoch);
        let mut owner = owner.lock().await;
        let mut applied = owner.get(&key).cloned().unwrap_or_default();
        let new = applied
            .apply(span)
            .map_err(|refused| LedgerError::Refused {
                lane: slice.lane,
                refused,
            })?;
        let is_new = |seq: u64| new.iter().any(|span| (span.first..span.end).contains(&seq));
        // The span was checked, so no sequence overflows.
        let numbered = slice.records.into_iter().enumerate();
        let numbered = numbered.map(|(n, record)| (slice.first_seq + n as u64, record));
        let fresh: Vec<(u64, v1::Record)> = numbered.filter(|(seq, _)| is_new(*seq)).collect();
        let lost = fresh
            .iter()
            .map(|(seq, record)| fill(&mut applied, *seq, record))
            .sum();
        let batch = Batch {
            provenance: delivery.provenance(),
            lane,
            applied: applied.clone(),
            records: fresh
                .iter()
                .map(|(seq, record)| (*seq, record.encode_to_vec()))
                .collect(),
        };
        let position = store.append(*fence, batch).await?;
        self.appended.fetch_max(position, Ordering::SeqCst);
        owner.insert(key, applied.clone());
        board.gap(lost);
        for (seq, record) in fresh {
            show(board, delivery, seq, record);
        }
        Ok((lane, applied, position))
    }
}

/// What a gap names will never come: its sequences count as applied, so that the lane goes on. How
/// many of them had not come before.
fn fill(applied: &mut Applied, seq: u64, record: &v1::Record) -> u64 {
    let Some(v1::record::Kind::Gap(gap)) = &record.kind else {
        return 0;
    };
    let span = Span {
        first: gap.first_seq,
        end: gap.end_seq,
    };
    // A gap is told after what it tells of.
    if span.is_empty() || span.end > seq {
        return 0;
    }
    // The spool drops its oldest, which touches the prefix: it opens no run.
    let lost = applied.apply(span).unwrap_or_default();
    lost.into_iter().map(Span::len).sum()
}

/// Shows a record on the board. One that breaks the contract is counted, and changes nothing: it
/// is applied all the same, so that it is not offered for ever.
fn show(board: &Board, delivery: &Delivery<'_>, seq: u64, record: v1::Record) {
    let is_this_boot = record.other_boot_id.is_empty() || record.other_boot_id == delivery.boot_id;
    let sighting = |started_at_us: u64| {
        let age_us = delivery.sent_at_us.saturating_sub(started_at_us);
        Sighting {
            identity: delivery.identity,
            boot: delivery.boot_id,
            seq,
            received: delivery.received,
            observed: observed(delivery.received, age_us),
            started_at: started_at(delivery.wall, age_us, is_this_boot),
            is_live: is_this_boot,
            is_recalled: delivery.is_recalled,
        }
    };
    let shown = match record.kind {
        Some(v1::record::Kind::Outcome(outcome)) => {
            board.outcome(&sighting(outcome.started_at_us), &outcome)
        }
        Some(v1::record::Kind::Attestation(attestation)) => {
            board.attestation(&sighting(delivery.sent_at_us), &attestation)
        }
        // Only counted, and that it was.
        Some(v1::record::Kind::Window(_)) if delivery.is_recalled => Ok(()),
        Some(v1::record::Kind::Window(window)) => board.window(&delivery.identity.region, window),
        Some(v1::record::Kind::Missed(missed)) => {
            board.missed(&sighting(missed.missed_at_us), &missed)
        }
        Some(v1::record::Kind::SurfaceSeen(seen)) => {
            board.surface_seen(&sighting(seen.seen_at_us), &seen)
        }
        Some(v1::record::Kind::SurfacePart(part)) => {
            board.surface_part(&delivery.identity.agent, part)
        }
        // A gap was counted when its lane was filled.
        Some(v1::record::Kind::Gap(_)) => Ok(()),
        None => Err(rpc::convert::ConvertError::new("kind", "is missing")),
    };
    if let Err(error) = shown
        && !delivery.is_recalled
    {
        board.rejected();
        tracing::debug!(agent = %delivery.identity.agent, %error, "record rejected");
    }
}

/// Shows what was applied before a restart, at the moments when it came.
pub(crate) fn recall(board: &Board, kept: Kept) {
    let from = kept.provenance;
    let received_at = i64::try_from(from.received_at_ms).unwrap_or(i64::MAX);
    let identity = Identity {
        agent: from.agent,
        region: from.region,
        provider: from.provider,
        is_private: false,
    };
    let delivery = Delivery {
        identity: &identity,
        spool_epoch: from.spool_epoch,
        boot_id: &from.boot_id,
        sent_at_us: from.sent_at_us,
        received: board.axis.instant(from.received_at_ms),
        wall: jiff::Timestamp::from_millisecond(received_at).unwrap_or_default(),
        is_recalled: true,
    };
    for (seq, bytes) in kept.records {
        match v1::Record::decode(&bytes[..]) {
            Ok(record) => show(board, &delivery, seq, record),
            Err(error) => tracing::warn!(%error, "a kept record is damaged"),
        }
    }
}

/// When a probe began, on our monotonic clock.
fn observed(received: Instant, age_us: u64) -> Instant {
    received
        .checked_sub(std::time::Duration::from_micros(age_us))
        .unwrap_or(received)
}

/// When a probe began: our clock at receipt, less the record's age on the agent's own clock.
fn started_at(wall: jiff::Timestamp, age_us: u64, is_this_boot: bool) -> jiff::Timestamp {
    // A day is the longest that evidence of this boot can have waited without being history.
    let longest = 86_400_000_000;
    let age_us = if is_this_boot { age_us.min(longest) } else { 0 };
    let age = jiff::SignedDuration::from_micros(i64::try_from(age_us).unwrap_or_default());
    wall.checked_sub(age).unwrap_or(wall)
}

/// What a lane's state is on the wire.
pub(crate) fn lane_state(lane: u16, applied: &Applied) -> v1::LaneState {
    debug_assert!(u32::from(lane) < limits::LANES);
    v1::LaneState {
        lane: lane.into(),
        prefix_end: applied.prefix_end(),
        runs: applied
            .runs()
            .iter()
            .map(|run| v1::Run {
                first: run.first,
                end: run.end,
            })
            .collect(),
    }
}
