//! What the agent says of itself: `/metrics`. The number of series is fixed.

use std::sync::atomic::Ordering;

use super::Served;
use super::page::{Format, Kind, Page};
use super::sparing::CAUSES;
use crate::telling::{ENDS, MISSED, State, Telling, Why};

/// The page.
pub(super) fn render(served: &Served, format: Format) -> String {
    let (telling, mut page) = (&*served.telling, Page::new(format));
    page.family(Kind::Info, "parallax_build", "This build");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    if let Some((agent, region)) = telling.who() {
        page.family(Kind::Info, "parallax_agent", "1; who the agent is");
        let version = ("version", env!("CARGO_PKG_VERSION"));
        page.sample(&[("agent", &agent), ("region", &region), version], 1);
    }
    let wall = |at: jiff::Timestamp| at.as_duration().as_secs_f64();
    let help = "When the process began, seconds since the epoch";
    let began = wall(served.began);
    page.gauge("process_start_time_seconds", help, began);
    let help = "The clock of this machine, seconds since the epoch: compare with timestamp()";
    let now = wall(telemetry::clock::wall());
    page.gauge("parallax_agent_time_seconds", help, now);
    let settings = served.settings();
    if settings.http.reread.is_some() {
        let standing = served.current.standing();
        let help = "1 while the settings in force are those of the files";
        let name = "parallax_agent_exporter_config_last_reload_successful";
        page.gauge(name, help, u8::from(standing.is_good));
        let help = "When settings of the exporter were last taken, seconds since the epoch";
        let name = "parallax_agent_exporter_config_last_reload_success_timestamp_seconds";
        page.gauge(name, help, wall(standing.taken_at));
    }
    if !settings.http.only {
        state(&mut page, &telling.state());
    }
    probes(&mut page, telling);
    let help = "Requests to /probe that ran no probe, by what they were answered";
    let name = "parallax_agent_probe_requests_refused";
    page.family(Kind::Counter, name, help);
    for (code, count) in &served.refused {
        page.sample(&[("code", code)], count.load(Ordering::Relaxed));
    }
    let help = "Requests to /probe that ran no probe because the target was spared, by cause";
    let name = "parallax_agent_probe_requests_held";
    page.family(Kind::Counter, name, help);
    for (cause, count) in CAUSES.iter().zip(&served.spared) {
        page.sample(&[("cause", cause)], count.load(Ordering::Relaxed));
    }
    page.end()
}

fn state(page: &mut Page, state: &State) {
    let help = "1 while evidence can be handed in to the coordinator";
    let connected = u8::from(state.is_connected);
    page.gauge("parallax_agent_connected", help, connected);
    if let Some(at) = state.acknowledged_at {
        let help = "When the coordinator last acknowledged evidence, on this machine's clock";
        let name = "parallax_agent_last_acknowledged_timestamp_seconds";
        page.gauge(name, help, at);
    }
    let help = "Monitors that this agent watches";
    page.gauge("parallax_agent_monitors", help, state.monitors);
    let help = "How late slots began: the worst of the last 15 to 30 seconds";
    let name = "parallax_agent_scheduler_lag_seconds";
    page.gauge(name, help, state.lag.as_secs_f64());
    let help = "Records that wait to be handed in";
    page.gauge("parallax_agent_spool_records", help, state.spool_records);
    let help = "Bytes that wait to be handed in";
    page.gauge("parallax_agent_spool_bytes", help, state.spool_bytes);
    let help = "1 while what waits would be lost with the process";
    let name = "parallax_agent_spool_in_memory";
    page.gauge(name, help, u8::from(state.spool_in_memory));
    let help = "Records that had to be dropped";
    page.family(Kind::Counter, "parallax_agent_reports_lost", help);
    page.sample(&[], state.dropped);
    if let Some(canaries) = state.canaries {
        let help = "Canaries of the last self-test that count, and those that answered";
        page.family(Kind::Gauge, "parallax_agent_canaries", help);
        page.sample(&[("state", "counted")], canaries.asked.count_ones());
        page.sample(&[("state", "answered")], canaries.answered.count_ones());
    }
}

fn probes(page: &mut Page, telling: &Telling) {
    let help = "Probes that were begun, by why";
    page.family(Kind::Counter, "parallax_agent_probes_started", help);
    for (why, word) in Why::ALL {
        page.sample(&[("cause", word)], telling.starts(why));
    }
    let help = "Probes that ended, by why they ran and how they ended";
    page.family(Kind::Counter, "parallax_agent_probes_finished", help);
    for (why, word) in Why::ALL {
        for (end, count) in ENDS.iter().zip(telling.ends(why)) {
            page.sample(&[("cause", word), ("outcome", end)], count);
        }
    }
    let help = "Probes that run now";
    page.family(Kind::Gauge, "parallax_agent_probes_in_flight", help);
    for (why, word) in Why::ALL {
        // Ends first: what begins meanwhile makes it too many, and never too few.
        let ended: u64 = telling.ends(why).iter().sum();
        let running = telling.starts(why).saturating_sub(ended);
        page.sample(&[("cause", word)], running);
    }
    let help = "Slots in which no probe ran";
    page.family(Kind::Counter, "parallax_agent_slots_missed", help);
    for ((_, word), count) in MISSED.iter().zip(telling.misses()) {
        page.sample(&[("reason", word)], count);
    }
}
