//! The services that agents call: status codes live here and nowhere below.

mod evidence;
mod schedule;

use std::sync::Arc;

use rpc::v1::evidence_service_server::EvidenceServiceServer;
use rpc::v1::schedule_service_server::ScheduleServiceServer;
use rpc::{PROTOCOL_VERSION, convert, limits, v1};
use store::Store;
use tokio::net::TcpListener;

use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::Hub;
use crate::fleet::Identity;

/// Serves agents until `shutdown` fires.
pub(crate) async fn serve<S: Store>(
    hub: Arc<Hub<S>>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let evidence = EvidenceServiceServer::new(evidence::Evidence(Arc::clone(&hub)))
        .max_decoding_message_size(limits::MAX_FRAME_BYTES)
        .max_encoding_message_size(limits::MAX_MESSAGE_BYTES);
    let schedule = ScheduleServiceServer::new(schedule::Schedule(hub))
        .max_decoding_message_size(limits::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(limits::MAX_MESSAGE_BYTES);
    Server::builder()
        .max_concurrent_streams(limits::MAX_STREAMS)
        .http2_keepalive_interval(Some(limits::KEEPALIVE))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .add_service(evidence)
        .add_service(schedule)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            shutdown.cancelled_owned(),
        )
        .await
}

/// Who an agent is. This build listens on loopback only, where a claim is believed.
fn identify(protocol: u32, claim: Option<&v1::AgentClaim>) -> Result<Identity, Status> {
    if protocol != PROTOCOL_VERSION {
        return Err(Status::failed_precondition(format!(
            "protocol_version: the agent speaks {protocol}, this coordinator {PROTOCOL_VERSION}; run the same release on both"
        )));
    }
    let claim = claim.ok_or_else(|| Status::unauthenticated("claim: is missing"))?;
    let id = |field, text: &str| {
        convert::id_from(field, text).map_err(|error| Status::invalid_argument(error.to_string()))
    };
    Ok(Identity {
        agent: id("agent_id", &claim.agent_id)?,
        region: id("region", &claim.region)?,
        provider: id("provider", &claim.provider)?,
    })
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
