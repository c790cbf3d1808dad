//! Who probes what and when.
//!
//! - [`assign`](mod@assign): the coordinator's half: which agents watch a monitor.
//! - [`slot`]: the coordinator's half: where the slots of a (monitor, agent) lie in time.
//! - [`timetable`]: the agent's half: which slot is due, and what became of those that were not
//!   run.

pub mod assign;
pub mod slot;
pub mod timetable;

pub use assign::{Candidate, Pool, assign};
pub use timetable::{Due, Missed, MissedReason, Timetable};
