//! Probes on demand: somebody waits at the coordinator for what this agent sees now.
//!
//! They have places of their own and are in no slot, record, window or vote. Only a pause that
//! their target asks for counts for all: whoever asked, the guest is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use dial::{Alpn, Origin};
use http::HeaderMap;
use mcp::Plan;
use model::expect::HealthSpec;
use model::{Outcome, Reason, Report};
use rpc::convert::ConvertError;
use rpc::v1::on_demand_result::Result as Found;
use rpc::v1::watch_request::Message;
use rpc::v1::{OnDemandRefusal, OnDemandRefusalReason as Why};
use rpc::{limits, v1};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Core, now};
use crate::item::{self, Way, way};
use crate::telling;

/// Probes on demand at once: beside those of slots, confirmations and `/probe`.
const PLACES: usize = 8;
/// How long a target is left alone that says 429 and not for how long: there is no interval to go by.
const UNSAID: Duration = Duration::from_secs(60);
/// What is set aside of the time for closing what the probe opened, at most a fifth.
const CLOSING: u32 = 5;

/// What runs.
#[derive(Default)]
pub(super) struct OnDemand {
    probes: JoinSet<Ended>,
    running: BTreeMap<Id, Run>,
}

/// A probe that is over.
pub(super) struct Ended {
    /// Whose word it is, where it is the target's own.
    origin: Option<String>,
    report: Report,
}

struct Run {
    id: String,
    cancel: CancellationToken,
    /// Whether somebody waits for it.
    is_wanted: bool,
}

/// What is asked for.
struct Asked {
    plan: Plan,
    headers: HeaderMap,
    health: Option<HealthSpec>,
    way: Way,
    /// Whether it asks the target as a stranger would, where the target's name leads.
    is_plain: bool,
}

impl OnDemand {
    pub(super) fn is_idle(&self) -> bool {
        self.probes.is_empty()
    }

    /// The next probe that is over; none where none runs.
    pub(super) async fn join_next(&mut self) -> Option<Result<(Id, Ended), JoinError>> {
        self.probes.join_next_with_id().await
    }

    /// Nobody waits any more: all of them, or the one of a run.
    pub(super) fn cancel(&mut self, run: Option<&str>) {
        let runs = self.running.values_mut();
        for it in runs.filter(|it| run.is_none_or(|run| run == it.id)) {
            it.is_wanted = false;
            it.cancel.cancel();
        }
    }
}

impl Core {
    /// Probes now, or says why not.
    pub(super) fn probe_on_demand(&mut self, request: &v1::OnDemandRequest) {
        if !model::monitor::is_id(&request.run_id) {
            return; // an answer could not name it
        }
        match self.may_probe_on_demand(request) {
            Ok(asked) => self.begin_on_demand(request.run_id.clone(), asked),
            Err(refusal) => self.answer_on_demand(&request.run_id, Found::Refusal(refusal)),
        }
    }

    fn may_probe_on_demand(&self, request: &v1::OnDemandRequest) -> Result<Asked, OnDemandRefusal> {
        if self.is_draining {
            return Err(refusal(Why::Draining, "this agent is about to stop"));
        }
        let unread = |error: ConvertError| refusal(Why::Rejected, &error.to_string());
        let asked = read(request).map_err(unread)?;
        let origin = asked.plan.url.origin();
        if let Some(until) = self.origins.until(&origin, now()) {
            let pause = until.saturating_duration_since(now());
            let mut refusal = refusal(Why::Held, "the target asked to be left alone for a while");
            refusal.retry_after_ms = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
            return Err(refusal);
        }
        if self.on_demand.running.len() >= PLACES {
            let detail = format!("{PLACES} probes on demand run at this agent already; ask again");
            return Err(refusal(Why::Busy, &detail));
        }
        Ok(asked)
    }

    fn begin_on_demand(&mut self, id: String, asked: Asked) {
        // Where the caller says who answers for a name, or with which credential, the answer says nothing
        // to anybody else: else he could have monitors left alone.
        let origin = asked.is_plain.then(|| asked.plan.url.origin());
        let job = probe::Job {
            plan: asked.plan,
            headers: asked.headers,
            // Named by the API: only this host's allow list opens private addresses.
            origin: Origin::Remote,
            proxy: None,
            network: asked.way.network.clone(),
            health: asked.health,
            alpn: Alpn::Any,
            authorizer: None,
            is_renewed: false,
            // Somebody reads it, as with the command line.
            examines_walls: true,
            wall: telemetry::clock::wall(),
            contact: self.config.contact.clone(),
        };
        let (dialer, cancel) = (asked.way.dialer(&self.dialer), self.cancel.child_token());
        let run = Run {
            id,
            cancel: cancel.clone(),
            is_wanted: true,
        };
        let task = self.on_demand.probes.spawn(async move {
            let (report, _) = probe::run(&dialer, job, &cancel).await;
            Ended { origin, report }
        });
        self.telling.started(telling::Why::OnDemand);
        self.on_demand.running.insert(task.id(), run);
    }

