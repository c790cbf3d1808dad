//! Records on their way: into the spool, to the disk, into frames.

use std::time::Instant;

use rpc::{limits, v1};

use super::{Core, DISK_PATIENCE, RETRY, now};
use crate::disk::DiskEvent;
use crate::link::Claim;
use crate::record;
use crate::self_test::Masks;

impl Core {
    pub(super) fn miss(&mut self, monitor: &str, slot: u64, reason: v1::MissedReason) {
        self.miss_for(monitor, slot, reason, false);
    }

    pub(super) fn miss_for(
        &mut self,
        monitor: &str,
        slot: u64,
        reason: v1::MissedReason,
        limited: bool,
    ) {
        self.telling.missed(reason);
        if let Some(lane) = self.items.get(monitor).map(|item| item.lane) {
            let noticed = now().saturating_duration_since(self.boot);
            let missed = record::missed(monitor, slot, reason, noticed, limited);
            self.spool(lane, missed, false);
        }
    }

    pub(super) fn spool_windows(&mut self) {
        while let Some(closed) = self.windows.poll_closed() {
            self.spool_window(closed);
        }
    }

    fn spool_window(&mut self, closed: window::Closed) {
        let id: Result<model::MonitorId, _> = closed.series.monitor.parse();
        // The lane follows from the name alone, also of a monitor that is gone.
        if let Ok(id) = id {
            self.spool(id.lane(), record::window(closed), false);
        }
    }

    /// Gives a record its sequence, and makes room for it.
    pub(super) fn spool(&mut self, lane: u16, record: v1::Record, urgent: bool) -> u64 {
        let seq = self.push(lane, record, urgent);
        while let Some(dropped) = self.spool.make_room() {
            tracing::warn!(
                lane = dropped.lane,
                records = dropped.span.len(),
                "the spool is full"
            );
            if let Some((frames, _)) = self.frames.as_mut() {
                frames.handle_dropped(dropped.lane, &self.spool);
            }
            let gap = record::gap(dropped.span, v1::GapReason::SpoolFull);
            self.push(dropped.lane, gap, false);
        }
        seq
    }

    pub(super) fn push(&mut self, lane: u16, record: v1::Record, urgent: bool) -> u64 {
        let is_new = !self.spool.knows(lane);
        let seq = self.spool.push(lane, record, urgent);
        if is_new {
            self.tell_starts();
        }
        if !self.spool.has_disk()
            && let Some((frames, _)) = self.frames.as_mut()
        {
            frames.handle_added(lane, &self.spool, urgent, now());
        }
        seq
    }

    /// Hands to the disk what belongs there.
    pub(super) fn keep(&mut self) {
        if let Some(disk) = &self.disk {
            while let Some((ticket, change, urgent)) = self.spool.poll_change() {
                disk.change(ticket, change, urgent);
            }
        }
        let at = now();
        // The process itself was stopped: that is not the disk's fault.
        let slept = at.saturating_duration_since(self.kept_at) > 2 * limits::HEARTBEAT;
        self.kept_at = at;
        if slept || (!self.spool.is_waiting() && self.opening.is_none()) {
            self.disk_answered = at;
        } else if at.saturating_duration_since(self.disk_answered) > DISK_PATIENCE {
            self.leave_disk("it does not answer");
        }
    }

    /// The disk answers only while there is one: what a broken one still says is of another spool.
    pub(super) fn handle_disk_or_end(&mut self, event: Option<DiskEvent>) {
        match event {
            Some(event) => self.handle_disk(event),
            None => self.leave_disk("its thread has ended"),
        }
    }

