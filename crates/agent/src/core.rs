//! The core of the agent: one task that owns all state.

mod evidence;
mod orders;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dial::{Alpn, Dialer, Origin};
use mcp::{EraCache, EraRecord};
use model::{EraPolicy, Outcome, Report};
use rpc::{limits, v1};
use schedule::{MissedReason, Timetable};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use window::Recorder;

use crate::config::Config;
use crate::disk::{Disk, DiskEvent, OpenError};
use crate::frames::Frames;
use crate::identity::Identity;
use crate::item::Item;
use crate::link::{Claim, Link, LinkEvent};
use crate::record;
use crate::spool::Spool;

/// Events of the link, and of the disk, that may wait for the core.
const QUEUE: usize = 64;
/// How long to leave a link alone that takes no more.
const RETRY: Duration = Duration::from_millis(50);
/// How long the disk may leave something undone; then it is taken for broken.
const DISK_PATIENCE: Duration = Duration::from_secs(60);
/// How long running probes and unacknowledged records may take when the agent stops.
const DRAIN: Duration = Duration::from_secs(5);

/// A probe that is over.
struct Done {
    monitor: String,
    item: Item,
    slot: u64,
    started: Instant,
    report: Report,
    era: Option<EraRecord>,
}

struct Core {
    config: Arc<Config>,
    dialer: Dialer,
    boot: Instant,
    items: BTreeMap<String, Item>,
    timetable: Timetable,
    probes: JoinSet<Done>,
    cancel: CancellationToken,
    eras: EraCache,
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
    schedule_results: mpsc::Sender<v1::ScheduleResult>,
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
    running: BTreeMap<Id, String>,
    lag: Duration,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What other tasks and threads tell the core.
struct Inbox {
    link: mpsc::Receiver<LinkEvent>,
    disk: mpsc::Receiver<DiskEvent>,
}

/// Runs the agent until `shutdown` fires, then drains.
pub(crate) async fn run(
    config: Arc<Config>,
    identity: Identity,
    dialer: Dialer,
    shutdown: CancellationToken,
) -> Result<(), OpenError> {
    let (events, link_events) = mpsc::channel(QUEUE);
    let (schedule_results, results) = mpsc::channel(QUEUE);
    let (claims, claimed) = watch::channel(Claim::default());
    let boot = now();
    let boot_id = format!("{:016x}", fastrand::u64(..));
    let (disk_tells, disk_events) = mpsc::channel(QUEUE);
    let found = state::open(&config, &boot_id, disk_tells)?;
    let relink = Arc::new(Notify::new());
    let link = Link {
        config: Arc::clone(&config),
        identity,
        dialer: dialer.clone(),
        boot_id,
        claimed,
        relink: Arc::clone(&relink),
        results,
        events,
    };
    let mut core = Core {
        config,
        dialer,
        boot,
        items: BTreeMap::new(),
        timetable: Timetable::default(),
        probes: JoinSet::new(),
        cancel: CancellationToken::new(),
        eras: EraCache::default(),
        windows: Recorder::default(),
        spool: found.spool,
        disk: found.disk,
        kept_epoch: found.epoch,
        opening: None,
        claim: Claim {
            epoch: found.epoch,
            ..Claim::default()
        },
        claims,
        disk_answered: boot,
        kept_at: boot,
        streams: 0,
        relink,
        frames: None,
        schedule_results,
        next_beat: boot,
        blocked_until: boot,
        heard: boot,
        lease: None,
        lease_kept: None,
        restored: BTreeSet::new(),
        partial: None,
        running: BTreeMap::new(),
        lag: Duration::ZERO,
    };
    core.resume(found.damaged, found.items, found.lease_ends_ms);
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
    async fn work(&mut self, inbox: &mut Inbox, shutdown: &CancellationToken) {
        loop {
            self.handle_time();
            let wake = self.poll_timeout();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                event = inbox.disk.recv(), if self.disk.is_some() => {
                    self.handle_disk_or_end(event);
                }
                Some(event) = inbox.link.recv() => self.handle_link(event),
                Some(done) = self.probes.join_next_with_id() => self.handle_done(done),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Stops probing, hands in what there is, and waits for the acknowledgements. With a disk
    /// nothing is lost without them: then a link that is down is not waited for.
    async fn drain(&mut self, inbox: &mut Inbox) {
        tracing::info!(
            probes = self.probes.len(),
            records = self.spool.len(),
            "draining"
        );
        for monitor in std::mem::take(&mut self.items).into_keys() {
            self.timetable.remove(&monitor);
        }
        // Probes end soon, and close what they hold at their servers.
        self.cancel.cancel();
        let deadline = tokio::time::Instant::now() + DRAIN;
        let work = async {
            while let Some(done) = self.probes.join_next_with_id().await {
                self.handle_done(done);
            }
            self.windows.close_all();
            self.spool_windows();
            while self.spool.len() > 0 {
                self.keep();
                self.flush(true);
                let is_kept = self.spool.has_disk() && !self.spool.is_waiting();
                if is_kept && self.frames.is_none() && self.opening.is_none() {
                    return;
                }
                tokio::select! {
                    event = inbox.disk.recv(), if self.disk.is_some() => {
                        self.handle_disk_or_end(event);
                    }
                    Some(event) = inbox.link.recv() => self.handle_link(event),
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        };
        let _ = tokio::time::timeout_at(deadline, work).await;
        let records = self.spool.len();
        if records > 0 && self.spool.has_disk() {
            tracing::info!(records, "stopping; what is not handed in is kept");
        } else if records > 0 {
            tracing::warn!(records, "stopping with records not handed in");
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
            frame,
        ];
        others
            .into_iter()
            .flatten()
            .fold(self.next_beat, Instant::min)
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
        while let Some(due) = self.timetable.poll_due(at) {
            self.lag = due.lag;
            self.start(&due.monitor, due.slot);
        }
        while let Some(missed) = self.timetable.poll_missed() {
            let reason = match missed.reason {
                MissedReason::Overrun => v1::MissedReason::Overrun,
                MissedReason::Absent => v1::MissedReason::Absent,
            };
            self.miss(&missed.monitor, missed.slot, reason);
        }
        self.windows.handle_timeout(at);
        self.spool_windows();
        if self.next_beat <= at {
            self.next_beat = at + limits::HEARTBEAT;
            self.beat(at);
        }
        self.keep();
        self.flush(false);
    }

    /// Starts the probe of a slot, if there is a permit for it.
    fn start(&mut self, monitor: &str, slot: u64) {
        let Some(item) = self.items.get(monitor).cloned() else {
            self.timetable.finished(monitor);
            return;
        };
        if self.probes.len() >= self.config.max_probes {
            self.timetable.finished(monitor);
            self.miss(monitor, slot, v1::MissedReason::Busy);
            return;
        }
        let mut plan = item.plan.clone();
        plan.known = self.eras.lookup(plan.url.as_url().as_str(), now());
        let job = probe::Job {
            plan,
            headers: item.headers.clone(),
            // Named by the API: only this host's allow list opens private addresses.
            origin: Origin::Remote,
            alpn: Alpn::Any,
            wall: telemetry::clock::wall(),
        };
        let (dialer, cancel) = (self.dialer.clone(), self.cancel.clone());
        let monitor = monitor.to_owned();
        let name = monitor.clone();
        let task = self.probes.spawn(async move {
            let started = now();
            let (report, era) = probe::run(&dialer, job, &cancel).await;
            Done {
                monitor,
                item,
                slot,
                started,
                report,
                era,
            }
        });
        self.running.insert(task.id(), name);
    }

    fn handle_done(&mut self, done: Result<(Id, Done), JoinError>) {
        let done = match done {
            Ok((id, done)) => {
                self.running.remove(&id);
                done
            }
            Err(error) => {
                // A bug of ours: the slot is lost, the monitor goes on.
                tracing::error!(%error, "a probe task failed");
                if let Some(monitor) = self.running.remove(&error.id()) {
                    self.timetable.finished(&monitor);
                }
                return;
            }
        };
        self.timetable.finished(&done.monitor);
        let endpoint = done.item.plan.url.as_url().as_str();
        // A monitor that asks for an era says nothing of what others would find: servers of both
        // eras answer either.
        let era = done.era.filter(|_| done.item.plan.era == EraPolicy::Auto);
        match (&done.report.outcome, era) {
            (Outcome::Ok | Outcome::Degraded { .. }, Some(era)) => {
                self.eras.record(endpoint, era, now());
            }
            (Outcome::Failed(_), _) => self.eras.forget(endpoint),
            (Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. }, _) => {}
        }
        tracing::debug!(monitor = %done.monitor, slot = done.slot, summary = %done.report.summary, "probed");
        let started = done.started.saturating_duration_since(self.boot);
        let outcome = record::outcome(&done.item, done.slot, started, &done.report);
        let is_failure = matches!(done.report.outcome, Outcome::Failed(_));
        let seq = self.spool(done.item.lane, outcome, is_failure);
        for (series, us) in record::latencies(&done.monitor, &done.report) {
            self.windows.record(&series, us, seq, now());
        }
        self.spool_windows();
    }
}
