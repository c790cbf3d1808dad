//! How to get a token for an MCP server (2026-07-28 basic/authorization and its predecessors).
//!
//! The decisions are sans-IO: [`place`] says where metadata may lie, [`metadata`] reads and judges
//! it, [`Discovery`] walks from a challenge to an authorization server, [`token`] writes requests
//! and reads answers, [`Cache`] says how long a token is good. [`Net`] is the IO, and
//! [`Authorizer`] puts both together. [`login`] is the flow of a user at a workstation, [`TokenSet`]
//! what it leaves. [`renewal`] says when a token that others use is renewed, and what must be durable
//! before.
//!
//! Invariants:
//! - Every connection ends in [`dial`]. A URL that a challenge or a document names is of remote
//!   origin, and leads to nothing more private than the target itself; what lies at the target's
//!   own origin is asked as the target is.
//! - No redirect is followed, every body and list has a bound, every exchange a time.
//! - A secret goes to https and to loopback only, and is in no error, no report and no `Debug`.
//! - What strangers answer is data with a closed reason; nothing of it is an `Err` of ours.

mod authorizer;
mod cache;
mod client;
mod discovery;
mod jwt;
mod key;
pub mod login;
pub mod metadata;
mod net;
pub mod place;
pub mod renewal;
mod secret;
pub mod token;
mod token_set;

pub use authorizer::{Authorizer, Credential, Examined, Obtained, examine};
pub use cache::Cache;
pub use client::{Client, NoMethod, Proof, choose};
pub use discovery::{Ask, Challenge, Discovered, Discovery};
pub use jwt::{Expiry, expiry};
pub use key::{BadKey, SigningKey};
pub use net::{Answer, Fault, Home, Net, Way};
pub use secret::Secret;
pub use token::{Refusal, Token};
pub use token_set::{BadTokenSet, TokenSet};
