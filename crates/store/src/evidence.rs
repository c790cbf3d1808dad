//! Evidence on its way into a store, and out of it.

use delivery::Applied;

/// How far the store has come; grows with every append.
pub type Position = u64;

/// The piece of time by which evidence is kept and dropped: an hour, in milliseconds.
pub const PIECE_MS: u64 = 3_600_000;

/// Who handed records in, and when: what their own content may not say of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The agent.
    pub agent: String,
    /// Its region, as the roster had it.
    pub region: String,
    /// Its provider, as the roster had it.
    pub provider: String,
    /// Which spool of that agent.
    pub spool_epoch: u64,
    /// The life of the agent's process, on whose clock the records' times are.
    pub boot_id: String,
    /// That clock when the records were sent, microseconds.
    pub sent_at_us: u64,
    /// When they came, on the coordinator's clock, milliseconds since the Unix epoch.
    pub received_at_ms: u64,
}

/// New records of one lane, with the state of the lane after them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Who handed them in.
    pub provenance: Provenance,
    /// The lane, which is the shard.
    pub lane: u16,
    /// What is applied once the batch is in.
    pub applied: Applied,
    /// Sequence and encoded record.
    pub records: Vec<(u64, Vec<u8>)>,
}

/// Where a batch lies: by the hour in which it came, then by lane, then in the order of appending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvidenceKey {
    /// Hours since the Unix epoch.
    pub hour: u32,
    /// The lane.
    pub lane: u16,
    /// The position that the append got.
    pub position: Position,
}

impl EvidenceKey {
    /// The hour of a time in milliseconds.
    #[must_use]
    pub fn hour_of(received_at_ms: u64) -> u32 {
        u32::try_from(received_at_ms / PIECE_MS).unwrap_or(u32::MAX)
    }
}

/// A batch that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub key: EvidenceKey,
    /// Who handed it in.
    pub provenance: Provenance,
    /// Sequence and encoded record.
    pub records: Vec<(u64, Vec<u8>)>,
}
