//! `EnrolmentService`: how an agent becomes a member, and stays one.

use std::sync::Arc;
use std::time::SystemTime;

use rpc::v1;
use rpc::v1::enrolment_service_server::EnrolmentService;
use store::Store;
use tonic::{Request, Response, Status};

use super::{peer, refused};
use crate::Hub;
use crate::authority::{AuthorityError, Issued};
use crate::keeper::millis;
use crate::roster;

pub(super) struct Enrolment<S: Store>(pub(super) Arc<Hub<S>>);

#[tonic::async_trait]
impl<S: Store> EnrolmentService for Enrolment<S> {
    async fn enrol(
        &self,
        request: Request<v1::EnrolRequest>,
    ) -> Result<Response<v1::EnrolResponse>, Status> {
        let hub = &self.0;
        let request = request.into_inner();
        super::same_protocol(request.protocol_version)?;
        let wall = telemetry::clock::wall();
        // Before anything is signed.
        let place = roster::holder(&hub.store, &request.token, millis(wall)).await;
        let place = place.map_err(refused)?;
        let issued = sign(hub, &place.agent, &request.certificate_request, wall.into())?;
        let member = roster::enrol(&hub.store, &request.token, &issued, millis(wall)).await;
        let place = member.map_err(refused)?.place;
        tracing::info!(agent = %place.agent, region = %place.region, provider = %place.provider, "enrolled");
        hub.roster_changes.send_modify(|revision| *revision += 1);
        Ok(Response::new(v1::EnrolResponse {
            agent_id: place.agent,
            certificate_chain: chain(&issued),
            authorities: vec![hub.authority.certificate().to_vec()],
            region: place.region,
            provider: place.provider,
            endpoints: None,
        }))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let hub = &self.0;
        let (agent, key) = peer(&request)?.agent;
        let request = request.into_inner();
        super::same_protocol(request.protocol_version)?;
        let member = roster::member(&hub.store, &agent, &key).await;
        let member = member.map_err(refused)?;
        let now = telemetry::clock::wall().into();
        let issued = sign(hub, &agent, &request.certificate_request, now)?;
        let renewed = roster::renewed(&hub.store, member, &issued).await;
        let member = renewed.map_err(refused)?;
        tracing::info!(%agent, generation = member.generation, "certificate renewed");
        Ok(Response::new(v1::RenewResponse {
            certificate_chain: chain(&issued),
            authorities: vec![hub.authority.certificate().to_vec()],
            generation: member.generation,
        }))
    }
}

fn sign<S: Store>(
    hub: &Hub<S>,
    agent: &str,
    request: &[u8],
    now: SystemTime,
) -> Result<Issued, Status> {
    hub.authority
        .agent(agent, request, now)
        .map_err(|error| match error {
            AuthorityError::Sign(error) => {
                Status::invalid_argument(format!("certificate_request: {error}"))
            }
            AuthorityError::Store(_) | AuthorityError::Damaged(_) => {
                Status::internal(error.to_string())
            }
        })
}

fn chain(issued: &Issued) -> Vec<Vec<u8>> {
    let chain = issued.chain.iter();
    chain.map(|certificate| certificate.to_vec()).collect()
}
