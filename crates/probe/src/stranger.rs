//! One request without a credential, to one address: whether a replica lets strangers in.

use std::sync::Arc;

use dial::{Dialer, Endpoint};
use http::header::{USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use mcp::{ExchangeId, Head};
use model::{Outcome, Reason, Report, instance};
use tokio::sync::mpsc;

use crate::access;
use crate::exchange::{self, Outlet, What};
use crate::job::Job;
use crate::link::Link;

/// Events that may wait to be looked at.
const EVENT_QUEUE: usize = 16;
/// Lines of `WWW-Authenticate` that are looked at.
const MAX_CHALLENGES: usize = 4;

/// What an address does with strangers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wall {
    /// Whether it turns them away; nothing where its answer does not tell.
    pub(crate) is_there: Option<bool>,
    /// The resource metadata that its challenge names (RFC 9728 §5.1), escaped and cut.
    pub(crate) metadata: Option<String>,
}

impl Wall {
    /// What the probe of an address saw that was made without a credential.
    pub(crate) fn of_probe(report: &Report, challenges: &[String]) -> Self {
        let is_there = match (&report.outcome, report.outcome.reason()) {
            (_, Some(Reason::AuthRequired | Reason::AuthMalformed)) => Some(true),
            (Outcome::Ok | Outcome::Degraded { .. }, _) => Some(false),
            (Outcome::Failed(_) | Outcome::Inconclusive { .. }, _) => None,
        };
        Self {
            is_there,
            metadata: metadata(challenges),
        }
    }

    /// What an answer to a stranger says. A wall stands before what is behind it: whatever else the
    /// server has to say of the request, it read it.
    fn of(head: &Head) -> Self {
        let is_there = match head.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(true),
            StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE => Some(false),
            status => status.is_success().then_some(false),
        };
        let lines = head.headers.get_all(WWW_AUTHENTICATE).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let lines: Vec<String> = lines.take(MAX_CHALLENGES).map(str::to_owned).collect();
        Self {
            is_there,
            metadata: metadata(&lines),
        }
    }
}

fn metadata(challenges: &[String]) -> Option<String> {
    let named = access::read(challenges).resource_metadata?;
    Some(model::text::line(&named, instance::MAX_NAME))
}

/// Asks an address what any client could ask first, without anything of the user's: which of the
/// headers are credentials nobody knows.
pub(crate) async fn ask(dialer: &Dialer, job: &Job, endpoint: Endpoint) -> Wall {
    let (headers, body) = access::opening(&job.plan);
    let request = mcp::Request {
        method: Method::POST,
        url: job.plan.url.as_url().clone(),
        headers,
        body: body.into_bytes(),
    };
    let mut own = HeaderMap::new();
    own.insert(USER_AGENT, job.contact.user_agent());
    let link = Link::new(dialer.clone(), endpoint, job.origin, job.alpn, &job.network);
    let (outlet, mut events) = mpsc::channel(EVENT_QUEUE);
    let outlet = Outlet::new(ExchangeId::BESIDE, outlet);
    let exchange = exchange::run(Arc::new(link), request, Arc::new(own), outlet);
    let mut exchange = std::pin::pin!(exchange);
    let mut is_over = false;
    let answered = async {
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event?.what {
                    What::Head(head) => return Some(head),
                    What::Phase(_) | What::Chunk(_) | What::End | What::Failed(_) => {}
                },
                // What it told before its end is still to be read.
                () = &mut exchange, if !is_over => is_over = true,
            }
        }
    };
    let answered = tokio::time::timeout(job.plan.step_timeout, answered).await;
    let head = answered.ok().flatten();
    head.as_ref().map(Wall::of).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_tells_is_told() {
        let wall = |status: u16, challenge: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, challenge.parse().unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            Wall::of(&Head { status, headers })
        };
        let named = "Bearer resource_metadata=\"https://h/.well-known/x\"";
        let walled = wall(401, named);
        assert_eq!(walled.is_there, Some(true));
        assert_eq!(walled.metadata.as_deref(), Some("https://h/.well-known/x"));
        let table = [
            (403, Some(true)),
            (200, Some(false)),
            (400, Some(false)),
            (404, Some(false)),
            (429, None),
            (503, None),
            (302, None),
        ];
        for (status, is_there) in table {
            assert_eq!(wall(status, "Basic").is_there, is_there, "{status}");
        }
    }
}
