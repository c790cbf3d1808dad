//! Runs one MCP probe: the IO around [`mcp::Sequence`], over [`dial`].
//!
//! One task per exchange reads and stamps; one loop feeds the state machine. Every stamp is
//! taken where the thing happened, so queueing inside the prober is never booked on the target:
//! it shows up as `own_us` of the report.
//!
//! Bounds: one probe holds at most [`MAX_CONNECTIONS`] connections, answers are cut by the
//! limits of [`mcp::limits`], heads by those of HTTP, and the plan's timeouts end
//! everything else.

mod access;
mod body;
mod clock;
mod driver;
mod exchange;
mod fault;
mod job;
mod link;
mod report;
mod stamp;

pub use access::challenge;
pub use driver::run;
pub use job::Job;
pub use link::MAX_CONNECTIONS;
