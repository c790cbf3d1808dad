//! What a coordinator keeps.
//!
//! [`Store`] is the seam behind which one machine's store and a cluster's look alike: evidence is
//! appended under a fence, acknowledgements follow [`Store::durable`], and what has been applied
//! of a lane is written in the same step as the data. [`conformance`] is the suite that every
//! store must pass.

pub mod conformance;
mod evidence;
mod memory;

use delivery::Applied;
use model::{Monitor, MonitorId, MonitorSpec};
use tokio::sync::watch;

pub use evidence::{Batch, EvidenceKey, Kept, PIECE_MS, Position, Provenance};
pub use memory::MemoryStore;

/// Transitions that are kept of each monitor; the oldest make room. A monitor that flaps without
/// end must not fill the store.
pub const MAX_TRANSITIONS: usize = 1000;

/// What is kept by name. Values are opaque to the store, and sealed where they lie on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Keys that sign for the mesh.
    Authority,
    /// Agents that were enrolled.
    Agent,
    /// Tokens to enrol with.
    Token,
    /// Keys of the API.
    ApiKey,
    /// Who watches a monitor; the id is the monitor's.
    Assignment,
    /// That a file has a monitor; the id is the monitor's.
    Managed,
    /// The tokens of a monitor, and what was given in place of its spec's secrets; the id is the
    /// monitor's.
    Credential,
    /// What a stranger meets at a monitor's target; the id is the monitor's.
    Wall,
    /// How the tools of a monitor's server stand to those that are pinned; the id is the monitor's.
    Contract,
    /// A tool surface of a monitor's server, packed; the id is the monitor's, a space, and the
    /// fingerprint. One that is lost can be had again.
    Surface,
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody newer owns the shard.
    #[error("shard {shard} is fenced at {fence}")]
    Fenced {
        /// The shard.
        shard: u16,
        /// The fence that is in force.
        fence: u64,
    },
    /// The medium failed.
    #[error("storage: {0}")]
    Io(String),
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
}

/// What a put did.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// The monitor as it is now.
    pub monitor: Monitor,
    /// Whether it did not exist before.
    pub created: bool,
    /// Whether anything changed.
    pub changed: bool,
}

/// What a coordinator keeps. Every method is one atomic step.
pub trait Store: Send + Sync + 'static {
    /// Registers a monitor or replaces its spec; nothing changes where the spec is equal.
    fn put_monitor(
        &self,
        id: &MonitorId,
        spec: MonitorSpec,
    ) -> impl Future<Output = Result<Put, StoreError>> + Send;

    /// One monitor.
    fn monitor(
        &self,
        id: &MonitorId,
    ) -> impl Future<Output = Result<Option<Monitor>, StoreError>> + Send;

    /// All monitors, by name.
    fn monitors(&self) -> impl Future<Output = Result<Vec<Monitor>, StoreError>> + Send;

    /// Removes a monitor and its transitions; whether it existed.
    fn delete_monitor(
        &self,
        id: &MonitorId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// One entry.
    fn entry(
        &self,
        kind: Kind,
        id: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// All entries of a kind, by id.
    fn entries(
        &self,
        kind: Kind,
    ) -> impl Future<Output = Result<Vec<(String, Vec<u8>)>, StoreError>> + Send;

    /// Makes an entry (`expected` is none), replaces it, or removes it (`new` is none), if it is
    /// what the caller believes it to be; whether it was.
    fn replace(
        &self,
        kind: Kind,
        id: &str,
        expected: Option<&[u8]>,
        new: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The persistent number of an agent among a monitor's agents, given at the first question.
    fn ordinal(
        &self,
        monitor: &MonitorId,
        agent: &str,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// The epoch of an agent's spool: the one it claims, if this store gave it to this agent, else
    /// a new one that was never given before.
    fn spool_epoch(
        &self,
        agent: &str,
        claimed: u64,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// What has been applied of each lane of a spool. Lanes without anything are absent.
    fn applied(
        &self,
        agent: &str,
        spool_epoch: u64,
    ) -> impl Future<Output = Result<Vec<(u16, Applied)>, StoreError>> + Send;

    /// Takes a shard over: appends and transitions under older fences fail from now on. The fence
    /// to use.
    fn take_shard(&self, shard: u16) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Appends records and writes what is applied, in one step. The position they got. What is
    /// appended is in order: nothing is durable before what was appended earlier.
    fn append(
        &self,
        fence: u64,
        batch: Batch,
    ) -> impl Future<Output = Result<Position, StoreError>> + Send;

    /// Appends a change of a monitor's verdict as number `expected + 1`, if `expected` is the
    /// number of its last one (0 for none) and the monitor exists; whether it was. The fence is
    /// that of the monitor's lane. All but the last [`MAX_TRANSITIONS`] are dropped in the same
    /// step. Once it is answered, it is as durable as evidence that is acknowledged.
    fn transition(
        &self,
        fence: u64,
        monitor: &MonitorId,
        expected: u64,
        row: Vec<u8>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Changes of a monitor's verdict with their numbers, the newest first, at most `most`.
    fn transitions(
        &self,
        monitor: &MonitorId,
        most: usize,
    ) -> impl Future<Output = Result<Vec<(u64, Vec<u8>)>, StoreError>> + Send;

    /// Evidence of the hour of `since_ms` (milliseconds since the Unix epoch) and later, beyond
    /// `after`, ascending by key, at most `most` batches. What was appended and is not yet durable
    /// may be missing.
    fn evidence(
        &self,
        since_ms: u64,
        after: Option<EvidenceKey>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Kept>, StoreError>> + Send;

    /// Drops evidence of hours that ended before `before_ms`. What is applied stays applied.
    fn forget_evidence(
        &self,
        before_ms: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The position up to which everything would survive a crash. Acknowledgements follow it. It
    /// closes when the store can keep nothing more.
    fn durable(&self) -> watch::Receiver<Position>;
}
