//! One MCP probe as a state machine.
//!
//! [`Sequence`] knows the five published revisions of MCP over HTTP and does no IO: a shell feeds
//! it what happened on the wire and when, and carries out the [`Command`]s that it hands out.
//!
//! ```text
//!  shell ── handle_phase / handle_head / handle_chunk / handle_end / handle_failure(…, now) ──►
//!        ◄── poll_command(): Send, Release, Abort ── poll_timeout() ── finish(): Findings ──
//! ```
//!
//! Invariants:
//! - Nothing that a server sends is an error of this crate: it becomes an outcome with a closed
//!   reason. Every body, stream, list and count is bounded ([`limits`]).
//! - A session id that a successful `initialize` brought is always given back by `DELETE`, also
//!   after a failure and after cancellation.
//! - Credentials never enter: the shell adds them to each request.
//! - A step ends when the matching response is complete, not when its stream ends.

pub mod challenge;
mod era_cache;
mod exchange;
mod findings;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod header;
mod jsonrpc;
pub mod limits;
mod negotiate;
mod param;
mod plan;
mod refusal;
mod reply;
mod request;
mod results;
mod retry_after;
mod sequence;
mod sse;
mod surface;
mod timing;

pub use era_cache::{EraCache, EraRecord};
pub use exchange::{Command, ExchangeId, Head, Request};
pub use findings::Findings;
pub use plan::{ClientInfo, Plan, ToolCall};
pub use retry_after::retry_after;
pub use sequence::Sequence;
pub use surface::Listing;
