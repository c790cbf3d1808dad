//! Probes on demand: a user waits for what agents see of a target now.
//!
//! What they find is for the user: it is in no window, vote or row of the store. The request, which
//! may have credentials, is nowhere but in the memory of the run and of the agents.

mod answer;
mod ask;
mod choose;
mod ration;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::monitor::FieldError;
use model::regional::{Absence, NoReport, RegionalProbe, RegionalResult};
use model::{MonitorSpec, Report};
use rpc::v1;
use schedule::{Held, Holds};
use store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::roster::{self, Place};
use crate::{Hub, planner, secret};
use ask::ask;
use choose::{Candidate, Standing};
pub(crate) use choose::{From, MAX_PER_REGION};
use ration::{Ration, Spent};

/// Runs at once, of all keys.
const MAX_RUNS: usize = 16;
/// Runs at once of one key.
const MAX_RUNS_PER_KEY: usize = 4;
/// The longest that a run may take.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);
/// What an agent's answer may take on its way, out of the time of a run.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// The part of an origin's cap that probes on demand always have, one in so many: the schedule may
/// have taken all of it.
const FLOOR: u32 = 4;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The sequence, with its credentials.
    pub(crate) spec: MonitorSpec,
    pub(crate) from: From,
    /// How long the answer may take.
    pub(crate) time: Duration,
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Fields are wrong.
    #[error("fields are wrong")]
    Fields(Vec<FieldError>),
    /// Too much at once, or within a minute.
    #[error("{why}; ask again in {} s", .after.as_secs().max(1))]
    TooMany { why: String, after: Duration },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No names for runs.
    #[error(transparent)]
    NoRandomness(#[from] secret::NoRandomness),
}

/// The runs.
#[derive(Debug, Default)]
pub(crate) struct OnDemand {
    state: Mutex<State>,
    reports: AtomicU64,
    absences: [AtomicU64; Absence::ALL.len()],
}

#[derive(Debug, Default)]
struct State {
    /// Answers that are waited for, by agent and run.
    waiting: BTreeMap<(String, String), Waiting>,
    /// How many runs each key has.
    running: BTreeMap<String, usize>,
    ration: Ration,
    /// Origins that the mesh leaves alone.
    holds: Holds,
}

#[derive(Debug)]
struct Waiting {
    /// The stream that the agent was asked on.
    stream: u64,
    answer: oneshot::Sender<v1::OnDemandResult>,
}

impl OnDemand {
    /// An agent answered. Nobody may wait for it any more.
    pub(crate) fn answered(&self, agent: &str, result: v1::OnDemandResult) {
        let key = (agent.to_owned(), result.run_id.clone());
        let waiting = self.lock().waiting.remove(&key);
        if let Some(waiting) = waiting {
            // The run may have ended at this moment.
            let _ = waiting.answer.send(result);
        }
    }

    /// A stream of an agent ended: what was asked over it is not answered.
    pub(crate) fn lost(&self, agent: &str, stream: u64) {
        let mut state = self.lock();
        let is_its =
            |key: &(String, String), waiting: &Waiting| key.0 == agent && waiting.stream == stream;
        state.waiting.retain(|key, waiting| !is_its(key, waiting));
    }

    /// The whole mesh leaves an origin alone for so long.
    pub(crate) fn hold(&self, origin: &str, pause: Duration, now: Instant) {
        self.lock().holds.hold(origin, Held::Told, pause, now);
    }

    /// How many agents gave a report, and how many did not, by why.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let words = Absence::ALL.iter().map(|word| word.as_str());
        let absences = words.zip(self.absences.iter().map(read));
        std::iter::once(("report", read(&self.reports)))
            .chain(absences)
            .collect()
    }

    fn count(&self, found: &Result<Report, NoReport>) {
        let counter = match found {
            Ok(_) => &self.reports,
            Err(no_report) => &self.absences[no_report.reason as usize],
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers of an agent are waited for.
    fn waits_for(&self, agent: &str) -> usize {
        let first = (agent.to_owned(), String::new());
        let state = self.lock();
        let of_agent = state.waiting.range(first..);
        of_agent.take_while(|((name, _), _)| name == agent).count()
    }

    /// A place for a run of this key, within what key, mesh and origin may have.
    fn admit(
        &self,
        key: &str,
        cost: (&str, u32, u32),
        now: Instant,
    ) -> Result<Running<'_>, Refused> {
        let mut state = self.lock();
        let too_many = |why: String, after| Refused::TooMany { why, after };
        let all: usize = state.running.values().sum();
        let own = state.running.get(key).copied().unwrap_or_default();
        if own >= MAX_RUNS_PER_KEY {
            let why = format!("this key has {MAX_RUNS_PER_KEY} probes on demand running");
            return Err(too_many(why, Duration::from_secs(1)));
        }
        if all >= MAX_RUNS {
            let why = format!("{MAX_RUNS} probes on demand are running");
            return Err(too_many(why, Duration::from_secs(1)));
        }
        let admitted = state.ration.admit(key, cost, now);
        admitted.map_err(|(spent, after): (Spent, _)| too_many(spent.to_string(), after))?;
        *state.running.entry(key.to_owned()).or_default() += 1;
        Ok(Running {
            runs: self,
            key: key.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run, until it is dropped.
struct Running<'a> {
    runs: &'a OnDemand,
    key: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.runs.lock();
        if let Some(count) = state.running.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                state.running.remove(&self.key);
            }
        }
    }
}

