//! The link to the coordinator: two streams, opened again for ever.

mod channel;
mod pause;

use std::sync::Arc;
use std::time::Duration;

use rpc::v1::enrolment_service_client::EnrolmentServiceClient;
use rpc::v1::evidence_service_client::EvidenceServiceClient;
use rpc::v1::schedule_service_client::ScheduleServiceClient;
use rpc::{PROTOCOL_VERSION, limits, v1};
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::config::Config;
use crate::identity::{Given, Identity, IdentityError};
use channel::CONNECT;
pub(crate) use channel::{Route, connect};
use pause::asked_pause;
pub(crate) use pause::pause;

/// Requests that may wait for a stream; then the core waits.
const QUEUE: usize = 16;
/// How long to wait before a certificate is asked for again.
const RENEW_AGAIN: Duration = Duration::from_secs(600);
/// A link that held for so long was healthy: the next failure begins anew.
const HEALTHY: Duration = Duration::from_secs(60);

/// What the link tells the core.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// Evidence can be handed in.
    Opened {
        /// Which spool of the process it was opened for.
        life: u64,
        opened: v1::ReportOpened,
        requests: mpsc::Sender<v1::ReportRequest>,
    },
    Ack(v1::ReportAck),
    Snapshot(v1::ScheduleSnapshot),
    Delta(v1::ScheduleDelta),
    /// A monitor is to be probed at once.
    Confirm(v1::ConfirmationRequest),
    /// Targets that asked others for a pause.
    Hold(v1::Hold),
    /// A probe that somebody waits for.
    OnDemand(Box<v1::OnDemandRequest>),
    /// Nobody waits for the probe of this run any more.
    OnDemandCancel(String),
    /// Other agents, for path probes.
    Peers(v1::PeerList),
    /// The coordinator wants the tools that a target lists.
    Surface(v1::SurfaceRequest),
    /// The link is gone, and is being opened again.
    Down,
    /// The coordinator knows the agent no more: its schedule holds no longer.
    TurnedOut,
}

/// What the agent says of its spool when it opens a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    /// Which spool of the process: another begins when the disk fails.
    pub(crate) life: u64,
    /// The epoch that a coordinator gave to it; 0 for none.
    pub(crate) epoch: u64,
    /// Where its lanes begin.
    pub(crate) lanes: Vec<v1::LaneStart>,
}

/// The parts of the link that stay the same over reconnects.
pub(crate) struct Link {
    pub(crate) config: Arc<Config>,
    /// Who the agent is; renewed in time.
    pub(crate) identity: Identity,
    pub(crate) route: Route,
    pub(crate) boot_id: String,
    /// Where other agents may measure the path to this one; 0 for nowhere.
    pub(crate) peer_port: u16,
    /// What the spool is: read once for each stream.
    pub(crate) claimed: watch::Receiver<Claim>,
    /// The core wants another stream: its spool is another.
    pub(crate) relink: Arc<Notify>,
    /// What the core has to say over the watch stream.
    pub(crate) says: mpsc::Receiver<v1::watch_request::Message>,
    pub(crate) events: mpsc::Sender<LinkEvent>,
    /// The pause that the coordinator asked for when it left, milliseconds.
    pub(crate) asked_pause_ms: u32,
}

impl Link {
    /// Keeps the link open until `shutdown` fires.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut failures = 0_u32;
        let named = &self.config.coordinators;
        let coordinators = if named.is_empty() {
            self.identity.coordinators().to_vec()
        } else {
            named.clone()
        };
        for coordinator in coordinators.iter().cycle() {
            let begun = tokio::time::Instant::now();
            let ended = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                ended = self.hold(coordinator) => ended,
            };
            let event = if ended.code() == Code::PermissionDenied {
                let why = model::text::line(ended.message(), 300);
                tracing::error!(%why, "the coordinator turns this agent out");
                LinkEvent::TurnedOut
            } else {
                LinkEvent::Down
            };
            if self.events.send(event).await.is_err() {
                return;
            }
            failures = if begun.elapsed() >= HEALTHY {
                1
            } else {
                failures.saturating_add(1)
            };
            let asked = std::mem::take(&mut self.asked_pause_ms);
            let asked = asked_pause(asked, fastrand::f64());
            let pause = pause(failures, fastrand::f64()).max(asked);
            tracing::info!(%coordinator, reason = %ended, ?pause, "link down");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Opens the link and holds it; why it ended.
    async fn hold(&mut self, coordinator: &str) -> Status {
        match self.try_hold(coordinator).await {
            Ok(()) => Status::ok("the coordinator closed the stream"),
            Err(status) => status,
        }
    }

