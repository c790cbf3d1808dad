//! The wire contract between agents and coordinators: generated types, their conversion to the
//! model, and the limits of every message and stream.
//!
//! Agent and coordinator know nothing else of each other. Fields are only ever added: a test
//! compares `proto/` with the committed descriptor set.

pub mod convert;
pub mod limits;

/// The generated types of `proto/parallax/v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::too_many_lines,
    clippy::use_self,
    clippy::wildcard_enum_match_arm,
    reason = "generated; the words stand in proto/"
)]
pub mod v1 {
    tonic::include_proto!("parallax.v1");
}

/// The protocol that this build speaks. A peer with another number is refused with both named.
pub const PROTOCOL_VERSION: u32 = 1;

/// The name in the certificate of every coordinator. The mesh's own authority signs for nobody
/// else, so the address at which an agent reaches a coordinator does not matter.
pub const COORDINATOR_NAME: &str = "coordinator.parallax.internal";

/// The descriptors of `proto/`, as compiled into this build.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

#[cfg(test)]
mod tests;
