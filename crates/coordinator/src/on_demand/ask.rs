//! One agent, asked: until it answers, is lost, or nobody waits any more.

use model::regional::{Absence, NoReport};
use model::{Report, TargetUrl};
use rpc::v1;
use rpc::v1::watch_response::Message;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{OnDemand, Waiting, answer};
use crate::Hub;
use crate::orders::Orders;

/// Asks an agent, and waits until it answers, is lost, or the time is up.
pub(super) async fn ask<S>(
    hub: &Hub<S>,
    agent: &str,
    request: &v1::OnDemandRequest,
    url: &TargetUrl,
    deadline: Instant,
) -> Result<Report, NoReport> {
    let lost = |detail: &str| NoReport::new(Absence::AgentLost, format!("{agent} {detail}"));
    let (answer, answered) = oneshot::channel();
    let asking = Asking {
        runs: &hub.on_demand,
        orders: &hub.orders,
        key: (agent.to_owned(), request.run_id.clone()),
    };
    {
        // Held while it is asked: the answer, and the end of the stream, come after.
        let mut state = hub.on_demand.lock();
        let asked = hub.orders.demand(agent, Message::OnDemand(request.clone()));
        let stream = asked.ok_or_else(|| lost("went away, or takes no orders now"))?;
        let waiting = Waiting { stream, answer };
        state.waiting.insert(asking.key.clone(), waiting);
    }
    tokio::select! {
        () = hub.leaving.cancelled() => {
            Err(NoReport::new(Absence::AgentLost, "the coordinator is about to stop"))
        }
        ended = tokio::time::timeout_at(deadline, answered) => match ended {
            Ok(Ok(result)) => answer::read(result, url),
            Ok(Err(_)) => Err(lost("lost its link before it answered")),
            Err(_) => {
                let detail = format!("{agent} did not answer in time");
                Err(NoReport::new(Absence::Timeout, detail))
            }
        },
    }
}

/// An agent that is asked. Dropped before it has answered, it is told that nobody waits.
struct Asking<'a> {
    runs: &'a OnDemand,
    orders: &'a Orders,
    key: (String, String),
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let waiting = self.runs.lock().waiting.remove(&self.key);
        if waiting.is_some() {
            let (agent, run_id) = &self.key;
            let cancel = v1::OnDemandCancel {
                run_id: run_id.clone(),
            };
            // One that is away has ended it by itself.
            let _ = self.orders.demand(agent, Message::OnDemandCancel(cancel));
        }
    }
}
