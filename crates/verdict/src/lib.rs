//! Evidence in, transitions out.
//!
//! A target is called out only when explaining its failures without blaming the target would need
//! at least a quorum of regions and providers to be broken at the same time, and nobody
//! independent can still reach it.
//!
//! - [`witness`]: who is independent of whom, and what would explain a set of failures.
//! - [`mesh`]: whose votes count: the agents' own health.
//! - [`judge`]: one target: votes, suspicion, confirmations, verdict.
//! - [`transition`]: a change of verdict with its evidence, and the sentence that tells it.
//!
//! A pure fold: time is an argument, there is no randomness, and no order of a hash decides.
//! Times are milliseconds on one axis of the caller's, which never goes back.

pub mod judge;
pub mod mesh;
pub mod transition;
pub mod witness;

pub use judge::{Ask, Call, Judge, Policy, RegionView, Seen, Suspicion};
pub use mesh::{AgentChange, Attested, Mesh, SelfTest, Stance};
pub use transition::{Evidence, Transition};
pub use witness::{Panel, Place, Witness};

/// Milliseconds on the caller's axis.
pub type Ms = u64;
