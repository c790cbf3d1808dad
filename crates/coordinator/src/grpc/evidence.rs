//! `EvidenceService`: evidence up.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use rpc::v1::evidence_service_server::EvidenceService;
use rpc::{limits, v1};
use store::Store;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Presence, identify, peer, same_protocol, turned_out};
use crate::Hub;
use crate::credentials::rejections;
use crate::fleet::{Beat, Identity};
use crate::keeper::millis;
use crate::ledger::{Delivery, LedgerError, lane_state};
use crate::tls::Shown;

/// Acknowledgements that may wait for a slow agent; then it is waited for.
const QUEUE: usize = 64;

pub(super) struct Evidence<S: Store>(pub(super) Arc<Hub<S>>);

/// One report stream.
struct Session {
    identity: Identity,
    number: u64,
    spool_epoch: u64,
    boot_id: String,
}

#[tonic::async_trait]
impl<S: Store> EvidenceService for Evidence<S> {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<v1::ReportResponse, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let who = peer(&request)?;
        let mut inbound = request.into_inner();
        let first = inbound.message().await?.and_then(|request| request.message);
        let Some(v1::report_request::Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument("hello: must come first"));
        };
        same_protocol(hello.protocol_version)?;
        let identity = identify(&self.0, &who).await?;
        let presence = Presence::begin(&self.0, &identity, &hello.agent_version)?;
        let hub = Arc::clone(&self.0);
        let unavailable = |error: store::StoreError| Status::unavailable(error.to_string());
        let spool_epoch = hub.store.spool_epoch(&identity.agent, hello.epoch).await;
        let spool_epoch = spool_epoch.map_err(unavailable)?;
        let is_known = spool_epoch == hello.epoch;
        // From now on frames of older streams are refused.
        let number = hub.fleet.new_session(&identity.agent);
        let now = tokio::time::Instant::now().into_std();
        hub.board.hello(&identity.agent, &hello.references, now);
        let states = hub
            .ledger
            .states(&hub.store, &identity.agent, spool_epoch, &hello.lanes)
            .await;
        let states = states.map_err(unavailable)?;
        if is_known {
            hub.board.gap(states.lost);
        }
        let session = Session {
            number,
            spool_epoch,
            boot_id: model::text::line(&hello.boot_id, 64),
            identity,
        };
        let opened = v1::ReportOpened {
            session: session.number,
            epoch: spool_epoch,
            lanes: states
                .lanes
                .iter()
                .map(|(lane, applied)| lane_state(*lane, applied))
                .collect(),
            credit_records: limits::CREDIT_RECORDS,
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let opened = send(&sender, v1::report_response::Message::Opened(opened)).await;
            let ended = match opened {
                Ok(()) => receive(&hub, &session, &who, inbound, &sender).await,
                Err(status) => Err(status),
            };
            if let Err(status) = ended {
                tracing::debug!(agent = %session.identity.agent, %status, "report stream");
                // One that does not read is not waited for.
                let _ = sender.try_send(Err(status));
            }
            drop(presence);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

type Sender = mpsc::Sender<Result<v1::ReportResponse, Status>>;

async fn receive<S: Store>(
    hub: &Arc<Hub<S>>,
    session: &Session,
    who: &Shown,
    mut inbound: Streaming<v1::ReportRequest>,
    sender: &Sender,
) -> Result<(), Status> {
    let mut durable = hub.store.durable();
    // Asked between messages only: one that is being applied is applied whole.
    let turned_out = turned_out(hub, who);
    tokio::pin!(turned_out);
    loop {
        let request = tokio::select! {
            biased;
            () = hub.leaving.cancelled() => {
                let go_away = v1::GoAway {
                    why: "the coordinator is shutting down".to_owned(),
                    ..Default::default()
                };
                return send(sender, v1::report_response::Message::GoAway(go_away)).await;
            }
            status = &mut turned_out => return Err(status),
            request = inbound.next() => match request {
                None => return Ok(()),
                Some(request) => request?,
            },
        };
        if !hub
            .fleet
            .is_current(&session.identity.agent, session.number)
        {
            return Err(Status::aborted(
                "session: a newer stream of this agent has taken over",
            ));
        }
        // Read together: they are one moment on two clocks.
        let received = tokio::time::Instant::now().into_std();
        let wall = telemetry::clock::wall();
        match request.message {
            Some(v1::report_request::Message::Frame(frame)) => {
                hub.fleet.heard(&session.identity.agent, None, received);
                hub.board.heard(&session.identity.agent, received);
                let (lanes, position) = apply(hub, session, frame, (received, wall)).await?;
                // Acknowledged is what would survive a crash.
                let survived = durable.wait_for(|durable| *durable >= position).await;
                survived.map_err(|_| Status::unavailable("the store is closed"))?;
                let ack = v1::ReportAck { lanes };
                send(sender, v1::report_response::Message::Ack(ack)).await?;
            }
            Some(v1::report_request::Message::Heartbeat(beat)) => {
                let agent = &session.identity.agent;
                hub.fleet.heard(agent, Some(read(&beat)), received);
                hub.board.beat(agent, &beat, received);
                hub.peering.seen(agent, &beat.peers, received);
            }
            Some(v1::report_request::Message::Hello(_)) | None => {
                return Err(Status::invalid_argument(
                    "message: a frame or a heartbeat is due",
                ));
            }
        }
    }
}

async fn apply<S: Store>(
    hub: &Arc<Hub<S>>,
    session: &Session,
    frame: v1::EvidenceFrame,
    (received, wall): (std::time::Instant, jiff::Timestamp),
) -> Result<(Vec<v1::LaneState>, store::Position), Status> {
    if frame.session != session.number {
        return Err(Status::aborted("session: the frame is of another stream"));
    }
    let delivery = Delivery {
        identity: &session.identity,
        spool_epoch: session.spool_epoch,
        boot_id: &session.boot_id,
        sent_at_us: frame.sent_at_us,
        received,
        wall,
        is_recalled: false,
    };
    // Where a target does not accept a token that should be good, it is renewed early.
    let agent = &session.identity.agent;
    for rejection in rejections::read(&frame, agent, &hub.assigned, millis(wall)) {
        hub.credentials.rejected(rejection);
    }
    let records: usize = frame.slices.iter().map(|slice| slice.records.len()).sum();
    if records > 2 * limits::FRAME_RECORDS {
        return Err(Status::invalid_argument(
            "slices: more records than a frame holds",
        ));
    }
    let mut lanes = Vec::with_capacity(frame.slices.len());
    let mut last = 0;
    for slice in frame.slices {
        let applied = hub
            .ledger
            .apply(&hub.store, &hub.board, &delivery, slice)
            .await;
        let (lane, applied, position) = applied.map_err(|error| match error {
            LedgerError::NoLane { .. } => Status::invalid_argument(error.to_string()),
            LedgerError::Refused { .. } => Status::failed_precondition(error.to_string()),
            LedgerError::Store(_) => Status::unavailable(error.to_string()),
        })?;
        lanes.push(lane_state(lane, &applied));
        last = last.max(position);
    }
    Ok((lanes, last))
}

fn read(beat: &v1::Heartbeat) -> Beat {
    let ours = telemetry::clock::wall().as_millisecond();
    #[expect(clippy::cast_precision_loss, reason = "shown in seconds")]
    let offset = beat.wall_unix_ms.saturating_sub(ours) as f64 / 1000.0;
    Beat {
        clock_offset_seconds: offset,
        spool_records: beat.spool_records,
        dropped_records: beat.dropped_records,
        spool_in_memory: beat.spool_in_memory,
        scheduler_lag_us: beat.scheduler_lag_us,
        is_draining: beat.draining,
    }
}

async fn send(sender: &Sender, message: v1::report_response::Message) -> Result<(), Status> {
    let response = v1::ReportResponse {
        message: Some(message),
    };
    let sent = sender.send(Ok(response)).await;
    sent.map_err(|_| Status::cancelled("the agent went away"))
}
