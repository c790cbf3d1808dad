//! What holds whatever a server sends: properties that the tests of this crate try with random bytes
//! and the fuzz targets (`fuzz/`) with those that a coverage-guided search finds.
//!
//! Each takes bytes and panics where its property does not hold. Only tests and the feature
//! `fuzzing` build this.

mod run;
mod server;
mod tape;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use model::Step;
use serde_json::Value;

pub use run::sequence;
use tape::Tape;

use crate::exchange::Head;
use crate::findings::Findings;
use crate::jsonrpc;
use crate::limits::{MAX_BODY_BYTES, MAX_ERROR_BODY_BYTES};
use crate::reply::{Expect, Fault, Reader};
use crate::sse::{Broken, Event, Parser};
use model::json::{self, Refused};

/// A stream means the same however it is cut, and nothing larger than the limit is held or given.
///
/// # Panics
/// Where that does not hold.
pub fn events(bytes: &[u8]) {
    const LIMIT: usize = 512;
    let mut tape = Tape::new(bytes);
    let cuts: Vec<usize> = (0..8).map(|_| usize::from(tape.byte())).collect();
    let stream = tape.rest();
    let feed = |cuts: &[usize]| {
        let mut parser = Parser::new(LIMIT);
        let mut events: Vec<Event> = Vec::new();
        let mut rest = stream;
        for cut in cuts {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            parser.feed(now, &mut events)?;
            rest = later;
        }
        parser.feed(rest, &mut events)?;
        Ok(events)
    };
    let whole = feed(&[]);
    let pieces = feed(&cuts);
    let byte_by_byte = feed(&vec![1; stream.len()]);
    for cut in [&pieces, &byte_by_byte] {
        // What is too large is seen as early as it can be seen, which depends on the cuts.
        let is_large = |fed: &Result<_, _>| matches!(fed, Err(Broken::TooLarge));
        assert!(
            is_large(&whole) || is_large(cut) || whole == *cut,
            "{whole:?} {cut:?}"
        );
    }
    for event in whole.iter().chain(&pieces).flatten() {
        assert!(
            event.data.len() <= LIMIT && !event.data.is_empty(),
            "{event:?}"
        );
        assert!(
            !event.kind.contains('\n') && !event.kind.is_empty(),
            "{event:?}"
        );
    }
    let mut parser = Parser::new(LIMIT);
    let mut events = Vec::new();
    for byte in stream {
        if parser.feed(&[*byte], &mut events).is_err() {
            break;
        }
        let early = parser.take_unterminated(json::is_whole);
        assert!(early.is_none_or(|event| json::is_whole(&event.data)));
    }
}

/// What is read as JSON is what the library reads, and what is read as a message has its parts.
///
/// # Panics
/// Where that does not hold.
pub fn json(bytes: &[u8]) {
    let ours = json::parse(bytes);
    let theirs = serde_json::from_slice::<Value>(bytes);
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        (Err(Refused::TooLarge), _) | (Err(Refused::Syntax), Err(_)) => {}
        (Ok(_), Err(_)) | (Err(Refused::Syntax), Ok(_)) => panic!("{ours:?} {theirs:?}"),
    }
    let is_whole = std::str::from_utf8(bytes).is_ok_and(json::is_whole);
    assert!(ours.is_err() || is_whole, "what has a value is whole");
    if let Ok(body) = jsonrpc::parse(bytes) {
        assert!(!body.messages.is_empty());
        assert!(body.is_batch || body.messages.len() == 1);
    }
}

/// A response is read without more memory than its limits, and what is shown of it is short.
///
/// # Panics
/// Where that does not hold.
pub fn reply(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let expect = *tape.pick(&[
        Expect::Response(1),
        Expect::Accepted,
        Expect::Closed,
        Expect::Stream,
    ]);
    let head = head(&mut tape);
    let first = usize::from(tape.byte());
    let body = tape.rest();
    let whole = read(expect, &head, &[body]);
    let (one, other) = body.split_at(first.min(body.len()));
    let cut = read(expect, &head, &[one, other]);
    let is_stream = head.media_type().as_deref() == Some("text/event-stream");
    if !is_stream {
        assert_eq!(whole, cut, "{head:?}");
    }
    for shown in [whole, cut].into_iter().flatten() {
        harmless(&shown);
    }
}

/// What a read came to, in a few words.
fn read(expect: Expect, head: &Head, chunks: &[&[u8]]) -> Result<String, String> {
    let mut findings = Findings::default();
    let mut reader = Reader::new(expect, Step::ToolsList);
    reader.handle_head(head.clone());
    let told = |fault: Fault| {
        harmless(&fault.detail);
        fault.reason.to_string()
    };
    for chunk in chunks {
        let progress = reader.handle_chunk(chunk, &mut findings).map_err(told)?;
        if let Some(reply) = progress.reply {
            return Ok(reply.excerpt);
        }
        assert!(reader.held() <= MAX_BODY_BYTES.max(MAX_ERROR_BODY_BYTES));
    }
    let reply = reader.handle_end(&mut findings).map_err(told)?;
    Ok(reply.excerpt)
}

