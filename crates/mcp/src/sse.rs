//! Server-Sent Events (WHATWG HTML §9.2), fed in chunks of any size.

use std::time::Duration;

use crate::limits::MAX_EVENT_ID_BYTES;

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// The `event:` field; `message` where there is none.
    pub(crate) kind: String,
    /// The `data:` lines, joined by line feeds.
    pub(crate) data: String,
}

/// A stream that breaks the framing or its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The stream is not UTF-8.
    NotUtf8,
    /// A line, or the data of one event, is larger than the limit.
    TooLarge,
}

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    kind: String,
    data: String,
    data_lines: u32,
    started: bool,
    after_cr: bool,
    tried: bool,
    limit: usize,
    last_id: String,
    retry: Option<Duration>,
}

impl Parser {
    /// A parser that holds at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// The id of the last event that had one, from which a broken stream may be resumed; empty
    /// where none had.
    pub(crate) fn last_id(&self) -> &str {
        &self.last_id
    }

    /// How long to wait before resuming, where the stream says so.
    pub(crate) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Reads a chunk and appends the events that it completes.
    pub(crate) fn feed(&mut self, chunk: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            let is_lf_of_crlf = self.after_cr && end == 0 && rest[0] == b'\n';
            if !is_lf_of_crlf {
                self.line.extend_from_slice(&rest[..end]);
                self.end_line(events)?;
            }
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            self.after_cr = false;
            self.line.extend_from_slice(rest);
        }
        if self.line.len() + self.data.len() > self.limit {
            return Err(Broken::TooLarge);
        }
        Ok(())
    }

    /// The event whose blank line has not come, if its data is a single line and `is_whole`: some
    /// servers never send the blank line and keep the stream open. Each line is tried once, and
    /// the blank line that may still come then ends nothing.
    pub(crate) fn take_unterminated(&mut self, is_whole: impl Fn(&str) -> bool) -> Option<Event> {
        let at_line = self.line.is_empty() && self.data_lines == 1 && self.is_message();
        if !at_line || std::mem::replace(&mut self.tried, true) || !is_whole(&self.data) {
            return None;
        }
        let mut events = Vec::new();
        self.dispatch(&mut events);
        events.pop()
    }

    fn is_message(&self) -> bool {
        self.kind.is_empty() || self.kind == "message"
    }

    fn end_line(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        let raw = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&raw).map_err(|_| Broken::NotUtf8)?;
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(events);
        } else {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            self.field(field, value)?;
        }
        self.line = raw;
        self.line.clear();
        Ok(())
    }

    fn field(&mut self, field: &str, value: &str) -> Result<(), Broken> {
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if self.data_lines > 0 {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.data_lines += 1;
                self.tried = false;
                if self.data.len() > self.limit {
                    return Err(Broken::TooLarge);
                }
            }
            // An id with a NUL is ignored, and so is one that no request could carry.
            "id" if !value.contains('\0') && value.len() <= MAX_EVENT_ID_BYTES => {
                value.clone_into(&mut self.last_id);
            }
            // Only digits count.
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
            }
            _ => {} // comments (empty name) and unknown fields
        }
        Ok(())
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        let kind = std::mem::take(&mut self.kind);
        let data = std::mem::take(&mut self.data);
        let had_data = std::mem::take(&mut self.data_lines) > 0;
        if had_data && !data.is_empty() {
            let kind = if kind.is_empty() {
                "message".to_owned()
            } else {
                kind
            };
            events.push(Event { kind, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = Parser::new(1 << 16);
        let mut events = Vec::new();
        for chunk in chunks {
            parser.feed(chunk, &mut events).unwrap();
        }
        events.into_iter().map(|e| (e.kind, e.data)).collect()
    }

    fn message(data: &str) -> (String, String) {
        ("message".to_owned(), data.to_owned())
    }

    #[test]
    fn framing_of_the_standard_and_of_the_field() {
        // priming event, comment, nameless event, CRLF, BOM, no space after the colon
        assert_eq!(parse(&[b"id: 1\ndata: \n\n"]), []);
        assert_eq!(parse(&[b": hello\n\ndata: x\n\n"]), [message("x")]);
        assert_eq!(parse(&[b"\xef\xbb\xbfdata:x\r\n\r\n"]), [message("x")]);
        assert_eq!(parse(&[b"data: a\rdata: b\r\r"]), [message("a\nb")]);
        assert_eq!(
            parse(&[b"event: endpoint\ndata: /m?s=1\n\n"]),
            [("endpoint".to_owned(), "/m?s=1".to_owned())]
        );
        // unfinished events are not dispatched
        assert_eq!(parse(&[b"data: x\n"]), []);
    }

    #[test]
    fn an_event_without_its_blank_line_is_seen() {
        let mut parser = Parser::new(100);
        let mut events = Vec::new();
        parser
            .feed(b"event: message\ndata: {}\n", &mut events)
            .unwrap();
        assert!(events.is_empty());
        assert_eq!(parser.take_unterminated(|_| false), None);
        assert_eq!(
            parser.take_unterminated(|_| true),
            None,
            "a line is tried once"
        );
        let mut parser = Parser::new(100);
        parser
            .feed(b"event: message\ndata: {}\n", &mut events)
            .unwrap();
        let early = parser.take_unterminated(|data| data == "{}").unwrap();
        assert_eq!(
            (early.kind.as_str(), early.data.as_str()),
            ("message", "{}")
        );
        parser.feed(b"\n", &mut events).unwrap();
        assert!(events.is_empty(), "the late blank line ends nothing");
    }

    #[test]
    fn limits_and_bad_bytes_are_refused() {
        let mut parser = Parser::new(16);
        let mut events = Vec::new();
        assert_eq!(parser.feed(&[b'x'; 17], &mut events), Err(Broken::TooLarge));
        let mut parser = Parser::new(16);
        assert_eq!(
            parser.feed(b"data: \xff\n", &mut events),
            Err(Broken::NotUtf8)
        );
        let mut parser = Parser::new(16);
        assert_eq!(
            parser.feed(b"data: 12345678\ndata: 12345678\n", &mut events),
            Err(Broken::TooLarge)
        );
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            text in "(data: ?[a-z\u{e9}]{0,5}|event: ?[a-z]{0,3}|: ?c|id: 1|)((\r\n|\n|\r)(data: ?[a-z]{0,5}|event: ?[a-z]{0,3}|: ?c|)){0,12}\n\n",
            cuts in proptest::collection::vec(0usize..200, 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(parse(&[bytes]), parse(&chunks));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut parser = Parser::new(64);
            let mut events = Vec::new();
            let _ = parser.feed(&bytes, &mut events);
        }
    }
}
