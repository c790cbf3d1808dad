//! The embedded store of one coordinator, on RocksDB.
//!
//! Invariants:
//! - Records and the run table of their lane are one write; nothing is durable before what was
//!   appended earlier.
//! - A write is durable when its log record is with the operating system
//!   ([`Durability::Process`]: survives the death of the process) or on the medium
//!   ([`Durability::Power`]: survives the death of the machine).
//! - Monitors and entries (authority, agents, tokens, keys of the API, assignments) are sealed.
//! - Monitors, fences and transitions change under one lock, so a transition is compared and set
//!   in one step; the numbers of a monitor's transitions are in a row.
//! - One process at a time: RocksDB's lock on the folder sees to that.

mod control;
mod keys;
mod open;
mod rows;
mod store;
mod writer;

pub use open::{Durability, OpenError, Options};
pub use store::RocksStore;