/// Challenges are few, small, and made of what was there.
///
/// # Panics
/// Where that does not hold.
pub fn challenge(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let challenges = crate::challenge::parse(&text);
    assert!(challenges.len() <= 8);
    let mut size = 0;
    for challenge in &challenges {
        assert!(challenge.params.len() <= 16);
        assert!(!challenge.scheme.is_empty());
        size += challenge.scheme.len();
        for (name, value) in &challenge.params {
            assert!(!name.is_empty() && !name.bytes().any(|b| b.is_ascii_uppercase()));
            size += name.len() + value.len();
        }
    }
    assert!(size <= text.len(), "{challenges:?}");
    let found = crate::challenge::bearer([text.as_ref()]);
    assert!(found.is_none_or(|bearer| bearer.scheme == "bearer"));
    assert!(HeaderValue::from_str(&crate::header::encode(&text)).is_ok());
}

/// A head as HTTP could bring it.
fn head(tape: &mut Tape<'_>) -> Head {
    let statuses = [
        200, 200, 202, 204, 302, 400, 401, 403, 404, 405, 406, 429, 500, 503, 999,
    ];
    let status = StatusCode::from_u16(*tape.pick(&statuses)).unwrap_or_default();
    let mut headers = HeaderMap::new();
    if let Some(media) = *tape.pick(&[
        Some("application/json"),
        Some("text/event-stream"),
        Some("text/html; charset=utf-8"),
        Some(";"),
        None,
    ]) {
        headers.insert("content-type", HeaderValue::from_static(media));
    }
    let names = [
        "mcp-session-id",
        "www-authenticate",
        "retry-after",
        "location",
        "content-encoding",
        "cf-mitigated",
        "content-type",
    ];
    for _ in 0..tape.below(4) {
        let name = *tape.pick(&names);
        if let Ok(value) = HeaderValue::from_bytes(tape.bytes()) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    Head { status, headers }
}

/// Text that may be shown: short, and nothing that a terminal obeys.
fn harmless(text: &str) {
    assert!(text.chars().count() <= 400, "{text}");
    let bad =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200b}'..='\u{200f}');
    assert!(!text.contains(bad), "{text:?}");
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Bytes that are mostly the ones that a framing or a grammar knows.
    fn dense() -> impl Strategy<Value = Vec<u8>> {
        let known = b"\r\n\n: data:event,=\"\\{}[]0129truenl \xef\xbb\xbf\xff\xc3\xa9Bearer";
        vec(
            prop_oneof![proptest::sample::select(known.as_slice()), any::<u8>()],
            0..400,
        )
    }

    /// What a fuzz target begins with, and what it once found.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap();
        let seeds: Vec<_> = files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect();
        assert!(!seeds.is_empty(), "{target} has no seed");
        seeds
    }

    type Property = fn(&[u8]);

    #[test]
    fn the_seeds_hold() {
        let targets: [(&str, Property); 5] = [
            ("events", super::events),
            ("json", super::json),
            ("reply", super::reply),
            ("challenge", super::challenge),
            ("sequence", super::sequence),
        ];
        for (target, holds) in targets {
            seeds(target).iter().for_each(|seed| holds(seed));
        }
    }

    /// A seed with some bytes changed, and more behind it.
    fn near(target: &str) -> impl Strategy<Value = Vec<u8>> {
        let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        let more = vec(any::<u8>(), 0..60);
        (prop::sample::select(seeds(target)), edits, more).prop_map(|(mut bytes, edits, more)| {
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.extend(more);
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn events_mean_the_same_however_they_are_cut(bytes in prop_oneof![near("events"), dense()]) {
            super::events(&bytes);
        }

        #[test]
        fn json_is_read_as_the_library_reads_it(bytes in prop_oneof![near("json"), dense()]) {
            super::json(&bytes);
        }

        #[test]
        fn replies_are_read_within_their_limits(bytes in prop_oneof![near("reply"), dense()]) {
            super::reply(&bytes);
        }

        #[test]
        fn challenges_are_few_and_small(bytes in prop_oneof![near("challenge"), dense()]) {
            super::challenge(&bytes);
        }

        /// The properties of a whole probe stand at [`super::sequence`].
        #[test]
        fn a_probe_ends_and_gives_back_what_it_took(
            bytes in prop_oneof![near("sequence"), vec(any::<u8>(), 0..600)]
        ) {
            super::sequence(&bytes);
        }
    }
}
