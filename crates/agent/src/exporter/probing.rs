//! `/probe`: one probe, now.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use dial::Origin;
use http::{HeaderMap, StatusCode};
use mcp::{EraCache, EraRecord, Plan};
use model::{EraPolicy, Outcome, Reason, Report, TargetUrl};

use super::page::{Format, Page};
use super::sparing::{self, Claim};
use super::{Ran, Served, blackbox, of_mcp};
use crate::module::{DEFAULT_MODULE, Module};
use crate::origins::Spared;
use crate::record::micros;
use crate::telling::Why;

/// Probes at once, beside those of slots and confirmations.
pub(super) const PROBES: usize = 64;
/// What Prometheus says of its patience.
const TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// How much of that is left for the answer, as `blackbox_exporter` has it.
const OFFSET: Duration = Duration::from_millis(500);
/// The longest patience that counts: no module waits longer.
const LONGEST: Duration = Duration::from_secs(600);
/// The most that is set aside of a scrape for closing what the probe opened.
const CLOSING: Duration = Duration::from_secs(2);
/// Endpoints, by module, whose era is remembered. Requests name them, perhaps each time another one.
const ENDPOINTS: usize = 1024;

/// What requests learnt of eras.
#[derive(Debug, Default)]
pub(super) struct Eras {
    cache: EraCache,
    count: usize,
}

