//! Bounds on what a server can make a probe do, each with the reason for its size.

use std::time::Duration;

/// The largest answer, whole body or one event stream. The largest honest tool lists seen are
/// some hundred KiB.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// What one probe reads in all, heads and framing included, TLS aside: some pages of the largest
/// size, so that neither a list of many large pages nor a flood of small frames has an agent read
/// for as long as its time lasts.
pub const MAX_PROBE_BYTES: u64 = 16 << 20;

/// What may be read beyond [`MAX_PROBE_BYTES`] for each session that is given back.
pub const CLOSE_BYTES: u64 = 64 << 10;

/// The longest wait that `Retry-After` may ask for, seconds: a day. Longer ones are no plan of
/// anybody's.
pub const MAX_RETRY_AFTER: u64 = 86_400;

/// How much of an error body is read: enough for a JSON-RPC error and for the first lines of a
/// page.
pub const MAX_ERROR_BODY_BYTES: usize = 64 << 10;

/// Events of one stream. A long tool call reports progress a few times a second.
pub const MAX_EVENTS: usize = 4096;

/// Requests of the server (`ping`, `sampling/createMessage`, …) that are answered in one probe;
/// the rest are ignored.
pub const MAX_SERVER_REQUESTS: usize = 8;

/// The longest event id that is sent back to resume a stream.
pub const MAX_EVENT_ID_BYTES: usize = 1024;

/// How often one request's stream is resumed: a server that closes early does it once or twice.
pub const MAX_RESUMES: u32 = 8;

/// How long a response stream may stay open after its response (2026-07-28
/// transports/streamable-http: the response should end it): far more than a network takes.
pub const STREAM_END: Duration = Duration::from_secs(2);

/// How long to wait before a stream is resumed, where it does not say (2025-11-25 transports,
/// "Resumability"; browsers wait about so long).
pub const DEFAULT_RETRY: Duration = Duration::from_secs(1);

/// How often a tool may ask for input before it gives its result.
pub const MAX_INPUT_ROUNDS: u32 = 4;

/// Items of one list of resources, templates or prompts, over all pages.
pub const MAX_ITEMS: usize = 100_000;

/// Pages of one list.
pub const MAX_PAGES: u32 = 100;

/// Tools of one server, over all pages.
pub const MAX_TOOLS: usize = 10_000;

/// The longest session id that is accepted; longer ones would not fit into common header limits.
pub const MAX_SESSION_ID_BYTES: usize = 4096;

/// Characters of a server's text in a detail.
pub const MAX_DETAIL_CHARS: usize = 200;

/// How long the body of an answer may take whose head already decides: a refusal, or a message
/// that was taken. Some servers leave it open.
pub const BODY_GRACE: Duration = Duration::from_secs(1);

/// The longest cursor of a list: it is sent back.
pub const MAX_CURSOR_BYTES: usize = 8 << 10;

/// Sessions of one probe that are given back: a handshake may be refused and tried again.
pub const MAX_SESSIONS: usize = 4;

/// How long all calls that clean up may take together once the probe has failed, beyond its budget.
pub const CLEANUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long they may take once the probe was cancelled, and how long giving its sessions back may take
/// then: together less than the 5 s for which an agent that stops waits for its probes.
pub const CANCELLED_TIMEOUT: Duration = Duration::from_secs(2);

/// How long closing a session may take, beyond the budget of the probe: a guest cleans up after
/// itself also when the evening was long.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
