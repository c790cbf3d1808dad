//! The nouns of Parallax.
//!
//! Every other crate speaks in these words, and the strings are the same everywhere: in the API,
//! in metric labels, in files and on the command line. The crate has no IO, no clock and no
//! randomness, and depends on no other crate of the workspace.
//!
//! - [`era`]: protocol revisions, eras and transports of MCP.
//! - [`monitor`] and [`period`]: what is to be watched, and how often.
//! - [`mod@file`]: files of monitors, in TOML, JSON, YAML, and as clients of MCP keep them.
//! - [`target`]: the URL of an MCP endpoint, validated; [`route`]: another way to it.
//! - [`step`]: the parts of a probe ([`Step`]) and the timed parts of an exchange ([`Phase`]).
//! - [`reason`]: the closed list of why something failed, each with a [`Class`].
//! - [`check`]: the rules that a probe examines, each with an id, a severity and its source.
//! - [`outcome`] and [`report`]: what one probe found.
//! - [`regional`]: what several agents found that probed at once, because somebody asked.
//! - [`contract`]: what changed in a tool surface, and how bad that is.
//! - [`json`]: JSON of strangers, parsed under a budget.
//! - [`text`]: what a target wrote, made safe to show.

pub mod check;
pub mod closed;
pub mod contract;
pub mod credential;
pub mod era;
pub mod expect;
pub mod file;
pub mod flow;
pub mod header;
pub mod instance;
pub mod json;
pub mod json_schema;
pub mod monitor;
pub mod outcome;
pub mod period;
pub mod reason;
pub mod regional;
pub mod report;
pub mod route;
pub mod step;
pub mod target;
pub mod text;
pub mod verdict;

pub use check::{CheckId, Profile, Severity};
pub use era::{Era, EraPolicy, Revision, Transport};
pub use monitor::{Monitor, MonitorId, MonitorSpec, RegionState};
pub use outcome::{Failure, Outcome};
pub use period::Period;
pub use reason::{Class, Reason};
pub use report::Report;
pub use route::ConnectTo;
pub use step::{ListKind, Phase, Step};
pub use target::TargetUrl;
