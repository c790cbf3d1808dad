//! Targets that ask for a pause get it, on every monitor of their origin.

use std::time::Duration;

use model::Report;
use model::expect::HealthSpec;
use rpc::{limits, v1};
use schedule::Held;

use super::{Core, now};
use crate::item::Item;
use crate::origins::requests;

impl Core {
    /// Whether the slot must pass without a probe; that is recorded.
    pub(super) fn is_held(&mut self, item: &Item, slot: u64) -> bool {
        let Some(held) = self.origins.held(&item.origin, now()) else {
            return false;
        };
        let is_limited = held == Held::Limited;
        self.miss_for(&item.monitor, slot, v1::MissedReason::Held, is_limited);
        true
    }

    /// What a probe cost its origin, and the pause that it asks for.
    pub(super) fn heed(&self, item: &Item, report: &Report) {
        let at = now();
        self.origins.spend(&item.origin, requests(report), at);
        let rest = self.rest(item, report);
        self.origins.heed(&item.origin, report, rest, at);
    }

    /// How long an origin is left alone that names no time: for an interval, the shortest that this
    /// agent has for it, because all of its monitors pause, whichever of them was answered.
    fn rest(&self, item: &Item, report: &Report) -> Duration {
        let same = self.items.values().filter(|of| of.origin == item.origin);
        let shortest = same.map(|of| of.interval).min().unwrap_or(item.interval);
        // The next slot is to find it free: slots are told by their begin.
        let took = Duration::from_micros(report.total_us.saturating_add(report.own_us));
        (shortest * 9 / 10).saturating_sub(took)
    }

    /// A health page that says so holds its own origin in the same way: all slots, where that is the
    /// target's, and else the page alone.
    pub(super) fn heed_page(&self, item: &Item, report: &Report) {
        let Some(seen) = &report.health else { return };
        let asked = seen.retry_after_seconds.map(Duration::from_secs);
        let is_limited = match seen.http_status {
            Some(429) => true,
            Some(503) => asked.is_some(),
            _ => false,
        };
        if is_limited {
            let origin = seen.url.origin();
            let pause = asked.unwrap_or(item.interval * 9 / 10);
            tracing::info!(%origin, ?pause, "the health page asks for a pause");
            self.origins.limited(&origin, pause, now());
        }
    }

    /// The health page of an item, unless it asked to be left alone.
    pub(super) fn page_of(&self, item: &Item) -> Option<HealthSpec> {
        let page = item.health.as_ref()?;
        let held = self.origins.held(&page.url.origin(), now());
        held.is_none().then(|| page.clone())
    }