    /// A probe on demand is over: whoever waits for it gets the report.
    pub(super) fn handle_on_demand(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let outcome = ended.as_ref().ok().map(|(_, ended)| &ended.report.outcome);
        self.telling.ended(telling::Why::OnDemand, outcome);
        if let Ok((_, ended)) = &ended {
            self.heed_on_demand(ended);
        }
        let Some(run) = self.on_demand.running.remove(&id) else {
            return;
        };
        if !run.is_wanted {
            return;
        }
        let found = match ended {
            Ok((_, ended)) => found(&ended.report),
            Err(error) => {
                // A bug of ours.
                tracing::error!(%error, "a probe on demand failed");
                Found::Refusal(refusal(Why::NoReport, "the prober itself failed"))
            }
        };
        self.answer_on_demand(&run.id, found);
    }

    /// Whom the target turned away leaves it alone, on all monitors of the origin. They were only
    /// told: their votes stay as they are.
    fn heed_on_demand(&mut self, ended: &Ended) {
        let is_limited = match &ended.report.outcome {
            Outcome::Failed(failure) => failure.reason == Reason::RateLimited,
            Outcome::Ok | Outcome::Degraded { .. } | Outcome::Inconclusive { .. } => false,
        };
        if is_limited && let Some(origin) = &ended.origin {
            let asked = ended.report.retry_after_seconds.map(Duration::from_secs);
            let pause = asked.unwrap_or(UNSAID);
            tracing::info!(%origin, ?pause, "the target asks for a pause");
            self.origins.told(origin, pause, now());
        }
    }

    /// A link that takes no more gets no answer: the coordinator gives up in time.
    fn answer_on_demand(&self, run: &str, found: Found) {
        let result = v1::OnDemandResult {
            run_id: run.to_owned(),
            result: Some(found),
        };
        let _ = self.says.try_send(Message::OnDemand(result));
    }
}

/// Reads a request, and makes its plan fit into the time that it has.
fn read(request: &v1::OnDemandRequest) -> Result<Asked, ConvertError> {
    let probe = request.probe.as_ref();
    let probe = probe.ok_or_else(|| ConvertError::new("probe", "is missing"))?;
    let time = Duration::from_millis(request.timeout_ms.into());
    if time.is_zero() {
        return Err(ConvertError::new("timeout_ms", "leaves no time"));
    }
    let headers = item::headers(&probe.headers)?;
    let mut plan = item::plan(probe, !headers.is_empty())?;
    plan.close_timeout = plan.close_timeout.min(time / CLOSING);
    plan.total_timeout = plan.total_timeout.min(time - plan.close_timeout);
    let way = probe.network.as_ref();
    let is_detour = way.is_some_and(|way| {
        let names = [&way.sni, &way.host, &way.ca_pem];
        !way.connect_to.is_empty() || names.iter().any(|name| !name.is_empty())
    });
    Ok(Asked {
        is_plain: !is_detour && headers.is_empty(),
        plan,
        headers,
        health: item::json("health_json", &probe.health_json)?,
        way: way::read(probe.network.as_ref())?,
    })
}

/// What is answered for a report. Who is stopped saw nothing.
fn found(report: &Report) -> Found {
    if report.outcome.reason() == Some(Reason::Cancelled) {
        return Found::Refusal(refusal(Why::Draining, "this agent is about to stop"));
    }
    match serde_json::to_vec(report) {
        Ok(json) if json.len() <= limits::MAX_REPORT_BYTES => Found::ReportJson(json),
        Ok(json) => {
            let detail = format!(
                "the report has {} bytes, more than a message takes",
                json.len()
            );
            Found::Refusal(refusal(Why::NoReport, &detail))
        }
        Err(_) => Found::Refusal(refusal(Why::NoReport, "the report cannot be written")),
    }
}

fn refusal(reason: Why, detail: &str) -> OnDemandRefusal {
    OnDemandRefusal {
        reason: reason.into(),
        detail: model::text::line(detail, limits::MAX_TEXT_BYTES),
        retry_after_ms: 0,
    }
}

#[cfg(test)]
mod tests;
