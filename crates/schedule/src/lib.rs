//! Who probes what and when.
//!
//! - [`assign`](mod@assign): the coordinator's half: which agents watch a monitor.
//! - [`slot`]: the coordinator's half: where the slots of a (monitor, agent) lie in time.
//! - [`load`]: the coordinator's half: how often monitors may be probed, where a target's origin
//!   has a cap.
//! - [`peers`]: the coordinator's half: which agents watch the paths to which others.
//! - [`hold`]: the agent's half: which origins asked to be left alone.
//! - [`budget`]: the agent's half: how many requests origins had within the last minute.
//! - [`timetable`]: the agent's half: which slot is due, and what became of those that were not
//!   run.

pub mod assign;
pub mod budget;
pub mod hold;
pub mod load;
pub mod peers;
pub mod slot;
pub mod timetable;

pub use assign::{Candidate, Pool, assign};
pub use budget::Budget;
pub use hold::{Held, Holds};
pub use load::{Demand, thin};
pub use timetable::{Due, Missed, MissedReason, Timetable};
