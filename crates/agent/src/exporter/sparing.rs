//! The answer where a target is spared: nothing was asked of it, and that is said as a probe's result.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::response::{IntoResponse as _, Response};
use model::{Outcome, Reason, Report};
use schedule::Held;

use super::page::{Format, Kind, Page};
use super::{Served, of_mcp};
use crate::origins::{Spared, Why, requests};

/// How long a target is left alone that turns a request's probe away and names no time: half of
/// the usual time between two scrapes, so that the next one looks again.
const PAUSE: Duration = Duration::from_secs(30);

/// Why a target is spared, in words: it turned this agent away, or others, or had enough.
pub(super) const CAUSES: [&str; 3] = ["limited", "told", "budget"];

const fn cause(why: Why) -> usize {
    match why {
        Why::Held(Held::Limited) => 0,
        Why::Held(Held::Told) => 1,
        Why::Full => 2,
    }
}

/// What a probe of a request may cost its origin, taken from the origin's budget.
pub(super) struct Claim {
    served: Arc<Served>,
    origin: String,
    requests: u32,
}

impl Claim {
    /// Takes so many requests from the budget.
    pub(super) fn take(
        served: &Arc<Served>,
        origin: String,
        requests: u32,
        own_cap: Option<u32>,
        now: Instant,
    ) -> Result<Self, Spared> {
        let cap = served.settings().http.max_requests_per_minute;
        let cap = own_cap.map_or(cap, |own| own.min(cap));
        let claimed = served.origins.claim(&origin, requests, cap, now);
        if let Err(spared) = claimed {
            served.spared[cause(spared.why)].fetch_add(1, Ordering::Relaxed);
            return Err(spared);
        }
        Ok(Self {
            served: Arc::clone(served),
            origin,
            requests,
        })
    }

    /// The probe is over: what it asked beyond the claim counts too, and a pause that it was told.
    pub(super) fn settle(self, report: &Report, now: Instant) {
        let more = requests(report).saturating_sub(self.requests);
        let origins = &self.served.origins;
        origins.spend(&self.origin, more, now);
        origins.heed(&self.origin, report, PAUSE, now);
    }
}

/// In the manner of blackbox: status 200, and no success.
pub(super) fn answer(spared: Spared, now: Instant, is_debug: bool, format: Format) -> Response {
    let left = spared.until.saturating_duration_since(now);
    let until = telemetry::clock::wall().as_duration().as_secs_f64() + left.as_secs_f64();
    if is_debug {
        let page = render(spared.why, until, Format::Text);
        let sentence = sentence(spared.why, left);
        let text = format!("{sentence}\n\nMetrics that would have been returned:\n{page}\n");
        return text.into_response();
    }
    super::page(format, render(spared.why, until, format))
}

fn sentence(why: Why, left: Duration) -> String {
    let said = match why {
        Why::Held(Held::Limited) => "the target asked this agent for a pause",
        Why::Held(Held::Told) => "the target asked other agents for a pause",
        Why::Full => "the target had as many requests as it may have in a minute",
    };
    let seconds = left.as_secs_f64().ceil();
    format!("no probe was run: {said}; it may be asked again in {seconds} s")
}

fn render(why: Why, until: f64, format: Format) -> String {
    let mut page = Page::new(format);
    let help = "Displays whether or not the probe was a success: outcome ok or degraded";
    page.gauge("probe_success", help, 0);
    let help = "Returns how long the probe took to complete in seconds: none was run";
    page.gauge("probe_duration_seconds", help, 0);
    let reason = match why {
        Why::Held(_) => Reason::RateLimited,
        Why::Full => Reason::BudgetExceeded,
    };
    of_mcp::outcome(&mut page, &Outcome::Inconclusive { reason });
    let help = "1; no probe was run, because the target is spared";
    page.family(Kind::Gauge, "probe_mcp_held", help);
    page.sample(&[("cause", CAUSES[cause(why)])], 1);
    let help = "When the target may be asked again, on this machine's clock";
    page.gauge("probe_mcp_held_until_timestamp_seconds", help, until);
    page.end()
}
