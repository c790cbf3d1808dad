//! What the answer to each step means.

use std::time::Instant;

use http::HeaderValue;
use model::target::MAX_URL_BYTES;
use model::{CheckId, Era, Reason, Revision, Step, Transport};
use serde_json::Value;

use super::Sequence;
use crate::exchange::{Command, Head};
use crate::jsonrpc::{Message, Response, RpcError};
use crate::limits::{MAX_SESSION_ID_BYTES, MAX_SESSIONS};
use crate::negotiate::{self, Discovered, Refused};
use crate::refusal::{self, Situation};
use crate::reply::{self, Fault, Reply};
use crate::{results, sse};

impl Sequence {
    /// The running request has a complete answer.
    pub(super) fn replied(&mut self, mut reply: Reply, now: Instant) {
        let Some(running) = self.running.as_mut() else {
            return;
        };
        let step = running.step;
        if reply.head.is_success() {
            self.findings.pass(CheckId::HttpStatus);
            self.findings.pass(CheckId::HttpRedirect);
        }
        match step {
            Step::Close => return self.delete_answered(&reply, now),
            Step::Discover => return self.discover_answered(reply, now),
            Step::Initialize if !is_result(&reply) && self.awaits_no_stream() => {
                return self.initialize_refused(&reply, now);
            }
            Step::Stream
            | Step::Initialize
            | Step::Initialized
            | Step::Ping
            | Step::ToolsList
            | Step::ToolsCall => {}
        }
        if step == Step::Ping && !reply.head.is_success() {
            let unknown = refused_with(&reply).filter(|error| error.code == Some(-32601));
            if let Some(error) = unknown.cloned() {
                return self.error_answered(step, &error, now);
            }
        }
        if !reply.head.is_success() {
            let fault = refusal::of_status(&reply, self.situation(step));
            if fault.reason == Reason::AuthRequired || fault.reason == Reason::AuthMalformed {
                self.check_challenge(&reply, step);
            }

            self.fail(fault, now);
            return;
        }
        if step == Step::Initialized {
            self.check_accepted(&reply);
            self.succeed(None, now);
            self.advance(step, now);
        } else if let Some(response) = reply.response.take() {
            self.answered(response, now);
        } else if self.dialect.transport == Transport::HttpSse {
            // The message was taken; its answer comes on the event stream.
            let open = self.running.as_mut().filter(|running| running.is_open);
            if let Some(running) = open {
                running.is_open = false;
                self.commands.push_back(Command::Release(running.exchange));
            }
        }
    }

    /// The running step has its JSON-RPC response.
    fn answered(&mut self, response: Response, now: Instant) {
        let Some(running) = self.running.as_mut() else {
            return;
        };
        let step = running.step;
        let result = match response.outcome {
            Ok(result) => result,
            Err(error) => {
                running.rpc_code = error.code;
                return self.error_answered(step, &error, now);
            }
        };
        self.check_stateless();
        match self.read_result(step, &result) {
            Ok(Next::Page(cursor)) => {
                self.release(now);
                self.again(Some(cursor));
            }
            Ok(Next::Done(detail)) => {
                self.succeed(detail, now);
                self.advance(step, now);
            }
            Err(fault) => self.fail(fault, now),
        }
    }