    /// Others were turned away: this agent need not find out for itself.
    pub(super) fn hold(&mut self, hold: &v1::Hold) {
        let pause = Duration::from_millis(hold.for_ms.into());
        for monitor in hold.monitor_ids.iter().take(limits::MAX_ITEMS) {
            if let Some(item) = self.items.get(monitor) {
                self.origins.told(&item.origin, pause, now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tests::{config, core, schedule, spooled};
    use crate::link::LinkEvent;
    use crate::others::tests::report;
    use model::Outcome;
    use rpc::v1::record::Kind;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A server that answers every request with a head, and counts them.
    fn answering(head: &'static str) -> (String, Arc<AtomicU64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 4096];
                let _ = stream.read(&mut bytes);
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        (format!("http://{address}"), count)
    }

    async fn slot(core: &mut Core, monitor: &str, slot: u64) {
        let interval = core.items[monitor].interval;
        core.timetable.upsert(monitor, interval, slot, now());
        core.handle_time();
        while let Some(done) = core.probes.join_next_with_id().await {
            core.handle_done(done);
        }
        core.handle_time();
    }

    fn missed(core: &Core) -> Vec<(String, u64, v1::MissedReason, bool)> {
        let missed = spooled(core).into_iter().filter_map(|kind| match kind {
            Kind::Missed(m) => Some((m.monitor_id.clone(), m.slot, m.reason(), m.limited)),
            Kind::Outcome(_)
            | Kind::Window(_)
            | Kind::Gap(_)
            | Kind::Attestation(_)
            | Kind::SurfaceSeen(_)
            | Kind::SurfacePart(_) => None,
        });
        missed.collect()
    }

    fn ask(monitor: &str) -> v1::ConfirmationRequest {
        v1::ConfirmationRequest {
            confirmation_id: "c-1".into(),
            monitor_id: monitor.to_owned(),
            generation: 3,
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn an_origin_that_limits_is_left_alone_on_all_its_monitors() {
        let table = [
            ("HTTP/1.1 429 Too Many\r\nretry-after: 600\r\n", true),
            ("HTTP/1.1 429 Too Many\r\n", true),
            (
                "HTTP/1.1 503 Busy\r\nretry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
                true,
            ),
            ("HTTP/1.1 503 Busy\r\n", false),
            ("HTTP/1.1 500 Broken\r\nretry-after: 600\r\n", false),
        ];
        for (head, is_held) in table {
            let (base, count) = answering(head);
            let (mut core, _inbox) = core(config());
            schedule(&mut core, &format!("{base}/mcp"), &["docs", "shop"]);
            slot(&mut core, "docs", 7).await;
            let asked = count.load(Ordering::SeqCst);
            assert!(asked > 0, "{head}");
            slot(&mut core, "docs", 8).await;
            slot(&mut core, "shop", 4).await;
            core.handle_link(LinkEvent::Confirm(ask("shop")));
            if is_held {
                assert_eq!(count.load(Ordering::SeqCst), asked, "{head}");
                let held =
                    |monitor: &str, slot| (monitor.to_owned(), slot, v1::MissedReason::Held, true);
                assert_eq!(missed(&core), [held("docs", 8), held("shop", 4)], "{head}");
                assert_eq!(core.probes.len(), 0, "no confirmation either");
            } else {
                assert_eq!(missed(&core), [], "{head}");
                assert_eq!(core.probes.len(), 1, "{head}");
            }
        }
    }

    /// A pause without a time is the origin's, whichever of its monitors is answered.
    #[tokio::test]
    async fn where_no_time_is_named_the_shortest_interval_of_the_origin_counts() {
        let (mut core, _inbox) = core(config());
        let names = ["quick", "slow", "slower"];
        schedule(&mut core, "http://127.0.0.1:1/mcp", &names);
        for (name, seconds) in names.into_iter().zip([10, 600, 3600]) {
            core.items.get_mut(name).unwrap().interval = Duration::from_secs(seconds);
        }
        let mut report = report(Outcome::Ok, None);
        report.total_us = 500_000;
        for name in names {
            let rest = core.rest(&core.items[name], &report);
            assert_eq!(rest, Duration::from_millis(8500), "{name}");
        }
        core.items.get_mut("quick").unwrap().origin = "https://other.example".into();
        let rest = core.rest(&core.items["slower"], &report);
        assert_eq!(rest, Duration::from_millis(539_500));
    }

    /// A page of another origin is left alone by itself: the target is still probed.
    #[tokio::test]
    async fn a_health_page_that_limits_is_left_alone_too() {
        let (base, count) = answering("HTTP/1.1 500 Broken\r\n");
        let (page, asked) = answering("HTTP/1.1 429 Too Many\r\nretry-after: 600\r\n");
        let (mut core, _inbox) = core(config());
        schedule(&mut core, &format!("{base}/mcp"), &["docs"]);
        let spec = serde_json::json!({ "url": format!("{page}/health") });
        let item = core.items.get_mut("docs").unwrap();
        item.health = serde_json::from_value(spec).unwrap();
        slot(&mut core, "docs", 7).await;
        let first = count.load(Ordering::SeqCst);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        slot(&mut core, "docs", 8).await;
        assert!(count.load(Ordering::SeqCst) > first);
        assert_eq!((asked.load(Ordering::SeqCst), missed(&core)), (1, vec![]));
        // One of the target's own origin holds the target.
        let item = core.items.get_mut("docs").unwrap();
        item.origin.clone_from(&page);
        slot(&mut core, "docs", 9).await;
        let held = ("docs".to_owned(), 9, v1::MissedReason::Held, true);
        assert_eq!(missed(&core), [held]);
    }

    #[tokio::test]
    async fn who_is_told_leaves_the_origin_alone_and_says_that_it_was_told() {
        let (base, count) = answering("HTTP/1.1 500 Broken\r\n");
        let (mut core, _inbox) = core(config());
        schedule(&mut core, &format!("{base}/mcp"), &["docs", "shop"]);
        let hold = v1::Hold {
            monitor_ids: vec!["docs".into(), "unknown".into()],
            for_ms: 60_000,
        };
        core.handle_link(LinkEvent::Hold(hold));
        slot(&mut core, "shop", 4).await;
        assert_eq!(count.load(Ordering::SeqCst), 0);
        let told = ("shop".to_owned(), 4, v1::MissedReason::Held, false);
        assert_eq!(missed(&core), [told]);
    }

    /// Only how often it is probed changes: nothing is begun anew, and nothing is probed twice.
    #[tokio::test]
    async fn another_interval_moves_the_slots_and_nothing_else() {
        let (base, _) = answering("HTTP/1.1 500 Broken\r\n");
        let (mut core, _inbox) = core(config());
        let sent = |interval_ms, next_slot, next_slot_in_ms| v1::ScheduleItem {
            monitor_id: "docs".into(),
            generation: 3,
            lane: 5,
            interval_ms,
            next_slot,
            next_slot_in_ms,
            probe: Some(v1::ProbeSpec {
                url: format!("{base}/mcp"),
                era: "auto".into(),
                step_timeout_ms: 2000,
                call_timeout_ms: 2000,
                total_timeout_ms: 5000,
                ..Default::default()
            }),
            ..Default::default()
        };
        let delta = |item| {
            LinkEvent::Delta(v1::ScheduleDelta {
                upserts: vec![item],
                ..Default::default()
            })
        };
        core.handle_link(delta(sent(60_000, 100, 0)));
        core.handle_time();
        assert_eq!(core.timetable.next_slot("docs"), Some(101));
        let before = core.timetable.poll_timeout().unwrap();
        // Slot 50 of two minutes would begin in ten seconds: too soon after the last one.
        core.handle_link(delta(sent(120_000, 50, 10_000)));
        assert_eq!(core.items["docs"].interval, Duration::from_secs(120));
        assert_eq!(core.timetable.next_slot("docs"), Some(51));
        let after = core.timetable.poll_timeout().unwrap();
        assert!(after >= before, "no sooner than it was");
        assert_eq!(core.probes.len(), 1, "the probe that ran goes on");
        core.handle_link(delta(sent(120_000, 77, 90_000)));
        assert_eq!(
            core.timetable.next_slot("docs"),
            Some(51),
            "nothing changed"
        );
    }
}
