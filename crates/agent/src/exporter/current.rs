//! The settings of the exporter that are in force, and how they are read anew: when a file of theirs
//! changes, and when SIGHUP asks for it.
//!
//! Files are looked at again and again, and taken once they were twice the same: what a volume or a
//! swapped link notifies differs, and a file may be half written. What cannot be used changes nothing.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use listen::tls;
use telemetry::signal::Hangup;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::{Http, Reread};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// What is looked at of each: none of them may be larger.
const MAX_BYTES: u64 = 1 << 20;

/// Settings, and what was made of them.
pub(crate) struct InForce {
    pub(crate) http: Http,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// How the last reading went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) is_good: bool,
    /// When settings were last taken.
    pub(crate) taken_at: jiff::Timestamp,
}

/// What is in force, for all who need it.
pub(crate) struct Current(RwLock<(Arc<InForce>, Standing)>);

impl InForce {
    fn of(http: Http) -> anyhow::Result<Self> {
        let files = http.tls.as_ref();
        let config =
            files.map(|files| tls::from_files(&files.certificate, &files.key, &["http/1.1"]));
        let tls = config.transpose()?;
        Ok(Self {
            tls: tls.map(|config| TlsAcceptor::from(Arc::new(config))),
            http,
        })
    }
}

impl Current {
    pub(super) fn new(http: Http) -> anyhow::Result<Self> {
        let standing = Standing {
            is_good: true,
            taken_at: telemetry::clock::wall(),
        };
        let now = (Arc::new(InForce::of(http)?), standing);
        Ok(Self(RwLock::new(now)))
    }

    pub(crate) fn in_force(&self) -> Arc<InForce> {
        let now = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now.0)
    }

    pub(crate) fn standing(&self) -> Standing {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Reads everything anew. What cannot be used is an error, and what was in force stays so.
    fn read(&self, reread: &Reread) -> anyhow::Result<()> {
        let listen = self.in_force().http.listen;
        let read = reread.read().map_err(anyhow::Error::msg).and_then(|http| {
            http.check()?;
            let is_there = listen == http.listen;
            anyhow::ensure!(
                is_there,
                "http-listen: is another address; restart the agent"
            );
            InForce::of(http)
        });
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        now.1.is_good = read.is_ok();
        now.0 = Arc::new(read?);
        now.1.taken_at = telemetry::clock::wall();
        Ok(())
    }
}

/// Follows the files until `stopping` fires; `taken` is called after each reading that is taken.
pub(super) async fn follow(
    current: Arc<Current>,
    reread: Reread,
    mut hangup: Hangup,
    taken: impl Fn(),
    stopping: CancellationToken,
) {
    let mut held = look(&current).await;
    let mut before = held;
    let mut said = None;
    loop {
        let is_asked = tokio::select! {
            () = stopping.cancelled() => return,
            () = hangup.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let seen = look(&current).await;
        let is_whole = seen == before;
        before = seen;
        // What was wrong may be mended in a file that is not known yet.
        let is_due = seen != held || !current.standing().is_good;
        let is_seen = is_whole && is_due;
        if !is_asked && !is_seen {
            continue;
        }
        let reading = {
            let (current, reread) = (Arc::clone(&current), reread.clone());
            tokio::task::spawn_blocking(move || current.read(&reread))
        };
        let read = reading.await.context("reading").and_then(|read| read);
        // Perhaps of other files than before; a change meanwhile is seen the next time.
        held = if read.is_ok() {
            look(&current).await
        } else {
            seen
        };
        before = held;
        match read {
            Ok(()) => {
                taken();
                said = None;
                tracing::info!(
                    "modules, credentials and certificate of the exporter are read anew"
                );
            }
            Err(error) => {
                let problem = format!("{error:#}");
                if is_asked || said.as_ref() != Some(&problem) {
                    tracing::error!("not taken, what was in force before stays so: {problem}");
                }
                said = Some(problem);
            }
        }
    }
}

/// What the files hold, as one number.
async fn look(current: &Arc<Current>) -> u64 {
    let files = current.in_force().http.files();
    let look = move || {
        let mut hasher = DefaultHasher::new();
        for path in &files {
            content(path).hash(&mut hasher);
        }
        hasher.finish()
    };
    // It cannot fail but by a panic, and then it is as if nothing could be read.
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

fn content(path: &PathBuf) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