    fn read_result(&mut self, step: Step, result: &Value) -> Result<Next, Fault> {
        match step {
            Step::Initialize => {
                let facts = results::initialize(result, &mut self.findings)?;
                self.fallback = None;
                self.dialect.revision = Some(facts.revision);
                self.announces_tools = facts.announces_tools;
                self.findings.server = facts.server;
                self.agree(Era::Legacy, facts.revision);
                self.findings.pass(CheckId::InitVersionEcho);
            }
            Step::Ping => {
                let empty = result.as_object().is_some_and(serde_json::Map::is_empty);
                self.findings
                    .demand(empty, CheckId::PingOk, step, "the result is not `{}`");
                if self.dialect.era == Era::Legacy {
                    self.findings.pass(CheckId::SessStable);
                }
            }
            Step::ToolsList => {
                let next = self
                    .tools
                    .page(result, self.dialect.era, &mut self.findings)?;
                if let Some(cursor) = next {
                    return Ok(Next::Page(cursor));
                }
                results::capability(self.announces_tools, true, &mut self.findings);
                self.findings.tools = u32::try_from(self.tools.count).ok();
                return Ok(Next::Done(Some(self.tools.summary())));
            }
            Step::ToolsCall => {
                results::call(result, self.dialect.era, &mut self.findings).map_err(
                    |mut fault| {
                        // Some SDKs answer an unknown tool with isError instead of -32602.
                        if fault.reason == Reason::ToolError && self.calls_unlisted_tool() {
                            fault.reason = Reason::ToolMissing;
                        }
                        fault
                    },
                )?;
                self.next_call += 1;
            }
            Step::Stream | Step::Discover | Step::Initialized | Step::Close => {}
        }
        Ok(Next::Done(None))
    }

    fn error_answered(&mut self, step: Step, error: &RpcError, now: Instant) {
        let detail = refusal::describe_error(error);
        if step == Step::Ping {
            // The server is alive and says so; that it does not know ping is a note.
            self.findings.violate(CheckId::PingOk, step, &detail);
            self.succeed(Some(detail), now);
            self.advance(step, now);
            return;
        }
        if step == Step::ToolsList {
            results::capability(self.announces_tools, false, &mut self.findings);
        }
        if let Some(code) = error.code.filter(|_| self.dialect.era == Era::Modern) {
            // -32002 was retired; the range is reserved, and three of it are defined.
            let undefined = matches!(code, -32099..=-32023 | -32002);
            let detail = format!("error code {code}");
            self.findings
                .demand(!undefined, CheckId::RpcReservedCode, step, detail);
        }
        let fault = if error.code == Some(-32602) && self.calls_unlisted_tool() {
            Fault::new(Reason::ToolMissing, CheckId::CallIsError, detail)
        } else {
            let reason = refusal::of_error(error, self.situation(step));
            let check = match (step, reason) {
                (Step::ToolsCall, _) => CheckId::CallIsError,
                (_, Reason::McpSessionLost) => CheckId::SessStable,
                _ => CheckId::RpcNoError,
            };
            Fault::new(reason, check, detail)
        };
        self.fail(fault, now);
    }

    fn calls_unlisted_tool(&self) -> bool {
        let call = self.plan.calls.get(self.next_call);
        let is_listed = |name: &String| self.tools.names.contains(name);
        // Only a complete list can tell that a tool is not in it.
        self.findings.tools.is_some() && call.is_some_and(|call| !is_listed(&call.name))
    }

    fn discover_answered(&mut self, reply: Reply, now: Instant) {
        let step = Step::Discover;
        let found = negotiate::of_discover(&reply);
        if let Some(running) = self.running.as_mut() {
            let error = reply
                .response
                .as_ref()
                .and_then(|r| r.outcome.as_ref().err());
            running.rpc_code = error.and_then(|error| error.code);
        }
        match found {
            Discovered::Modern(revision) => {
                let Some(Ok(result)) = reply.response.map(|response| response.outcome) else {
                    return;
                };
                match results::discover(&result, &mut self.findings) {
                    Ok(facts) => {
                        self.check_stateless();
                        self.announces_tools = facts.announces_tools;
                        self.findings.server = facts.server;
                        self.findings.pass(CheckId::EraAnswered);
                        self.agree(Era::Modern, revision);
                        self.succeed(None, now);
                        self.advance(step, now);
                    }
                    Err(fault) => self.fail(fault, now),
                }
            }
            Discovered::AskAgain(revision) if !self.asked_again => {
                self.asked_again = true;
                self.dialect.revision = Some(revision);
                self.release(now);
                self.again(None);
            }
            Discovered::Legacy(revision) if self.plan.era == model::EraPolicy::Auto => {
                self.findings.pass(CheckId::EraAnswered);
                self.offered = revision;
                self.succeed(Some("legacy server".to_owned()), now);
                self.become_legacy(Discovered::Legacy(revision), now);
            }
            Discovered::Unclear if self.may_change_era() => {
                let fault = refusal::of_status(&reply, self.situation(step));
                self.findings
                    .violate(CheckId::EraAnswered, step, &fault.detail);
                let phase = model::Phase::Receive;
                let failure = model::Failure {
                    step,
                    phase,
                    reason: fault.reason,
                };
                self.end_step(Some(fault.reason), Some(fault.detail.clone()), now);
                self.fallback = Some((failure, fault));
                self.become_legacy(Discovered::Unclear, now);
            }
            Discovered::AskAgain(_)
            | Discovered::Legacy(_)
            | Discovered::ModernRefused
            | Discovered::ModernUnknown
            | Discovered::Silent
            | Discovered::Unclear => self.discover_failed(&reply, &found, now),
        }
    }

