//! What a chunk of a response brought: answers, requests of the server, notifications, events.

use std::time::Instant;

use model::{CheckId, Era};
use serde_json::Value;

use super::Sequence;
use crate::exchange::{Command, ExchangeId};
use crate::findings::Findings;
use crate::limits::MAX_SERVER_REQUESTS;
use crate::reply::{Progress, Reader};

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
            if self.closing || self.stream.is_none() {
                return;
            }
            self.stream_event(&event, now);
        }
        if let Some(reply) = progress.reply {
            self.replied(reply, now);
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
