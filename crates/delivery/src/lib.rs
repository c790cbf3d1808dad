//! What makes results count exactly once.
//!
//! Every record has one sequence number per (agent, epoch, lane), given when it enters the
//! agent's spool and never given anew. The coordinator keeps what it has applied of a lane as a
//! prefix and at most [`MAX_RUNS`] disjoint runs ([`Applied`]), in the same atomic batch as the
//! data: so a record that comes twice is counted once, and nothing has to be remembered per
//! record. The agent ([`Courier`]) hands new records in as they come and what an interruption
//! left behind beside them.
//!
//! Invariants:
//! - The applied set is the union of prefix and runs; it only grows.
//! - A record is offered until it is acknowledged, and acknowledged only when it is durable.
//! - What is missing for ever is a gap record, which is applied like any other.

mod applied;
mod courier;

pub use applied::{Applied, Refused, Span};
pub use courier::{Courier, Offer};

/// Disjoint runs beyond the prefix that a lane may have.
pub const MAX_RUNS: usize = 8;
