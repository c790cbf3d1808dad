//! How the eras are told apart: the answers to `server/discover` and `initialize`.

use std::time::Instant;

use model::{CheckId, Era, Reason, Revision, Step, Transport};

use super::Sequence;
use super::asking::More;
use super::replies::refused_with;
use crate::negotiate::{self, Discovered, Refused};
use crate::refusal;
use crate::reply::{Fault, Reply};
use crate::results;

impl Sequence {
    pub(super) fn discover_answered(&mut self, reply: Reply, now: Instant) {
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
                        self.announced = facts.announced;
                        self.findings.server = facts.server;
                        self.findings.collector.greet(&result);
                        self.identify(step, &result);
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
                self.again(More::Nothing);
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
                self.set_aside(fault, now);
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

    pub(super) fn initialize_refused(&mut self, reply: &Reply, now: Instant) {
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
                self.again(More::Nothing);
            }
            Refused::TryStream => {
                self.set_aside(fault, now);
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
}
