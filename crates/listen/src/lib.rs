//! How Parallax listens, wherever it does: `dial` is for what goes out, this for what comes in.
//!
//! Invariants:
//! - Whoever connects can hold a listener up for no longer than he costs it: a listener that fails is
//!   left alone for a moment that grows ([`Acceptor`]), and a peer that does not read what it asked
//!   for is cut off ([`Patient`]).
//! - A certificate and a key that cannot be used are named with their setting and file, and no byte
//!   of the key is repeated ([`tls`]).

mod accept;
mod patient;
pub mod tls;

pub use accept::Acceptor;
pub use patient::Patient;
