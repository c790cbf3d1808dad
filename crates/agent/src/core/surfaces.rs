//! The tool surfaces of targets: said after the probe that saw them, and handed in when asked for.

use std::time::Duration;

use model::Report;
use rpc::v1;

use super::{Core, now};
use crate::item::Item;
use crate::record;
use crate::surfaces::Examined;

/// Bytes of what a server says that it is.
const MAX_WORD_BYTES: usize = 128;

impl Core {
    /// Says which tools a probe listed that began `age` after the process, if that is news.
    pub(super) fn say_surface(
        &mut self,
        item: &Item,
        age: Duration,
        report: &Report,
        examined: Option<Examined>,
    ) {
        let Some(examined) = examined else {
            return;
        };
        // Of a monitor that was removed or changed meanwhile it says nothing.
        let known = self.items.get(&item.monitor);
        if known.is_none_or(|known| known.generation != item.generation) {
            return;
        }
        let word = |text: Option<String>| cut(text.unwrap_or_default());
        let server = report.server.as_ref();
        let seen = v1::SurfaceSeen {
            monitor_id: item.monitor.clone(),
            generation: item.generation,
            seen_at_us: record::micros(age),
            credential: item.credential.clone(),
            era: word(report.era.map(|era| era.to_string())),
            protocol_version: word(report.protocol_version.map(|revision| revision.to_string())),
            server_name: word(server.map(|server| server.name.clone())),
            server_version: word(server.map(|server| server.version.clone())),
            ..Default::default()
        };
        let records = self.surfaces.handle_examined(seen, examined, now());
        self.spool_all(item.lane, records);
    }

    /// Hands a surface in that was asked for.
    pub(super) fn hand_surface(&mut self, request: v1::SurfaceRequest) {
        let Some(lane) = self.items.get(&request.monitor_id).map(|item| item.lane) else {
            return;
        };
        let records = self.surfaces.handle_request(request);
        self.spool_all(lane, records);
    }

    fn spool_all(&mut self, lane: u16, records: Vec<v1::Record>) {
        for record in records {
            self.spool(lane, record, false);
        }
    }
}

/// So much of a text as fits, in whole characters.
fn cut(mut text: String) -> String {
    while text.len() > MAX_WORD_BYTES {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests;