    fn discover_failed(&mut self, reply: &Reply, found: &Discovered, now: Instant) {
        let mut fault = if reply.head.is_success() {
            match refused_with(reply) {
                Some(error) if *found == Discovered::ModernRefused => Fault::new(
                    refusal::of_error(error, self.situation(Step::Discover)),
                    CheckId::RpcNoError,
                    refusal::describe_error(error),
                ),
                error => Fault::new(
                    Reason::McpVersionUnsupported,
                    CheckId::DiscVersionListed,
                    error.map_or_else(
                        || "no revision in common".to_owned(),
                        refusal::describe_error,
                    ),
                ),
            }
        } else {
            refusal::of_status(reply, self.situation(Step::Discover))
        };
        if matches!(found, Discovered::Legacy(_) | Discovered::ModernUnknown) {
            fault.reason = Reason::McpVersionUnsupported;
            if matches!(found, Discovered::Legacy(_)) {
                fault.detail = format!("the server speaks the legacy era: {}", fault.detail);
            }
        }
        if matches!(fault.reason, Reason::AuthRequired | Reason::AuthMalformed) {
            self.check_challenge(reply, Step::Discover);
        }
        self.fail(fault, now);
    }

    /// The modern way led nowhere: go on with the legacy handshake.
    pub(super) fn become_legacy(&mut self, found: Discovered, now: Instant) {
        self.plan.known = None;
        self.dialect.era = Era::Legacy;
        self.dialect.revision = None;
        if let Discovered::Legacy(revision) = found {
            self.offered = revision;
        }
        self.start(Step::Initialize, now);
    }

    fn initialize_refused(&mut self, reply: &Reply, now: Instant) {
        let step = Step::Initialize;
        let is_auto = self.plan.era == model::EraPolicy::Auto;
        let fault = self.initialize_fault(reply);
        match negotiate::of_initialize(reply, self.offered) {
            Refused::SwitchToModern if is_auto && !self.asked_again => {
                self.asked_again = true;
                self.fallback = None;
                self.succeed(Some("modern server".to_owned()), now);
                self.plan.known = None;
                self.dialect.era = Era::Modern;
                self.dialect.session = None;
                self.dialect.revision = Some(Revision::NEWEST_MODERN);
                self.start(Step::Discover, now);
            }
            Refused::Offer(revision) if !self.asked_again => {
                self.asked_again = true;
                self.findings
                    .violate(CheckId::InitVersionEcho, step, &fault.detail);
                self.offered = revision;
                // A session of the refused handshake is given back, not used.
                self.dialect.session = None;
                self.release(now);
                self.again(None);
            }
            Refused::TryStream => {
                let phase = model::Phase::Receive;
                let failure = model::Failure {
                    step,
                    phase,
                    reason: fault.reason,
                };
                self.end_step(Some(fault.reason), Some(fault.detail.clone()), now);
                self.fallback.get_or_insert((failure, fault));
                self.dialect.transport = Transport::HttpSse;
                self.start(Step::Stream, now);
            }
            Refused::SwitchToModern | Refused::Offer(_) | Refused::Final => self.fail(fault, now),
        }
    }

