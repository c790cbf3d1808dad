//! The core of the agent: one task that owns all state.

mod orders;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use dial::{Alpn, Dialer, Origin};
use mcp::{EraCache, EraRecord};
use model::{EraPolicy, Outcome, Report};
use rpc::{limits, v1};
use schedule::{MissedReason, Timetable};

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use window::Recorder;

use crate::config::Config;
use crate::frames::Frames;
use crate::item::Item;
use crate::link::{Link, LinkEvent};
use crate::record;
use crate::spool::{MAX_RECORDS, Spool};

/// Events of the link that may wait for the core.
const QUEUE: usize = 64;
/// How long to leave a link alone that takes no more.
const RETRY: Duration = Duration::from_millis(50);
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
    frames: Option<(Frames, mpsc::Sender<v1::ReportRequest>)>,
    schedule_results: mpsc::Sender<v1::ScheduleResult>,
    lane_starts: watch::Sender<Vec<v1::LaneStart>>,
    next_beat: Instant,
    /// The link took no more: it is asked again then.
    blocked_until: Instant,
    /// When the coordinator was last heard, and for how long its schedule holds.
    heard: Instant,
    lease: Option<Duration>,
    /// Monitors named so far by a snapshot that comes in parts.
    partial: Option<BTreeSet<String>>,
    running: BTreeMap<Id, String>,
    lag: Duration,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Runs the agent until `shutdown` fires, then drains.
pub(crate) async fn run(config: Arc<Config>, dialer: Dialer, shutdown: CancellationToken) {
    let (events, mut link_events) = mpsc::channel(QUEUE);
    let (schedule_results, results) = mpsc::channel(QUEUE);
    let (lane_starts, starts) = watch::channel(Vec::new());
    let boot = now();
    let link = Link {
        config: Arc::clone(&config),
        dialer: dialer.clone(),
        boot_id: format!("{:016x}", fastrand::u64(..)),
        spool_epoch: Arc::new(AtomicU64::new(0)),
        results,
        lane_starts: starts,
        events,
    };
    let link_ends = CancellationToken::new();
    let link = tokio::spawn(link.run(link_ends.clone()));
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
        spool: Spool::default(),
        frames: None,
        schedule_results,
        lane_starts,
        next_beat: boot,
        blocked_until: boot,
        heard: boot,
        lease: None,
        partial: None,
        running: BTreeMap::new(),
        lag: Duration::ZERO,
    };
    core.work(&mut link_events, &shutdown).await;
    core.drain(&mut link_events).await;
    link_ends.cancel();
    if let Err(error) = link.await {
        tracing::error!(%error, "the link task failed");
    }
}

impl Core {
    async fn work(
        &mut self,
        link_events: &mut mpsc::Receiver<LinkEvent>,
        shutdown: &CancellationToken,
    ) {
        loop {
            self.handle_time();
            let wake = self.poll_timeout();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(event) = link_events.recv() => self.handle_link(event),
                Some(done) = self.probes.join_next_with_id() => self.handle_done(done),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Stops probing, hands in what there is, and waits for the acknowledgements.
    async fn drain(&mut self, link_events: &mut mpsc::Receiver<LinkEvent>) {
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
            // The link may be down and come up again while there is time.
            while self.spool.len() > 0 {
                self.flush(true);
                let event = tokio::time::timeout(RETRY, link_events.recv()).await;
                match event {
                    Ok(Some(event)) => self.handle_link(event),
                    Ok(None) => return,
                    Err(_) => {}
                }
            }
        };
        let _ = tokio::time::timeout_at(deadline, work).await;
        if self.spool.len() > 0 {
            tracing::warn!(
                records = self.spool.len(),
                "stopping with records not handed in"
            );
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
            self.beat();
        }
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

    fn miss(&mut self, monitor: &str, slot: u64, reason: v1::MissedReason) {
        if let Some(lane) = self.items.get(monitor).map(|item| item.lane) {
            self.spool(lane, record::missed(monitor, slot, reason), false);
        }
    }

    fn spool_windows(&mut self) {
        while let Some(closed) = self.windows.poll_closed() {
            let id: Result<model::MonitorId, _> = closed.series.monitor.parse();
            // The lane follows from the name alone, also of a monitor that is gone.
            if let Ok(id) = id {
                self.spool(id.lane(), record::window(closed), false);
            }
        }
    }

    fn spool(&mut self, lane: u16, record: v1::Record, urgent: bool) -> u64 {
        let is_new = self.spool.next(lane) == 0;
        let seq = self.spool.push(lane, record);
        if is_new {
            self.tell_starts();
        }
        if let Some((frames, _)) = self.frames.as_mut() {
            frames.handle_added(lane, &self.spool, urgent, now());
        }
        while let Some(dropped) = self.spool.make_room(MAX_RECORDS) {
            tracing::warn!(
                lane = dropped.lane,
                records = dropped.span.len(),
                "the spool is full"
            );
            let gap = v1::Gap {
                first_seq: dropped.span.first,
                end_seq: dropped.span.end,
                reason: v1::GapReason::SpoolFull.into(),
            };
            let kind = Some(v1::record::Kind::Gap(gap));
            self.spool.push(
                dropped.lane,
                v1::Record {
                    kind,
                    ..Default::default()
                },
            );
            if let Some((frames, _)) = self.frames.as_mut() {
                frames.handle_dropped(dropped.lane, &self.spool);
                frames.handle_added(dropped.lane, &self.spool, false, now());
            }
        }
        seq
    }

    /// Sends what is due, or everything, as far as the link takes it: the core never waits for
    /// the link, because slots do not.
    fn flush(&mut self, everything: bool) {
        loop {
            let Some((frames, requests)) = self.frames.as_mut() else {
                return;
            };
            let at = now();
            let due = frames.poll_timeout().is_some_and(|due| due <= at);
            if !due && !everything {
                return;
            }
            // Full, or closed: then the link will say that it is down.
            let Ok(permit) = requests.try_reserve() else {
                self.blocked_until = at + RETRY;
                return;
            };
            let sent_at_us = record::micros(at.saturating_duration_since(self.boot));
            let Some(frame) = frames.poll_frame(&self.spool, sent_at_us, at) else {
                return;
            };
            let message = Some(v1::report_request::Message::Frame(frame));
            permit.send(v1::ReportRequest { message });
        }
    }

    fn beat(&self) {
        let Some((_, requests)) = self.frames.as_ref() else {
            return;
        };
        let beat = v1::Heartbeat {
            sent_at_us: record::micros(now().saturating_duration_since(self.boot)),
            wall_unix_ms: telemetry::clock::wall().as_millisecond(),
            scheduler_lag_us: record::micros(self.lag),
            spool_records: self.spool.len() as u64,
            dropped_records: self.spool.dropped(),
            ..Default::default()
        };
        let message = Some(v1::report_request::Message::Heartbeat(beat));
        // A link that is full or down has no use for a heartbeat.
        let _ = requests.try_send(v1::ReportRequest { message });
    }
}
