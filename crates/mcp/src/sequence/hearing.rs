//! What a chunk of a response brought: answers, requests of the server, notifications, events.

use std::time::Instant;

use model::{CheckId, Era, Step};
use serde_json::Value;

use super::Sequence;
use crate::exchange::{Command, ExchangeId};
use crate::findings::Findings;
use crate::jsonrpc::Message;
use crate::limits::MAX_SERVER_REQUESTS;
use crate::reply::{self, Progress, Reader};
use crate::sse;

impl Sequence {
    pub(super) fn reader_of(
        &mut self,
        exchange: ExchangeId,
    ) -> Option<(&mut Reader, &mut Findings)> {
        let findings = &mut self.findings;
        if let Some(stream) = self.stream.as_mut().filter(|s| s.exchange == exchange) {
            return Some((&mut stream.reader, findings));
        }
        let running = self.running.as_mut().filter(|r| r.exchange == exchange)?;
        Some((&mut running.reader, findings))
    }

    pub(super) fn progress(&mut self, progress: Progress, now: Instant) {
        for (id, method) in progress.server_requests {
            self.server_request(&id, &method);
        }
        for note in progress.notifications {
            if self.notified(&note, now) {
                return;
            }
        }
        for event in progress.events {
            // An event may end the probe; what follows in the same chunk is nobody's.
            if self.closing {
                return;
            }
            if self.stream.is_some() {
                self.stream_event(&event, now);
            } else {
                self.idle_event(&event);
            }
        }
        if let Some(reply) = progress.reply {
            self.replied(reply, now);
        }
    }

    /// An event of the legacy `GET` stream, on which a server may ask what it likes (2025-11-25
    /// transports, "Listening for Messages from the Server"). Nothing is expected there, so what is
    /// no message is nobody's failure.
    fn idle_event(&mut self, event: &sse::Event) {
        let is_idle = self
            .running
            .as_ref()
            .is_some_and(|r| r.step == Step::Subscribe);
        if !is_idle || self.dialect.era == Era::Modern || event.kind != "message" {
            return;
        }
        for message in reply::stream_messages(&event.data).unwrap_or_default() {
            if let Message::Request { id, method } = message {
                self.server_request(&id, &method);
            }
        }
    }

    /// A request of the server on a response stream: answered in the legacy era, where it is
    /// legal, and noted in the modern era, where it is not.
    pub(super) fn server_request(&mut self, id: &Value, method: &str) {
        let Some(running) = &self.running else {
            return;
        };
        if self.dialect.era == Era::Modern {
            let detail = format!(
                "the stream carried a request {}",
                model::text::line(method, 60)
            );
            self.findings
                .violate(CheckId::SseNoServerRequest, running.step, detail);
            return;
        }
        self.server_requests += 1;
        if self.server_requests <= MAX_SERVER_REQUESTS {
            let request = self.dialect.answer(id, method);
            let exchange = self.exchange_id();
            self.asides.insert(exchange);
            self.commands.push_back(Command::Send { exchange, request });
        }
    }
}