    fn initialize_fault(&mut self, reply: &Reply) -> Fault {
        let situation = self.situation(Step::Initialize);
        let error = reply
            .response
            .as_ref()
            .and_then(|r| r.outcome.as_ref().err());
        if let (Some(error), Some(running)) = (error, self.running.as_mut()) {
            running.rpc_code = error.code;
        }
        match error {
            Some(error) if reply.head.is_success() => Fault::new(
                refusal::of_error(error, situation),
                CheckId::RpcNoError,
                refusal::describe_error(error),
            ),
            _ => {
                let fault = refusal::of_status(reply, situation);
                if matches!(fault.reason, Reason::AuthRequired | Reason::AuthMalformed) {
                    self.check_challenge(reply, Step::Initialize);
                }
                fault
            }
        }
    }

    fn delete_answered(&mut self, reply: &Reply, now: Instant) {
        let status = reply.head.status;
        let gone = self.session_lost && matches!(status.as_u16(), 400 | 404);
        let fine = status.is_success() || status.as_u16() == 405 || gone;
        let detail = format!("DELETE: {status}");
        self.findings
            .demand(fine, CheckId::SessDelete, Step::Close, &detail);
        self.closed(&detail, None, now);
    }

    /// The answer to `GET` is no event stream: this is not the 2024-11-05 transport either.
    pub(super) fn no_stream(&mut self, head: Head, now: Instant) {
        self.stream = None;
        let fault = if head.is_success() {
            Fault::new(
                Reason::NotMcp,
                CheckId::SseEndpointFirst,
                format!("GET is answered with {}, no event stream", head.status),
            )
        } else {
            let reply = Reply {
                head,
                response: None,
                excerpt: String::new(),
                is_html: false,
            };
            refusal::of_status(&reply, self.situation(Step::Stream))
        };
        self.fail(fault, now);
    }

    /// An event of the 2024-11-05 stream.
    pub(super) fn stream_event(&mut self, event: &sse::Event, now: Instant) {
        let has_endpoint = self.stream.as_ref().is_some_and(|s| s.has_endpoint);
        if !has_endpoint {
            if event.kind == "endpoint" {
                self.endpoint_named(&event.data, now);
            } else {
                let detail = format!("the first event is {}", model::text::line(&event.kind, 40));
                self.fail(
                    Fault::new(Reason::McpSseMalformed, CheckId::SseEndpointFirst, detail),
                    now,
                );
            }
            return;
        }
        if event.kind != "message" {
            return;
        }
        let messages = match reply::stream_messages(&event.data) {
            Ok(messages) => messages,
            Err(fault) => return self.fail(fault, now),
        };
        for message in messages {
            match message {
                Message::Request { id, method } => self.server_request(&id, &method),
                Message::Response(response) => self.stream_response(response, now),
                Message::Notification => {}
            }
        }
    }

    fn stream_response(&mut self, response: Response, now: Instant) {
        let Some((step, Some(id))) = self.running.as_ref().map(|r| (r.step, r.id)) else {
            return;
        };
        // Answers to other ids are answers that came too late for an earlier step.
        if let Ok(response) = reply::match_id(id, step, response, &mut self.findings) {
            self.findings.pass(CheckId::SseParse);
            self.answered(response, now);
        }
    }

    fn endpoint_named(&mut self, data: &str, now: Instant) {
        let target = self.plan.url.as_url();
        if !self
            .running
            .as_ref()
            .is_some_and(|running| running.step == Step::Stream)
        {
            return;
        }
        let endpoint = target.join(data.trim()).ok();
        let same = endpoint
            .filter(|url| url.origin() == target.origin() && url.as_str().len() <= MAX_URL_BYTES);
        let Some(endpoint) = same else {
            let detail = format!(
                "the endpoint is not of this origin: {}",
                model::text::line(data, 120)
            );
            self.fail(
                Fault::new(Reason::McpSseMalformed, CheckId::SseEndpointFirst, detail),
                now,
            );
            return;
        };
        self.findings.pass(CheckId::SseEndpointFirst);
        // This is the transport: what fails from here on is its own failure.
        self.fallback = None;
        self.dialect.endpoint = endpoint;
        // Without the GET fallback the revision of that transport is the one to offer.
        self.offered = Revision::V2024_11_05;
        if let Some(stream) = self.stream.as_mut() {
            stream.has_endpoint = true;
        }
        self.succeed(None, now);
        self.advance(Step::Stream, now);
    }

