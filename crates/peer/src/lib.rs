//! Paths between agents: whether one reaches another, how fast and how well.
//!
//! A path is a QUIC connection (RFC 9000) over which one side sends datagrams (RFC 9221) that the
//! other sends back. Who may connect to whom is said by keys, which the coordinator names: a server
//! answers nobody whose key it was not told, and a client goes on only with the very key that it
//! looks for. No authority and no name is asked, so a certificate that has just ended breaks no path,
//! and one that is revoked ends with the next list.
//!
//! [`Path`] decides without clock or socket; [`Server`] and [`Client`] are the IO around it.

mod client;
mod echo;
mod key;
mod path;
mod server;

pub use client::{Client, Link, PathError};
pub use key::{Allowed, Credentials, KeyHash, key_of};
pub use path::{PATIENCE, Path, Seen};
pub use server::Server;

/// The protocol, as TLS negotiates it.
const ALPN: &[u8] = b"parallax-peer/1";

/// A connection that hears nothing for so long has ended.
const IDLE: std::time::Duration = std::time::Duration::from_secs(15);

#[cfg(test)]
mod tests;
