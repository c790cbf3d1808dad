//! The core of the agent: one task that owns all state.

mod attesting;
mod draining;
mod evidence;
mod holding;
mod looking;
mod naming;
mod on_demand;
mod orders;
mod probing;
mod showing;
mod state;
mod surfaces;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dial::Dialer;
use mcp::EraCache;
use rpc::{limits, v1};
use schedule::{MissedReason, Timetable};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use window::Recorder;

use crate::config::Config;
use crate::disk::{Disk, DiskEvent, OpenError};
use crate::frames::Frames;
use crate::identity::Identity;
use crate::item::Item;
use crate::lag::Lag;
use crate::link::{Claim, Link, LinkEvent, Route};
use crate::origins::Origins;
use crate::others::Others;
use crate::peers::Peers;
use crate::self_test::SelfTest;
use crate::spool::Spool;
use crate::surfaces::Surfaces;
use crate::telling::Telling;
use attesting::Answer;
use looking::Looks;
use naming::Naming;
use on_demand::OnDemand;
use probing::{Done, Running};
use state::Found;

/// Events of the link, and of the disk, that may wait for the core.
const QUEUE: usize = 64;
/// How long to leave a link alone that takes no more.
const RETRY: Duration = Duration::from_millis(50);
/// How long the disk may leave something undone; then it is taken for broken.
const DISK_PATIENCE: Duration = Duration::from_secs(60);
/// The first round of the self-test begins within this.
const FIRST_ROUND: Duration = Duration::from_secs(1);

struct Core {
    config: Arc<Config>,
    dialer: Dialer,
    boot: Instant,
    items: BTreeMap<String, Item>,
    timetable: Timetable,
    /// What origins asked for, and had: shared with the exporter.
    origins: Arc<Origins>,
    probes: JoinSet<Done>,
    /// Probes that somebody waits for.
    on_demand: OnDemand,
    cancel: CancellationToken,
    eras: EraCache,
    naming: Naming,
    windows: Recorder,
    spool: Spool,
    disk: Option<Disk>,
    /// The epoch that the disk knows: a record is sent under no other.
    kept_epoch: u64,
    /// A stream that waits until the disk knows its epoch.
    opening: Option<(v1::ReportOpened, mpsc::Sender<v1::ReportRequest>)>,
    /// What the link claims about the spool.
    claim: Claim,
    claims: watch::Sender<Claim>,
    /// When the disk last had nothing to do, or answered.
    disk_answered: Instant,
    /// When the disk was last looked after.
    kept_at: Instant,
    /// Report streams so far.
    streams: u64,
    /// Makes the link begin anew.
    relink: Arc<Notify>,
    frames: Option<(Frames, mpsc::Sender<v1::ReportRequest>)>,
    says: mpsc::Sender<v1::watch_request::Message>,
    next_beat: Instant,
    /// The link took no more: it is asked again then.
    blocked_until: Instant,
    /// When the coordinator was last heard, and for how long its schedule holds.
    heard: Instant,
    lease: Option<Duration>,
    /// When the end of the lease was last kept.
    lease_kept: Option<Instant>,
    /// Monitors that a former life left behind: their slots are of this machine's wall clock.
    restored: BTreeSet<String>,
    /// Monitors named so far by a snapshot that comes in parts.
    partial: Option<BTreeSet<String>>,
    running: BTreeMap<Id, Running>,
    self_test: SelfTest,
    /// Canaries that are being asked.
    asking: JoinSet<Answer>,
    peers: Peers,
    others: Others,
    /// Looks at walls.
    looks: Looks,
    surfaces: Surfaces,
    lag: Lag,
    /// What `/metrics` shows.
    telling: Arc<Telling>,
    /// When the coordinator last acknowledged records, on the wall clock.
    acknowledged: Option<f64>,
    is_draining: bool,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What other tasks and threads tell the core.
struct Inbox {
    link: mpsc::Receiver<LinkEvent>,
    disk: mpsc::Receiver<DiskEvent>,
}

/// What the core tells others by.
struct Tells {
    relink: Arc<Notify>,
    claims: watch::Sender<Claim>,
    says: mpsc::Sender<v1::watch_request::Message>,
    telling: Arc<Telling>,
    origins: Arc<Origins>,
    peers: Peers,
}

/// Runs the agent until `shutdown` fires, then drains.
pub(crate) async fn run(
    config: Arc<Config>,
    identity: Identity,
    peers: Peers,
    dialer: Dialer,
    (telling, origins): (Arc<Telling>, Arc<Origins>),
    shutdown: CancellationToken,
) -> Result<(), OpenError> {
    let (events, link_events) = mpsc::channel(QUEUE);
    let (says, said) = mpsc::channel(QUEUE);
    let (claims, claimed) = watch::channel(Claim::default());
    let boot = now();
    let boot_id = format!("{:016x}", fastrand::u64(..));
    let (disk_tells, disk_events) = mpsc::channel(QUEUE);
    let mut found = state::open(&config, &boot_id, disk_tells)?;
    let relink = Arc::new(Notify::new());
    let link = Link {
        config: Arc::clone(&config),
        identity,
        route: Route {
            dialer: dialer.clone(),
            proxy: config.link_proxy.clone(),
        },
        boot_id,
        peer_port: peers.port(),
        claimed,
        relink: Arc::clone(&relink),
        says: said,
        events,
        asked_pause_ms: 0,
    };
    let tells = Tells {
        relink,
        claims,
        says,
        telling,
        origins,
        peers,
    };
    let (damaged, items) = (take(&mut found.damaged), take(&mut found.items));
    let ends_ms = found.lease_ends_ms;
    let mut core = Core::new(config, dialer, boot, found, tells);
    core.resume(damaged, items, ends_ms);
    let link_ends = CancellationToken::new();
    let link = tokio::spawn(link.run(link_ends.clone()));
    let mut inbox = Inbox {
        link: link_events,
        disk: disk_events,
    };
    core.work(&mut inbox, &shutdown).await;
    core.drain(&mut inbox).await;
    link_ends.cancel();
    if let Err(error) = link.await {
        tracing::error!(%error, "the link task failed");
    }
    core.close(inbox).await;
    Ok(())
}

impl Core {
    fn new(config: Arc<Config>, dialer: Dialer, boot: Instant, found: Found, tells: Tells) -> Self {
        let ages = state::canary_ages(&config, &found);
        // Agents that start together do not ask together.
        let first_at = boot + FIRST_ROUND.mul_f64(fastrand::f64());
        let self_test = SelfTest::new(&config.canaries, &ages, first_at, boot);
        Self {
            config,
            dialer,
            boot,
            items: BTreeMap::new(),
            timetable: Timetable::default(),
            origins: tells.origins,
            probes: JoinSet::new(),
            on_demand: OnDemand::default(),
            cancel: CancellationToken::new(),
            eras: EraCache::default(),
            naming: Naming::default(),
            windows: Recorder::default(),
            spool: found.spool,
            disk: found.disk,
            kept_epoch: found.epoch,
            opening: None,
            claim: Claim {
                epoch: found.epoch,
                ..Claim::default()
            },
            claims: tells.claims,
            disk_answered: boot,
            kept_at: boot,
            streams: 0,
            relink: tells.relink,
            frames: None,
            says: tells.says,
            next_beat: boot,
            blocked_until: boot,
            heard: boot,
            lease: None,
            lease_kept: None,
            restored: BTreeSet::new(),
            partial: None,
            running: BTreeMap::new(),
            self_test,
            asking: JoinSet::new(),
            peers: tells.peers,
            others: Others::default(),
            looks: Looks::default(),
            surfaces: Surfaces::default(),
            lag: Lag::new(boot),
            telling: tells.telling,
            acknowledged: None,
            is_draining: false,
        }
    }

