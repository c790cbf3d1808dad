//! The agent: probes what the coordinator schedules, and hands the evidence in.
//!
//! ```text
//!  coordinator ─► link ─► core (timetable, windows, spool, couriers) ─► probes
//!       ▲                   │  ▲
//!       └────── link ◄──────┘  └─► disk (a thread: schedule and records)
//! ```
//!
//! Invariants:
//! - One task, the core, owns all state; probes and the link are tasks that talk to it by bounded
//!   queues.
//! - A slot that is not run is a record too; nothing is left out in silence.
//! - A record is sent once it is on disk, and leaves the disk once it is acknowledged: no restart
//!   loses it or gives its sequence to another.
//! - The agent keeps probing and spooling while the coordinator is away.
//! - Targets are of remote origin: only this host's own allow list opens private addresses.

mod config;
mod core;
mod disk;
mod frames;
mod item;
mod link;
mod record;
mod spool;

use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

pub use config::{Config, ConfigError};

/// Runs an agent until `shutdown` fires, then drains.
///
/// # Errors
/// The host's settings cannot be used.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let dialer = config.dialer().context("setting the dialer up")?;
    let config = Arc::new(config);
    core::run(config, dialer, shutdown).await?;
    Ok(())
}
