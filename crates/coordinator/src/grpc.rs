//! The services that agents call: status codes live here and nowhere below.

mod enrolment;
mod evidence;
mod schedule;

use std::sync::Arc;

use rpc::v1::enrolment_service_server::EnrolmentServiceServer;
use rpc::v1::evidence_service_server::EvidenceServiceServer;
use rpc::v1::schedule_service_server::ScheduleServiceServer;
use rpc::{PROTOCOL_VERSION, limits};
use store::Store;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Code, Request, Status};

use crate::Hub;
use crate::fleet::Identity;
use crate::roster::{self, Refusal};
use crate::tls::{Accepted, Peer, Shown};

/// Serves agents until `shutdown` fires.
pub(crate) async fn serve<S: Store>(
    hub: Arc<Hub<S>>,
    incoming: mpsc::Receiver<Accepted>,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let enrolment = EnrolmentServiceServer::new(enrolment::Enrolment(Arc::clone(&hub)))
        .max_decoding_message_size(limits::MAX_ENROLMENT_BYTES);
    let evidence = EvidenceServiceServer::new(evidence::Evidence(Arc::clone(&hub)))
        .max_decoding_message_size(limits::MAX_FRAME_BYTES)
        .max_encoding_message_size(limits::MAX_MESSAGE_BYTES);
    let schedule = ScheduleServiceServer::new(schedule::Schedule(hub))
        .max_decoding_message_size(limits::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(limits::MAX_MESSAGE_BYTES);
    let incoming = ReceiverStream::new(incoming).map(Ok::<_, std::io::Error>);
    Server::builder()
        .max_concurrent_streams(limits::MAX_STREAMS)
        .http2_keepalive_interval(Some(limits::KEEPALIVE))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .add_service(enrolment)
        .add_service(evidence)
        .add_service(schedule)
        .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
        .await
}

fn same_protocol(protocol: u32) -> Result<(), Status> {
    if protocol == PROTOCOL_VERSION {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "protocol_version: the agent speaks {protocol}, this coordinator {PROTOCOL_VERSION}; run the same release on both"
    )))
}

/// The agent that the certificate of a request names, while the certificate lasts.
fn peer<T>(request: &Request<T>) -> Result<Shown, Status> {
    let peer = request.extensions().get::<Peer>();
    let shown = peer.and_then(|peer| peer.shown.clone());
    let missing = || Status::unauthenticated("certificate: is missing; enrol with a token");
    let shown = shown.ok_or_else(missing)?;
    if shown.left(telemetry::clock::wall()).is_zero() {
        return Err(Status::unauthenticated("certificate: has expired"));
    }
    Ok(shown)
}

/// Who a verified certificate speaks for. Region and provider are those of the roster.
async fn identify<S: Store>(hub: &Hub<S>, who: &Shown) -> Result<Identity, Status> {
    let (agent, key) = &who.agent;
    let member = roster::member(&hub.store, agent, key).await;
    let (member, _) = member.map_err(refused)?;
    Ok(Identity {
        agent: member.place.agent,
        region: member.place.region,
        provider: member.place.provider,
        is_private: member.place.private,
    })
}

fn refused(refusal: Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::Unknown | Refusal::Expired | Refusal::Used => Status::unauthenticated(text),
        Refusal::NoMember(_) | Refusal::Revoked(_) | Refusal::OtherKey(_) | Refusal::Taken(_) => {
            Status::permission_denied(text)
        }
        Refusal::Store(_) | Refusal::Contended => Status::unavailable(text),
    }
}

/// Fires when the agent is a member no more, or its certificate ends.
async fn turned_out<S: Store>(hub: &Hub<S>, who: &Shown) -> Status {
    let mut changes = hub.roster_changes.subscribe();
    let ends = tokio::time::sleep(who.left(telemetry::clock::wall()));
    tokio::pin!(ends);
    loop {
        if let Err(status) = identify(hub, who).await
            && status.code() == Code::PermissionDenied
        {
            return status;
        }
        tokio::select! {
            () = &mut ends => return Status::unauthenticated("certificate: has expired"),
            changed = changes.changed() => if changed.is_err() {
                return Status::unavailable("shutting down");
            },
        }
    }
}

/// Keeps an agent connected in the fleet for as long as a stream lives.
struct Presence<S: Store> {
    hub: Arc<Hub<S>>,
    agent: String,
}

impl<S: Store> Presence<S> {
    fn begin(hub: &Arc<Hub<S>>, identity: &Identity, version: &str) -> Result<Self, Status> {
        let now = tokio::time::Instant::now().into_std();
        if !hub.fleet.joined(identity, version, now) {
            return Err(Status::resource_exhausted(
                "the fleet has no room for another agent",
            ));
        }
        Ok(Self {
            hub: Arc::clone(hub),
            agent: identity.agent.clone(),
        })
    }
}

impl<S: Store> Drop for Presence<S> {
    fn drop(&mut self) {
        self.hub.fleet.left(&self.agent);
    }
}
