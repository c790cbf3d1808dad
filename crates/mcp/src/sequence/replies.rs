//! What the answer to each step means.

use std::time::Instant;

use http::HeaderValue;
use model::{CheckId, Era, ListKind, Reason, Revision, Step, Transport};
use serde_json::{Map, Value};

use super::Sequence;
use super::asking::More;
use crate::exchange::Command;
use crate::jsonrpc::{Response, RpcError};
use crate::limits::{MAX_SESSION_ID_BYTES, MAX_SESSIONS};
use crate::refusal::{self, Situation};
use crate::reply::{Fault, Reply};
use crate::results::{self, Called};

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
            Step::Origin | Step::Strict => return self.trial_answered(&reply, now),
            Step::Authorize
            | Step::Stream
            | Step::Initialize
            | Step::Initialized
            | Step::Ping
            | Step::ToolsList
            | Step::ResourcesList
            | Step::ResourceTemplatesList
            | Step::PromptsList
            | Step::ToolsCall
            | Step::Subscribe => {}
        }
        if self.resume_refused(&reply, now) {
            return;
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
    pub(super) fn answered(&mut self, response: Response, now: Instant) {
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
        if step == Step::Subscribe {
            let detail = "the subscription ended with a result";
            let fault = Fault::new(Reason::McpSchemaViolation, CheckId::SubAck, detail);
            return self.not_subscribed(&fault, now);
        }
        let next = self.read_result(step, &result);
        self.identify(step, &result);
        match next {
            Ok(Next::Page(cursor)) => {
                self.release(now);
                self.again(More::Cursor(cursor));
            }
            Ok(Next::Input { questions, state }) => self.asked(&questions, state, now),
            Ok(Next::Done(detail)) => {
                self.examine_progress(now);
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
                self.announced = facts.announced;
                self.findings.server = facts.server;
                self.findings.collector.greet(result);
                self.agree(Era::Legacy, facts.revision);
                self.findings.pass(CheckId::InitVersionEcho);
            }
            Step::Ping => {
                let empty = result.as_object().is_some_and(Map::is_empty);
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
                if self.plan.keep_listing {
                    self.findings.collector.page(result);
                }
                if let Some(cursor) = next {
                    return Ok(Next::Page(cursor));
                }
                results::capability(step, self.announced.tools, true, &mut self.findings);
                self.examine_tools();
                self.findings.tools = u32::try_from(self.tools.count).ok();
                self.listed();
                return Ok(Next::Done(Some(self.tools.summary())));
            }
            Step::ResourcesList => return self.read_items(ListKind::Resources, result),
            Step::ResourceTemplatesList => {
                return self.read_items(ListKind::ResourceTemplates, result);
            }
            Step::PromptsList => return self.read_items(ListKind::Prompts, result),
            Step::ToolsCall => {
                return match self.read_call(result)? {
                    Called::Asked { questions, state } => Ok(Next::Input { questions, state }),
                    Called::Done => {
                        self.hold_against_demands(result)?;
                        self.next_call += 1;
                        self.input_rounds = 0;
                        Ok(Next::Done(None))
                    }
                };
            }
            Step::Authorize
            | Step::Stream
            | Step::Discover
            | Step::Initialized
            | Step::Subscribe
            | Step::Origin
            | Step::Strict
            | Step::Close => {}
        }
        Ok(Next::Done(None))
    }

    fn read_items(&mut self, list: ListKind, result: &Value) -> Result<Next, Fault> {
        let era = self.dialect.era;
        let next = self.items.page(list, result, era, &mut self.findings)?;
        if let Some(cursor) = next {
            return Ok(Next::Page(cursor));
        }
        results::capability(list.step(), true, true, &mut self.findings);
        let items = std::mem::take(&mut self.items);
        let count = u32::try_from(items.count).unwrap_or(u32::MAX);
        self.findings.lists.insert(list, count);
        Ok(Next::Done(Some(items.summary(list))))
    }

    fn read_call(&mut self, result: &Value) -> Result<Called, Fault> {
        let revision = self.dialect.revision.unwrap_or(Revision::NEWEST_LEGACY);
        let call = self.plan.calls.get(self.next_call);
        let definition = call.and_then(|call| self.tools.definition(&call.name));
        let schema = definition.and_then(|tool| tool.output_schema.as_ref());
        let called = results::call(result, revision, schema, &mut self.findings);
        called.map_err(|mut fault| {
            // Some SDKs answer an unknown tool with isError instead of -32602.
            if fault.reason == Reason::ToolError && self.calls_unlisted_tool() {
                fault.reason = Reason::ToolMissing;
            }
            fault
        })
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
        if matches!(
            step,
            Step::ToolsList | Step::ResourcesList | Step::ResourceTemplatesList | Step::PromptsList
        ) {
            // Only what is announced is asked for.
            results::capability(step, true, false, &mut self.findings);
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

    fn delete_answered(&mut self, reply: &Reply, now: Instant) {
        let status = reply.head.status;
        let gone = self.session_lost && matches!(status.as_u16(), 400 | 404);
        let fine = status.is_success() || status.as_u16() == 405 || gone;
        let detail = format!("DELETE: {status}");
        self.findings
            .demand(fine, CheckId::SessDelete, Step::Close, &detail);
        self.closed(&detail, None, now);
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

    pub(super) fn check_challenge(&mut self, reply: &Reply, step: Step) {
        let values = reply.head.headers.get_all("www-authenticate");
        let bearer = crate::challenge::bearer(values.iter().filter_map(|v| v.to_str().ok()));
        let named = bearer.is_some_and(|b| b.param("resource_metadata").is_some());
        let detail =
            "the 401 names no resource_metadata: clients cannot find the authorization server";
        self.findings
            .demand(named, CheckId::AuthChallenge, step, detail);
    }

    pub(super) fn agree(&mut self, era: Era, revision: Revision) {
        self.findings.era = Some(era);
        self.findings.revision = Some(revision);
        self.findings.transport = Some(self.dialect.transport);
        self.dialect.revision = Some(revision);
    }

    /// Modern responses carry no session id.
    pub(super) fn check_stateless(&mut self) {
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

    /// Keeps the session that a trial opened, to give it back.
    pub(super) fn owe_session(&mut self, session: Option<HeaderValue>) {
        let fits = |id: &HeaderValue| !id.is_empty() && id.len() <= MAX_SESSION_ID_BYTES;
        let Some(id) = session.filter(fits) else {
            return;
        };
        let is_fresh = !self.to_close.contains(&id);
        // One of the two ends with the other.
        self.session_lost |= !is_fresh;
        let detail = "a second session got the id of the first, which still lived";
        self.findings
            .demand(is_fresh, CheckId::InitSessionAscii, Step::Strict, detail);
        if self.to_close.len() < MAX_SESSIONS {
            self.to_close.push(id);
        }
    }

    pub(super) fn situation(&self, step: Step) -> Situation {
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
pub(super) fn refused_with(reply: &Reply) -> Option<&RpcError> {
    reply
        .response
        .as_ref()
        .and_then(|response| response.outcome.as_ref().err())
}

/// What a result leads to.
enum Next {
    /// Another page of the list.
    Page(String),
    /// The tool asks for input.
    Input {
        questions: Map<String, Value>,
        state: Option<Value>,
    },
    /// The end of the step, described.
    Done(Option<String>),
}

fn is_result(reply: &Reply) -> bool {
    reply.head.is_success() && reply.response.as_ref().is_some_and(|r| r.outcome.is_ok())
}