    async fn try_hold(&mut self, coordinator: &str) -> Result<(), Status> {
        let tls = self.identity.tls();
        let tls = tls.map_err(|error| Status::internal(error.to_string()))?;
        let channel = connect(&self.route, coordinator, &Arc::new(tls)).await?;
        let (watch_requests, mut schedules) = self.watch(channel.clone()).await?;
        let claim = self.claimed.borrow_and_update().clone();
        let life = claim.life;
        let (report_requests, mut acks) = self.report(channel.clone(), claim).await?;
        tracing::info!(%coordinator, "link up");
        let renewal = tokio::time::sleep(self.renew_in());
        tokio::pin!(renewal);
        loop {
            tokio::select! {
                () = &mut renewal => {
                    let pause = match self.renew(channel.clone()).await {
                        Ok(()) => self.renew_in().max(RENEW_AGAIN),
                        Err(status) => {
                            tracing::warn!(%status, "the certificate is not renewed yet");
                            RENEW_AGAIN
                        }
                    };
                    renewal.as_mut().reset(tokio::time::Instant::now() + pause);
                }
                () = self.relink.notified() => {
                    return Err(Status::aborted("the spool is another now"));
                }
                message = acks.message() => {
                    let Some(message) = message?.and_then(|response| response.message) else {
                        return Ok(());
                    };
                    self.report_message(life, message, &report_requests).await?;
                }
                message = schedules.message() => {
                    let Some(message) = message?.and_then(|response| response.message) else {
                        return Ok(());
                    };
                    self.watch_message(message).await?;
                }
                Some(message) = self.says.recv() => {
                    let message = Some(message);
                    let sent = watch_requests.send(v1::WatchRequest { message }).await;
                    sent.map_err(|_| Status::unavailable("the watch stream is closed"))?;
                }
            }
        }
    }

    /// How long until the certificate should be renewed.
    fn renew_in(&self) -> Duration {
        let wall = telemetry::clock::wall().as_millisecond();
        let wall = Duration::from_millis(u64::try_from(wall).unwrap_or_default());
        self.identity.renew_in(wall, fastrand::f64())
    }

    /// Gets a new certificate for the same key. The link that is up stays; the next one uses it.
    async fn renew(&mut self, channel: Channel) -> Result<(), Status> {
        let unfit = |error: IdentityError| Status::internal(error.to_string());
        let request = v1::RenewRequest {
            protocol_version: PROTOCOL_VERSION,
            certificate_request: self.identity.request().map_err(unfit)?,
            generation: self.identity.generation(),
        };
        let mut request = tonic::Request::new(request);
        request.set_timeout(CONNECT);
        let response = EnrolmentServiceClient::new(channel).renew(request).await?;
        let response = response.into_inner();
        let mut renewed = self.identity.clone();
        renewed.take(&Given {
            chain: response.certificate_chain,
            authorities: response.authorities,
            generation: response.generation,
        });
        renewed.tls().map_err(unfit)?;
        if let Some(folder) = &self.config.state_dir
            && let Err(error) = renewed.save(folder)
        {
            // It holds for this life, and the one before for the next.
            tracing::error!(%error, "the renewed certificate cannot be kept");
        }
        self.identity = renewed;
        tracing::info!(
            generation = self.identity.generation(),
            "certificate renewed"
        );
        Ok(())
    }