/// Probes now, and waits for what comes of it. Dropped, it ends at the agents too.
///
/// # Errors
/// Nothing was probed, and why.
pub(crate) async fn run<S: Store>(
    hub: &Hub<S>,
    key: &str,
    asked: &Asked,
) -> Result<RegionalProbe, Refused> {
    let members = members(hub).await?;
    let choices = asked.from.choose(&members).map_err(Refused::Fields)?;
    let began = tokio::time::Instant::now();
    let origin = asked.spec.url.origin();
    let to_ask = choices
        .iter()
        .filter(|choice| choice.unfit.is_none())
        .count();
    let held = hub.on_demand.lock().holds.until(&origin, began.into_std());
    let _running = if to_ask == 0 || held.is_some() {
        None // nothing is asked of anybody
    } else {
        let cost = cost(hub, &asked.spec, to_ask)?;
        let asked_at = asked_at(&asked.spec);
        let admitted = hub
            .on_demand
            .admit(key, (&asked_at, cost.0, cost.1), began.into_std());
        Some(admitted?)
    };
    let id = secret::id()?;
    let agents = to_ask;
    let shown = model::text::line(&origin, 120);
    tracing::info!(run = %id, %key, origin = %shown, agents, "probe on demand");
    let url = &asked.spec.url;
    let request = v1::OnDemandRequest {
        run_id: id.clone(),
        probe: Some(planner::probe(&asked.spec)),
        timeout_ms: millis(asked.time.saturating_sub(ON_THE_WAY)),
    };
    let started_at = telemetry::clock::wall().to_string();
    let deadline = began + asked.time;
    let pause = held.map(|until| until.saturating_duration_since(began.into_std()));
    let results = choices.into_iter().map(async |choice| {
        let found = match (&choice.agent, choice.unfit, pause) {
            (_, Some(unfit), _) => Err(unfit),
            (_, None, Some(pause)) => Err(held_back(pause)),
            (Some(place), None, None) => ask(hub, &place.agent, &request, url, deadline).await,
            (None, None, None) => Err(NoReport::new(Absence::NoAgent, "no agent can be asked")),
        };
        hub.on_demand.count(&found);
        result(choice.region, choice.agent, found)
    });
    let results = futures_util::future::join_all(results).await;
    let reports = results
        .iter()
        .filter(|result| result.report.is_some())
        .count();
    tracing::info!(run = %id, %key, reports, results = results.len(), "probed on demand");
    Ok(RegionalProbe {
        id,
        url: url.clone(),
        started_at,
        elapsed_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        results,
    })
}

fn result(region: String, place: Option<Place>, found: Result<Report, NoReport>) -> RegionalResult {
    let (report, no_report) = match found {
        Ok(report) => (Some(report), None),
        Err(no_report) => (None, Some(no_report)),
    };
    let (agent, provider) = place.map(|place| (place.agent, place.provider)).unzip();
    RegionalResult {
        region,
        agent,
        provider,
        report,
        no_report,
    }
}

fn held_back(pause: Duration) -> NoReport {
    let detail = "the target asked most agents to come back later; the mesh leaves it alone";
    let mut held = NoReport::new(Absence::Held, detail);
    held.retry_after_seconds = Some(
        pause
            .as_millis()
            .div_ceil(1000)
            .try_into()
            .unwrap_or(u64::MAX),
    );
    held
}

/// Who bears the requests: the target's origin, or where the caller leads them instead, by whatever name.
fn asked_at(spec: &MonitorSpec) -> String {
    let url = spec.url.as_url();
    let endpoint = url
        .host()
        .map(|host| host.to_owned())
        .zip(url.port_or_known_default());
    let led = endpoint.and_then(|(host, port)| {
        let mut rules = spec.connect_to.iter();
        rules.find_map(|rule| rule.apply(&host, port))
    });
    led.map_or_else(
        || spec.url.origin(),
        |(host, port)| format!("{host}:{port}"),
    )
}

/// The requests that a run makes of its origin, and how many all runs may make of it a minute: what
/// its cap leaves beside the schedule, and at least a part of the cap.
fn cost<S>(hub: &Hub<S>, spec: &MonitorSpec, agents: usize) -> Result<(u32, u32), Refused> {
    let agents = u32::try_from(agents).unwrap_or(u32::MAX);
    let requests = spec.requests_per_probe().saturating_mul(agents);
    let (cap, scheduled) = hub.loads.of(&spec.url.origin());
    let budget = cap.saturating_sub(scheduled).max(cap / FLOOR).max(1);
    if requests > budget {
        let detail = format!(
            "{agents} probes make {requests} requests, and this origin bears {budget} a minute on \
             demand; ask fewer agents, or make fewer calls"
        );
        return Err(Refused::Fields(vec![FieldError::new("/regions", detail)]));
    }
    Ok((requests, budget))
}

/// Everybody who belongs to the mesh, and how they stand.
async fn members<S: Store>(hub: &Hub<S>) -> Result<Vec<Candidate>, StoreError> {
    let now = tokio::time::Instant::now().into_std();
    let standing = |agent: &str| match hub.orders.runs_on_demand(agent) {
        None => Standing::Unfit(Absence::NoAgent, "is not connected"),
        Some(_) if !hub.fleet.is_alive(agent, now) => {
            Standing::Unfit(Absence::NoAgent, "is silent, or about to stop")
        }
        Some(_) if hub.board.fault(agent).0.is_some() => Standing::Unfit(
            Absence::NoAgent,
            "fails its self-test: what it sees says nothing",
        ),
        Some(false) => Standing::Unfit(
            Absence::NotSupported,
            "is of a release that runs no probes on demand; upgrade it",
        ),
        Some(true) => Standing::Ready(hub.on_demand.waits_for(agent)),
    };
    let members = roster::members(&hub.store).await?.into_iter();
    let members = members.filter(|member| member.revoked_at_ms.is_none());
    let candidate = |member: roster::Member| Candidate {
        standing: standing(&member.place.agent),
        place: member.place,
    };
    Ok(members.map(candidate).collect())
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
