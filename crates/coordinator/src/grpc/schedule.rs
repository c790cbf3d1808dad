//! `ScheduleService`: schedules down.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use model::MonitorId;
use prost::Message as _;
use rpc::v1::schedule_service_server::ScheduleService;
use rpc::v1::watch_request::Message;
use rpc::{limits, v1};
use store::Store;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Presence, identify, peer, same_protocol, turned_out};
use crate::Hub;
use crate::credentials::wall;
use crate::fleet::Identity;
use crate::planner::{self, Plan};

/// Messages that may wait for a slow agent; then it is waited for.
const QUEUE: usize = 8;
/// An agent that hears nothing for so long stops probing.
const LEASE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long an agent should wait before it connects again to a coordinator that restarts.
const COME_BACK: Duration = Duration::from_secs(1);

pub(super) struct Schedule<S: Store>(pub(super) Arc<Hub<S>>);

#[tonic::async_trait]
impl<S: Store> ScheduleService for Schedule<S> {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let who = peer(&request)?;
        let mut inbound = request.into_inner();
        let first = inbound.message().await?.and_then(|request| request.message);
        let Some(Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument("hello: must come first"));
        };
        same_protocol(hello.protocol_version)?;
        let identity = identify(&self.0, &who).await?;
        let presence = Presence::begin(&self.0, &identity, &hello.agent_version)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let hub = Arc::clone(&self.0);
        tokio::spawn(async move {
            let runs_on_demand = hello.runs_on_demand;
            let (stream, orders) = hub.orders.open(&identity.agent, runs_on_demand);
            // After that: whom it is told comes over the stream.
            let (now, (_, key)) = (tokio::time::Instant::now(), &who.agent);
            let at = (who.address, hello.peer_port);
            hub.peering.joined(&identity, *key, at, now.into_std());
            let ended = tokio::select! {
                ended = follow(&hub, &identity, inbound, orders, &sender) => ended,
                status = turned_out(&hub, &who) => Err(status),
            };
            hub.orders.close(&identity.agent, stream);
            hub.on_demand.lost(&identity.agent, stream);
            let now = tokio::time::Instant::now().into_std();
            hub.peering.left(&identity.agent, now);
            if let Err(status) = ended {
                tracing::warn!(agent = %identity.agent, %status, "watch stream");
                // The agent learns why, if it listens.
                let _ = sender.try_send(Err(status));
            }
            drop(presence);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

type Sender = mpsc::Sender<Result<v1::WatchResponse, Status>>;

async fn follow<S: Store>(
    hub: &Arc<Hub<S>>,
    identity: &Identity,
    mut inbound: Streaming<v1::WatchRequest>,
    mut orders: mpsc::Receiver<v1::watch_response::Message>,
    sender: &Sender,
) -> Result<(), Status> {
    let mut changes = hub.changes.subscribe();
    let mut tokens = hub.credentials.subscribe();
    let mut token = *tokens.borrow_and_update();
    let mut revision = *changes.borrow_and_update();
    let mut sent = plan(hub, identity).await?;
    snapshot(&sent, revision, sender).await?;
    loop {
        tokio::select! {
            biased;
            () = hub.leaving.cancelled() => {
                let go_away = v1::GoAway {
                    retry_after_ms: u32::try_from(COME_BACK.as_millis()).unwrap_or_default(),
                    why: "the coordinator is shutting down".to_owned(),
                    ..Default::default()
                };
                return send(sender, v1::watch_response::Message::GoAway(go_away)).await;
            }
            order = orders.recv() => {
                // A newer stream of the agent has taken over.
                let superseded = || Status::aborted("a newer stream of this agent has taken over");
                send(sender, order.ok_or_else(superseded)?).await?;
            }
            changed = changes.changed() => {
                changed.map_err(|_| Status::unavailable("shutting down"))?;

                let at = *changes.borrow_and_update();
                let new = plan(hub, identity).await?;
                let (upserts, removed) = planner::delta(&sent, &new);
                sent = new;
                if upserts.is_empty() && removed.is_empty() {
                    continue; // not of this agent's region
                }
                let from = revision;
                revision = at;
                deltas(from, revision, parts(upserts), removed, sender).await?;
            }
            changed = tokens.changed() => {
                changed.map_err(|_| Status::unavailable("shutting down"))?;
                // First: what comes in between is sent twice, and not never.
                let at = *tokens.borrow_and_update();
                let renewed = hub.credentials.renewed_since(token);
                token = at;
                let upserts = redressed(hub, identity, &mut sent, renewed).await?;
                deltas(revision, revision, parts(upserts), Vec::new(), sender).await?;
            }
            message = inbound.next() => match message {
                None => return Ok(()),
                Some(Err(status)) => return Err(status),
                Some(Ok(request)) => note(hub, identity, request).await,
            },
        }
    }
}

async fn plan<S: Store>(hub: &Hub<S>, identity: &Identity) -> Result<Plan, Status> {
    let at = since_epoch();
    let plan = planner::plan(&hub.store, &hub.assigned, &hub.loads, identity, at).await;
    let mut plan = plan.map_err(|error| Status::unavailable(error.to_string()))?;
    hub.credentials
        .dress(&mut plan, &identity.agent, &hub.assigned);
    Ok(plan)
}

/// The coordinator's clock.
fn since_epoch() -> Duration {
    let since_epoch = telemetry::clock::wall().duration_since(jiff::Timestamp::UNIX_EPOCH);
    Duration::try_from(since_epoch).unwrap_or_default()
}

/// The items of this agent whose token is another now; nothing else of its plan is looked at.
async fn redressed<S: Store>(
    hub: &Hub<S>,
    identity: &Identity,
    sent: &mut Plan,
    renewed: Vec<MonitorId>,
) -> Result<Vec<v1::ScheduleItem>, Status> {
    let mut new = Plan::new();
    for id in renewed.into_iter().filter(|id| sent.contains_key(id)) {
        let item = planner::one(&hub.store, &hub.loads, identity, &id, since_epoch()).await;
        let item = item.map_err(|error| Status::unavailable(error.to_string()))?;
        new.extend(item.map(|item| (id, item)));
    }
    hub.credentials
        .dress(&mut new, &identity.agent, &hub.assigned);
    let (upserts, _) = planner::delta(sent, &new);
    sent.extend(new);
    Ok(upserts)
}

/// A snapshot of what fits into one message, and the rest as deltas of the same revision.
async fn snapshot(plan: &Plan, revision: u64, sender: &Sender) -> Result<(), Status> {
    let mut parts = parts(plan.values().cloned().collect()).into_iter();
    let snapshot = v1::ScheduleSnapshot {
        revision,
        items: parts.next().unwrap_or_default(),
        lease_seconds: u32::try_from(LEASE.as_secs()).unwrap_or(u32::MAX),
        more: parts.len() > 0,
    };
    send(sender, v1::watch_response::Message::Snapshot(snapshot)).await?;
    deltas(revision, revision, parts.collect(), Vec::new(), sender).await
}

/// Items in parts that fit into a message each.
fn parts(items: Vec<v1::ScheduleItem>) -> Vec<Vec<v1::ScheduleItem>> {
    let mut parts: Vec<Vec<v1::ScheduleItem>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.encoded_len();
        let fits = parts.last().is_some_and(|part| {
            part.len() < limits::MAX_ITEMS && bytes + size <= limits::SCHEDULE_BYTES
        });
        if !fits {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.push(item);
        }
    }
    parts
}

async fn deltas(
    from: u64,
    to: u64,
    mut parts: Vec<Vec<v1::ScheduleItem>>,
    removed: Vec<String>,
    sender: &Sender,
) -> Result<(), Status> {
    if parts.is_empty() && removed.is_empty() {
        return Ok(());
    }
    if parts.is_empty() {
        parts.push(Vec::new());
    }
    let (mut from_revision, mut removed) = (from, Some(removed));
    let mut parts = parts.into_iter();
    while let Some(upserts) = parts.next() {
        let delta = v1::ScheduleDelta {
            from_revision,
            revision: to,
            upserts,
            removed_monitor_ids: removed.take().unwrap_or_default(),
            more: parts.len() > 0,
        };
        from_revision = to;
        send(sender, v1::watch_response::Message::Delta(delta)).await?;
    }
    Ok(())
}

async fn send(sender: &Sender, message: v1::watch_response::Message) -> Result<(), Status> {
    let response = v1::WatchResponse {
        message: Some(message),
    };
    let sent = sender.send(Ok(response)).await;
    sent.map_err(|_| Status::cancelled("the agent went away"))
}

async fn note<S: Store>(hub: &Hub<S>, identity: &Identity, request: v1::WatchRequest) {
    let now = tokio::time::Instant::now().into_std();
    hub.fleet.heard(&identity.agent, None, now);
    hub.board.heard(&identity.agent, now);
    match request.message {
        Some(Message::WallLook(look)) => wall::handle(hub, identity, look).await,
        Some(Message::OnDemand(result)) => hub.on_demand.answered(&identity.agent, result),
        Some(Message::Result(result)) => {
            for item in result.rejected.iter().take(limits::MAX_ITEMS) {
                tracing::warn!(
                    agent = %identity.agent,
                    monitor = %model::text::line(&item.monitor_id, 64),
                    problem = %model::text::line(&item.problem, 200),
                    "the agent rejects a monitor"
                );
            }
        }
        // The first message was one, and more say nothing.
        Some(Message::Hello(_)) | None => {}
    }
}
