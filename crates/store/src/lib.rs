//! What a coordinator keeps.
//!
//! [`Store`] is the seam behind which one machine's store and a cluster's look alike: evidence is
//! appended under a fence, acknowledgements follow [`Store::durable`], and what has been applied
//! of a lane is written in the same step as the data. [`conformance`] is the suite that every
//! store must pass.

pub mod conformance;
mod memory;

use delivery::Applied;
use model::{Monitor, MonitorId, MonitorSpec};
use tokio::sync::watch;

pub use memory::MemoryStore;

/// How far the store has come; grows with every append.
pub type Position = u64;

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

/// New records of one lane, with the state of the lane after them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Who handed them in.
    pub agent: String,
    /// Which spool of that agent.
    pub spool_epoch: u64,
    /// The lane, which is the shard.
    pub lane: u16,
    /// What is applied once the batch is in.
    pub applied: Applied,
    /// Sequence and encoded record.
    pub records: Vec<(u64, Vec<u8>)>,
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

    /// Removes a monitor; whether it existed.
    fn delete_monitor(
        &self,
        id: &MonitorId,
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

    /// Takes a shard over: appends under older fences fail from now on. The fence to use.
    fn take_shard(&self, shard: u16) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Appends records and writes what is applied, in one step. The position they got.
    fn append(
        &self,
        fence: u64,
        batch: Batch,
    ) -> impl Future<Output = Result<Position, StoreError>> + Send;

    /// The position up to which everything would survive a crash. Acknowledgements follow it.
    fn durable(&self) -> watch::Receiver<Position>;
}
