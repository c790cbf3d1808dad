//! The tools that an MCP server offers, as a contract: canonical form, fingerprint, semantic diff.
//!
//! - [`Surface`]: everything that a client's model gets to read of a server, in a canonical form
//!   ([`canonical`]), with a fingerprint.
//! - [`diff()`]: what changed between two surfaces, and what each change means to a client.
//! - [`Lock`]: a surface as a file that people read and review.
//! - [`Standing`]: how the tools that many agents see of one server stand to those that are pinned.
//!
//! Invariants:
//! - Order that has no meaning changes nothing: of members, of tools, of `required`, `enum`, `type`
//!   and the like. Order that may have one is kept.
//! - Two surfaces have the same fingerprint exactly if nothing differs between them: what the
//!   fingerprint sees, the diff says.
//! - The diff is total, and never calls harmless what it does not understand: an unknown keyword, a
//!   reference, a condition that changed is breaking, "in a way that cannot be judged".
//! - Every size is bounded ([`limits`]), and so is the work.
//!
//! It is a core: no IO, no clock, no randomness. Text in a [`model::contract::Change`] is escaped.

#[cfg(test)]
mod arbitrary;
pub mod canonical;
mod diff;
pub mod limits;
mod lock;
mod packed;
mod schema;
mod standing;
mod surface;

pub use diff::diff;
pub use lock::{Damaged, Lock, SCHEMA_VERSION, Seen};
pub use packed::{Unpackable, digest_of, fingerprint_of};
pub use standing::{Group, Known, NotPinned, Pinned, Sighting, Standing};
pub use surface::{Surface, Unfit};
