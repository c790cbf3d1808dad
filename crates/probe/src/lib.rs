//! Runs one MCP probe: the IO around [`mcp::Sequence`], over [`dial`].
//!
//! One task per exchange reads and stamps; one loop feeds the state machine. Every stamp is
//! taken where the thing happened, so queueing inside the prober is never booked on the target:
//! it shows up as `own_us` of the report.
//!
//! Bounds: one probe holds at most [`MAX_CONNECTIONS`] connections and reads at most
//! [`mcp::limits::MAX_PROBE_BYTES`] from them, answers are cut by the limits of [`mcp::limits`], heads by those of HTTP, and the plan's timeouts end
//! everything else.

mod access;
mod addresses;
mod alt_svc;
mod alternative;
mod body;
mod clock;
mod contact;
mod driver;
mod edge;
mod exchange;
mod fault;
#[cfg(feature = "http3")]
mod h3;
#[cfg(not(feature = "http3"))]
#[path = "h3/absent.rs"]
mod h3;
mod health;
mod job;
mod link;
mod meter;
mod network;
mod redact;
mod report;
mod seen;
mod stamp;
mod stranger;

pub use access::challenge;
pub use contact::{Contact, ContactError};
pub use driver::{run, survey};
pub use h3::IS_BUILT as HAS_HTTP3;
pub use job::Job;
pub use link::MAX_CONNECTIONS;
pub use network::{HostHeader, HostHeaderError, Network};
pub use report::{Survey, summary};