impl Eras {
    fn learn(&mut self, endpoint: &str, plan_era: EraPolicy, found: (&Outcome, Option<EraRecord>)) {
        // As in the core: who asks for an era learns nothing that holds for others.
        let era = found.1.filter(|_| plan_era == EraPolicy::Auto);
        match (found.0, era) {
            (Outcome::Ok | Outcome::Degraded { .. }, Some(era)) => {
                self.count += 1;
                if self.count > ENDPOINTS {
                    *self = Self::default();
                }
                self.cache.record(endpoint, era, now());
            }
            (Outcome::Failed(_), _) => self.cache.forget(endpoint),
            (Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. }, _) => {}
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A request that can be served.
struct Asked {
    target: TargetUrl,
    module_name: String,
    module: Module,
    is_debug: bool,
    /// How long the answer may take, where the scraper says so.
    patience: Option<Duration>,
}

/// Why no probe was run.
enum Unran {
    Refused(StatusCode, &'static str),
    Spared(Spared),
}

pub(super) async fn probe(
    State(served): State<Arc<Served>>,
    query: Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Ok(Query(query)) = query else {
        let sentence = "the query is no list of NAME=VALUE; percent-encode the target";
        return served.refuse(StatusCode::BAD_REQUEST, sentence);
    };
    let asked = match read(&served, query, &headers) {
        Ok(asked) => asked,
        Err((status, sentence)) => return served.refuse(status, &sentence),
    };
    let (is_debug, format) = (asked.is_debug, Format::asked(&headers));
    let ran = match run(&served, asked).await {
        Ok(ran) => ran,
        Err(Unran::Refused(status, sentence)) => return served.refuse(status, sentence),
        Err(Unran::Spared(spared)) => return sparing::answer(spared, now(), is_debug, format),
    };
    if is_debug {
        return debug(&ran).into_response();
    }
    super::page(format, render(&ran, format))
}

fn read(
    served: &Served,
    query: Vec<(String, String)>,
    headers: &HeaderMap,
) -> Result<Asked, (StatusCode, String)> {
    let bad = |sentence: String| (StatusCode::BAD_REQUEST, sentence);
    let (mut target, mut module, mut debug) = (None, None, None);
    for (name, value) in query {
        let place = match name.as_str() {
            "target" => &mut target,
            "module" => &mut module,
            "debug" => &mut debug,
            _ => {
                let shown = model::text::line(&name, 40);
                let known = "is no parameter; they are target, module and debug";
                return Err(bad(format!(
                    "`{shown}` {known} (percent-encode the target)"
                )));
            }
        };
        if place.replace(value).is_some() {
            return Err(bad(format!("{name}: is given twice")));
        }
    }
    let target = target.filter(|target| !target.is_empty());
    let way_out = "target: is missing; ask /probe?target=https://mcp.example.com/mcp";
    let target = target.ok_or_else(|| bad(way_out.to_owned()))?;
    let url: Result<TargetUrl, _> = target.parse();
    let url = url.map_err(|error| {
        let error = error.to_string();
        bad(format!("target: {}", error.trim_start_matches("url: ")))
    })?;
    let name = module.filter(|module| !module.is_empty());
    let name = name.as_deref().unwrap_or(DEFAULT_MODULE);
    let settings = served.settings();
    let modules = &settings.http.modules;
    let module = modules.named(name).ok_or_else(|| {
        let (shown, known) = (model::text::line(name, 64), modules.names().join(", "));
        bad(format!(
            "module: `{shown}` is none of this agent's; they are {known}"
        ))
    })?;
    if !module.is_for(&url) {
        let sentence = format!("module: `{name}` has targets of its own, and this is none of them");
        return Err((StatusCode::FORBIDDEN, sentence));
    }
    Ok(Asked {
        target: url,
        module_name: name.to_owned(),
        module: module.clone(),
        is_debug: debug.as_deref() == Some("true"),
        patience: patience(headers).map_err(|sentence| bad(sentence.to_owned()))?,
    })
}

/// What a scraper leaves for the probe. Where it has less than the offset twice over, half of it.
fn patience(headers: &HeaderMap) -> Result<Option<Duration>, &'static str> {
    let Some(value) = headers.get(TIMEOUT) else {
        return Ok(None);
    };
    let way_out = "X-Prometheus-Scrape-Timeout-Seconds: is no positive number of seconds";
    let seconds = value.to_str().ok().and_then(|text| text.parse().ok());
    let given = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let given = given.filter(|given| !given.is_zero()).ok_or(way_out)?;
    let given = given.min(LONGEST);
    Ok(Some(given.saturating_sub(OFFSET).max(given / 2)))
}

/// Makes a plan fit: what is left for the sequence, with a part set aside for closing.
fn fit(plan: &mut Plan, patience: Option<Duration>) {
    if let Some(patience) = patience {
        let closing = (patience / 5).min(CLOSING);
        plan.total_timeout = plan.total_timeout.min(patience - closing);
        let left = patience - plan.total_timeout;
        // A little less, so that the answer is on its way in time.
        plan.close_timeout = plan.close_timeout.min(left.mul_f64(0.9));
    }
}

fn job(served: &Served, module: &Module, plan: Plan) -> probe::Job {
    probe::Job {
        plan,
        headers: module.headers().clone(),
        // Named by a request: only this host's allow list opens private addresses.
        origin: Origin::Remote,
        proxy: None,
        network: module.way().network.clone(),
        health: module.health().cloned(),
        authorizer: None,
        is_renewed: false,
        examines_walls: false,
        alpn: module.way().alpn,
        wall: telemetry::clock::wall(),
        contact: served.contact.clone(),
    }
}

/// Runs the probe. It goes on to its own end, closing what it holds, when nobody waits any more.
async fn run(served: &Arc<Served>, asked: Asked) -> Result<Ran, Unran> {
    let Asked {
        target,
        module_name,
        module,
        patience,
        ..
    } = asked;
    let busy = "all places for probes are taken; scrape fewer targets at once";
    let place = Arc::clone(&served.places).try_acquire_owned();
    let place = place.map_err(|_| Unran::Refused(StatusCode::SERVICE_UNAVAILABLE, busy))?;
    let (cost, cap) = module.cost();
    let claim = Claim::take(served, target.origin(), cost, cap, now());
    let claim = claim.map_err(Unran::Spared)?;
    // Modules may reach different servers by the same URL, and see different ones by their headers.
    let endpoint = format!("{module_name} {target}");
    let mut plan = module.plan(target);
    fit(&mut plan, patience);
    let (limit, era) = (plan.total_timeout, plan.era);
    plan.known = served.eras(|eras| eras.cache.lookup(&endpoint, now()));
    let job = job(served, &module, plan);
    let cancel = served.stopping.child_token();
    // Where the scraper goes away, so does the probe.
    let waiting = cancel.clone().drop_guard();
    let task = served.running.spawn({
        let (served, dialer) = (Arc::clone(served), module.way().dialer(&served.dialer));
        async move {
            let _place = place;
            let counted = Counted::begin(&served);
            let began = now();
            let (report, found) = probe::run(&dialer, job, &cancel).await;
            let took_us = micros(now().saturating_duration_since(began));
            counted.end(&report.outcome);
            claim.settle(&report, now());
            served.eras(|eras| eras.learn(&endpoint, era, (&report.outcome, found)));
            (report, took_us)
        }
    });
    let ended = match patience {
        Some(patience) => tokio::time::timeout(patience, task).await,
        None => Ok(task.await),
    };
    // It has come to its end, or cleans up within its own bounds.
    waiting.disarm();
    let Ok(ended) = ended else {
        let sentence =
            "the probe cleans up for longer than this scrape may take; raise scrape_timeout";
        return Err(Unran::Refused(StatusCode::SERVICE_UNAVAILABLE, sentence));
    };
    let (report, took_us) = ended.map_err(|_| {
        Unran::Refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the prober itself failed",
        )
    })?;
    if is_cancelled(&report) {
        let sentence = "this agent is about to stop";
        return Err(Unran::Refused(StatusCode::SERVICE_UNAVAILABLE, sentence));
    }
    Ok(Ran {
        report,
        limit,
        took_us,
    })
}

fn is_cancelled(report: &Report) -> bool {
    report.outcome.reason() == Some(Reason::Cancelled)
}

impl Served {
    pub(super) fn eras<T>(&self, with: impl FnOnce(&mut Eras) -> T) -> T {
        with(&mut self.eras.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A probe that is counted once, however it ends.
struct Counted<'a>(Option<&'a Served>);

impl<'a> Counted<'a> {
    fn begin(served: &'a Served) -> Self {
        served.telling.started(Why::Request);
        Self(Some(served))
    }

    fn end(mut self, outcome: &Outcome) {
        if let Some(served) = self.0.take() {
            served.telling.ended(Why::Request, Some(outcome));
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(served) = self.0.take() {
            served.telling.ended(Why::Request, None);
        }
    }
}

fn render(ran: &Ran, format: Format) -> String {
    let mut page = Page::new(format);
    blackbox::write(&mut page, ran);
    of_mcp::write(&mut page, ran);
    page.end()
}

/// For people, in the order of blackbox: what a scrape would get, and what the probe saw.
fn debug(ran: &Ran) -> String {
    let report = serde_json::to_string_pretty(&ran.report);
    format!(
        "{}\n\nMetrics that would have been returned:\n{}\n\nReport:\n{}\n",
        ran.report.summary,
        render(ran, Format::Text),
        report.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(header: &str) -> Result<Option<Duration>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(TIMEOUT, header.parse().unwrap());
        patience(&headers)
    }

    #[test]
    fn half_a_second_of_a_scrape_is_for_the_answer() {
        let ms = Duration::from_millis;
        assert_eq!(left("10.000000"), Ok(Some(ms(9500))));
        assert_eq!(left("1"), Ok(Some(ms(500))));
        assert_eq!(left("0.4"), Ok(Some(ms(200))));
        assert_eq!(left("1e9"), Ok(Some(ms(599_500))));
        for bad in ["", "0", "-1", "NaN", "inf", "ten"] {
            assert!(left(bad).is_err(), "{bad}");
        }
        assert_eq!(patience(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn sequence_and_closing_fit_into_a_scrape() {
        let url = "https://mcp.example.com/mcp".parse().unwrap();
        let plan = Plan::new(url, mcp::ClientInfo::parallax());
        for seconds in [0.2, 1.0, 9.5, 30.0, 31.0, 600.0] {
            let patience = Duration::from_secs_f64(seconds);
            let mut fitted = plan.clone();
            fit(&mut fitted, Some(patience));
            assert!(
                fitted.total_timeout + fitted.close_timeout <= patience,
                "{seconds}: {fitted:?}"
            );
            assert!(fitted.total_timeout >= (patience * 4 / 5).min(plan.total_timeout));
        }
        let mut fitted = plan.clone();
        fit(&mut fitted, None);
        assert_eq!(fitted.total_timeout, plan.total_timeout);
        assert_eq!(fitted.close_timeout, plan.close_timeout);
    }
}