    /// Notification rules: 202, no body (the HTTP+SSE transport tolerates a text).
    fn check_accepted(&mut self, reply: &Reply) {
        let step = Step::Initialized;
        let status = reply.head.status;
        let accepted = status.as_u16() == 202;
        self.findings.demand(
            accepted,
            CheckId::HttpNotif202,
            step,
            format!("answered with {status}"),
        );
        if self.dialect.transport == Transport::StreamableHttp {
            let detail = format!("the body is {}", reply.excerpt);
            self.findings.demand(
                reply.excerpt.is_empty(),
                CheckId::HttpNotifEmpty,
                step,
                detail,
            );
        }
    }

    fn check_challenge(&mut self, reply: &Reply, step: Step) {
        let values = reply.head.headers.get_all("www-authenticate");
        let bearer = crate::challenge::bearer(values.iter().filter_map(|v| v.to_str().ok()));
        let named = bearer.is_some_and(|b| b.param("resource_metadata").is_some());
        let detail =
            "the 401 names no resource_metadata: clients cannot find the authorization server";
        self.findings
            .demand(named, CheckId::AuthChallenge, step, detail);
    }

    fn agree(&mut self, era: Era, revision: Revision) {
        self.findings.era = Some(era);
        self.findings.revision = Some(revision);
        self.findings.transport = Some(self.dialect.transport);
        self.dialect.revision = Some(revision);
    }

    /// Modern responses carry no session id.
    fn check_stateless(&mut self) {
        if let Some(running) = self
            .running
            .as_ref()
            .filter(|_| self.dialect.era == Era::Modern)
        {
            let (has_id, step) = (running.has_session_header, running.step);
            let detail = "a modern response carries Mcp-Session-Id";
            self.findings
                .demand(!has_id, CheckId::HttpNoSession, step, detail);
        }
    }

    /// Keeps the session of a successful `initialize`, whatever else is wrong with the answer.
    pub(super) fn keep_session(&mut self, session: Option<HeaderValue>) {
        let Some(id) = session else {
            return;
        };
        let visible = id.as_bytes().iter().all(|b| (0x21..=0x7e).contains(b));
        let fits = id.len() <= MAX_SESSION_ID_BYTES;
        self.findings.demand(
            visible && fits && !id.is_empty(),
            CheckId::InitSessionAscii,
            Step::Initialize,
            "the session id is empty, too long or not visible ASCII",
        );
        if fits && !id.is_empty() && self.to_close.len() < MAX_SESSIONS {
            self.to_close.push(id.clone());
            self.dialect.session = Some(id);
        }
    }

    fn situation(&self, step: Step) -> Situation {
        Situation {
            step,
            has_credential: self.plan.has_credential,
            has_session: self.dialect.session.is_some(),
        }
    }

    const fn awaits_no_stream(&self) -> bool {
        matches!(self.dialect.transport, Transport::StreamableHttp)
    }
}

/// The JSON-RPC error of a reply.
fn refused_with(reply: &Reply) -> Option<&RpcError> {
    reply
        .response
        .as_ref()
        .and_then(|response| response.outcome.as_ref().err())
}

/// What a result leads to.
enum Next {
    /// Another page of the list.
    Page(String),
    /// The end of the step, described.
    Done(Option<String>),
}

fn is_result(reply: &Reply) -> bool {
    reply.head.is_success() && reply.response.as_ref().is_some_and(|r| r.outcome.is_ok())
}