    async fn watch(
        &self,
        channel: Channel,
    ) -> Result<(mpsc::Sender<v1::WatchRequest>, Streaming<v1::WatchResponse>), Status> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let hello = v1::WatchHello {
            protocol_version: PROTOCOL_VERSION,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.boot_id.clone(),
            have_revision: 0,
            claim: None,
            runs_on_demand: true,
            peer_port: self.peer_port.into(),
        };
        let message = Some(v1::watch_request::Message::Hello(hello));
        // A fresh queue has room.
        let _ = sender.try_send(v1::WatchRequest { message });
        let mut client = ScheduleServiceClient::new(channel)
            .max_decoding_message_size(limits::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(limits::MAX_MESSAGE_BYTES);
        let stream = client
            .watch(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        Ok((sender, stream))
    }

    async fn report(
        &self,
        channel: Channel,
        claim: Claim,
    ) -> Result<
        (
            mpsc::Sender<v1::ReportRequest>,
            Streaming<v1::ReportResponse>,
        ),
        Status,
    > {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let hello = v1::ReportHello {
            protocol_version: PROTOCOL_VERSION,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.boot_id.clone(),
            epoch: claim.epoch,
            claim: None,
            lanes: claim.lanes,
            references: self.config.canaries.clone(),
        };
        let message = Some(v1::report_request::Message::Hello(hello));
        let _ = sender.try_send(v1::ReportRequest { message });
        let mut client = EvidenceServiceClient::new(channel)
            .max_decoding_message_size(limits::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(limits::MAX_FRAME_BYTES);
        let stream = client
            .report(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        Ok((sender, stream))
    }

    async fn report_message(
        &mut self,
        life: u64,
        message: v1::report_response::Message,
        requests: &mpsc::Sender<v1::ReportRequest>,
    ) -> Result<(), Status> {
        let event = match message {
            v1::report_response::Message::Opened(opened) => LinkEvent::Opened {
                life,
                opened,
                requests: requests.clone(),
            },
            v1::report_response::Message::Ack(ack) => LinkEvent::Ack(ack),
            v1::report_response::Message::GoAway(go_away) => return Err(self.left(&go_away)),
            v1::report_response::Message::NotOwner(elsewhere) => {
                let endpoint = model::text::line(&elsewhere.endpoint, 80);
                return Err(Status::unavailable(format!(
                    "the lane is owned by {endpoint}"
                )));
            }
        };
        self.tell(event).await
    }

    async fn watch_message(&mut self, message: v1::watch_response::Message) -> Result<(), Status> {
        let event = match message {
            v1::watch_response::Message::Snapshot(snapshot) => LinkEvent::Snapshot(snapshot),
            v1::watch_response::Message::Delta(delta) => LinkEvent::Delta(delta),
            v1::watch_response::Message::GoAway(go_away) => return Err(self.left(&go_away)),
            v1::watch_response::Message::Confirm(request) => LinkEvent::Confirm(request),
            v1::watch_response::Message::Hold(hold) => LinkEvent::Hold(hold),
            v1::watch_response::Message::Surface(request) => LinkEvent::Surface(request),
            v1::watch_response::Message::OnDemand(request) => {
                LinkEvent::OnDemand(Box::new(request))
            }
            v1::watch_response::Message::OnDemandCancel(cancel) => {
                LinkEvent::OnDemandCancel(cancel.run_id)
            }
            v1::watch_response::Message::Peers(list) => LinkEvent::Peers(list),
            // Of no use to an agent that has no second endpoint yet.
            v1::watch_response::Message::Endpoints(_) => return Ok(()),
        };
        self.tell(event).await
    }

    async fn tell(&self, event: LinkEvent) -> Result<(), Status> {
        let told = self.events.send(event).await;
        told.map_err(|_| Status::cancelled("the agent is stopping"))
    }

    fn left(&mut self, go_away: &v1::GoAway) -> Status {
        self.asked_pause_ms = go_away.retry_after_ms;
        Status::unavailable(model::text::line(&go_away.why, 120))
    }
}