    async fn work(&mut self, inbox: &mut Inbox, shutdown: &CancellationToken) {
        loop {
            self.handle_time();
            self.tell();
            let wake = self.poll_timeout();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.turn(inbox, wake) => {}
            }
        }
    }

    /// Handles what comes first, if it comes in time.
    async fn turn(&mut self, inbox: &mut Inbox, wake: Instant) {
        tokio::select! {
            biased;
            event = inbox.disk.recv(), if self.disk.is_some() => {
                self.handle_disk_or_end(event);
            }
            Some(event) = inbox.link.recv() => self.handle_link(event),
            Some(done) = self.probes.join_next_with_id() => self.handle_done(done),
            Some(answer) = self.asking.join_next() => self.handle_answer(answer),
            Some(look) = self.looks.running.join_next() => self.handle_look(look),
            Some(ended) = self.on_demand.join_next() => self.handle_on_demand(ended),
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }

    /// When there is something to do by the clock.
    fn poll_timeout(&self) -> Instant {
        let frame = self
            .frames
            .as_ref()
            .and_then(|(frames, _)| frames.poll_timeout());
        let frame = frame.map(|due| due.max(self.blocked_until));
        let others = [
            self.timetable.poll_timeout(),
            self.windows.poll_timeout(),
            self.self_test.poll_timeout(),
            frame,
        ];
        others
            .into_iter()
            .flatten()
            .fold(self.next_beat, Instant::min)
    }

    fn start_due(&mut self, at: Instant) {
        while let Some(due) = self.timetable.poll_due(at) {
            self.lag.handle_slot(due.lag, at);
            self.start(&due.monitor, due.slot);
        }
    }

    fn handle_time(&mut self) {
        let at = now();
        if self
            .lease
            .is_some_and(|lease| at.saturating_duration_since(self.heard) > lease)
        {
            tracing::warn!("nothing heard for the whole lease: probing stops");
            let all: Vec<String> = self.items.keys().cloned().collect();
            self.remove(&all);
            self.lease = None;
        }
        self.start_due(at);
        while let Some(missed) = self.timetable.poll_missed() {
            let reason = match missed.reason {
                MissedReason::Overrun => v1::MissedReason::Overrun,
                MissedReason::Absent => v1::MissedReason::Absent,
            };
            self.miss(&missed.monitor, missed.slot, reason);
        }
        self.windows.handle_timeout(at);
        self.spool_windows();
        self.test(at);
        if self.next_beat <= at {
            self.next_beat = at + limits::HEARTBEAT;
            self.beat(at);
        }
        self.keep();
        self.flush(false);
    }
}

#[cfg(test)]
mod tests;
