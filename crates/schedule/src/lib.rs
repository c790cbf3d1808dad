//! Who probes what and when.
//!
//! - [`slot`]: the coordinator's half: where the slots of a (monitor, agent) lie in time.
//! - [`timetable`]: the agent's half: which slot is due, and what became of those that were not
//!   run.

pub mod slot;
pub mod timetable;

pub use timetable::{Due, Missed, MissedReason, Timetable};