    fn handle_disk(&mut self, event: DiskEvent) {
        self.disk_answered = now();
        match event {
            DiskEvent::Durable(ticket) => {
                for durable in self.spool.handle_durable(ticket) {
                    if let Some((frames, _)) = self.frames.as_mut() {
                        frames.handle_added(durable.lane, &self.spool, durable.urgent, now());
                    }
                }
            }
            DiskEvent::EpochKept(epoch) => {
                self.kept_epoch = epoch;
                // Another stream may wait by now, for another epoch.
                let opening = self.opening.take_if(|(opened, _)| opened.epoch == epoch);
                if let Some((opened, requests)) = opening {
                    self.open(opened, requests);
                }
            }
            DiskEvent::Loaded { id, first, records } => {
                if let Some((frames, _)) = self.frames.as_mut() {
                    frames.handle_loaded(id, first, records);
                }
                self.load();
            }
            DiskEvent::Failed(problem) => self.leave_disk(&problem),
        }
    }

    /// Probing goes on without the disk, and so does delivery: as a new spool, in memory.
    fn leave_disk(&mut self, problem: &str) {
        let Some(disk) = self.disk.take() else {
            return;
        };
        // Not waited for: it may hang.
        drop(disk.finish());
        let left = self.spool.leave_disk();
        self.self_test.handle_renumbered(&left.firsts);
        tracing::error!(
            %problem,
            unsure = left.unsure,
            "state-dir: the disk failed: what is probed from now on is kept in memory only, and \
             what is on the disk is handed in after a restart; free or repair it, then restart"
        );
        (self.frames, self.opening, self.kept_epoch) = (None, None, 0);
        self.claim = Claim {
            life: self.claim.life + 1,
            ..Claim::default()
        };
        // Their outcomes have other sequences now, or none.
        self.windows.close_all();
        while let Some(mut closed) = self.windows.poll_closed() {
            (closed.first_seq, closed.end_seq) = (0, 0);
            self.spool_window(closed);
        }
        self.tell_starts();
        self.relink.notify_one();
    }

    /// Asks the disk for what is to be sent next.
    fn load(&mut self) {
        if let (Some((frames, _)), Some(disk)) = (self.frames.as_mut(), &self.disk)
            && let Some((id, lane, span)) = frames.poll_load()
        {
            disk.load(id, lane, span);
        }
    }

    /// Sends what is due, or everything, as far as the link takes it: the core never waits for
    /// the link, because slots do not.
    pub(super) fn flush(&mut self, everything: bool) {
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
            let frame = frames.poll_frame(&self.spool, sent_at_us, at);
            let is_last = frame.is_none();
            match frame.map(v1::report_request::Message::Frame) {
                message @ Some(_) => permit.send(v1::ReportRequest { message }),
                None => drop(permit),
            }
            self.load();
            if is_last {
                return;
            }
        }
    }

    pub(super) fn beat(&mut self, at: Instant) {
        let Some((_, requests)) = self.frames.as_ref() else {
            return;
        };
        let since_boot = |at: Instant| record::micros(at.saturating_duration_since(self.boot));
        let (tested_at, canaries) = match self.self_test.last() {
            Some((began, canaries)) => (since_boot(began), canaries),
            // Nothing to ask: each time anew. Else the first round is not over.
            None if !self.self_test.has_canaries() => (since_boot(at), Masks::default()),
            None => (0, Masks::default()),
        };
        let peers = self.peers.lately(at);
        let beat = v1::Heartbeat {
            sent_at_us: since_boot(at),
            wall_unix_ms: telemetry::clock::wall().as_millisecond(),
            canaries_asked: canaries.asked,
            canaries_ok: canaries.answered,
            tested_at_us: tested_at,
            peers_asked: peers.asked,
            peers_ok: peers.answered,
            peers: self.peers.seen(),
            draining: self.is_draining,
            scheduler_lag_us: record::micros(self.lag.worst(at)),
            spool_bytes: self.spool.bytes(),
            spool_records: self.spool.len(),
            dropped_records: self.spool.dropped(),
            spool_in_memory: !self.spool.has_disk(),
        };
        let message = Some(v1::report_request::Message::Heartbeat(beat));
        // A link that is full or down has no use for a heartbeat.
        let _ = requests.try_send(v1::ReportRequest { message });
        self.keep_lease(at);
    }
}
