//! Sizes and times of the wire, in one place. Both ends use them.

use std::time::Duration;

/// The largest message. A frame is flushed at [`FRAME_BYTES`], a snapshot of 20,000 items is
/// split into a snapshot and deltas.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// The largest message of somebody who has not shown who they are.
pub const MAX_ENROLMENT_BYTES: usize = 16 << 10;
/// The largest message with evidence.
pub const MAX_FRAME_BYTES: usize = 256 << 10;
/// Records of one lane that go together: with the largest records still within a frame.
pub const SLICE_RECORDS: usize = 64;
/// A snapshot or delta is cut at so many bytes.
pub const SCHEDULE_BYTES: usize = 512 << 10;
/// A frame is sent when it holds so many records …
pub const FRAME_RECORDS: usize = 256;
/// … or so many bytes …
pub const FRAME_BYTES: usize = 64 << 10;
/// … or when its oldest record is so old …
pub const FRAME_AGE: Duration = Duration::from_millis(200);
/// … or, at most so often, at once, when it holds what a verdict waits for.
pub const URGENT_FRAME_GAP: Duration = Duration::from_millis(20);
/// Items of one snapshot or delta.
pub const MAX_ITEMS: usize = 1000;
/// Records that may be on their way without an acknowledgement.
pub const CREDIT_RECORDS: u32 = 8192;
/// Streams that one connection may have at once: a watch, a report, an enrolment, with room.
pub const MAX_STREAMS: u32 = 16;
/// Lanes, which are shards of monitors.
pub const LANES: u32 = 256;
/// How often an agent sends a heartbeat.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// The longest name in a record of what answered.
pub const MAX_NAME_BYTES: usize = 128;
/// The largest report of a probe on demand, as JSON: one that fills every list of it has some 100 KiB.
pub const MAX_REPORT_BYTES: usize = 256 << 10;
/// The longest text in a record.
pub const MAX_TEXT_BYTES: usize = 512;

/// The largest tool surface that travels, compressed. Canonical JSON shrinks to about a tenth, so that
/// all but the largest go (`contract::limits::MAX_SURFACE_BYTES`).
pub const MAX_SURFACE_BYTES: usize = 512 << 10;
/// Bytes of one of its parts: a whole slice of them fits into a frame.
pub const SURFACE_PART_BYTES: usize = 2 << 10;
/// How often an agent says which surface it sees, though that is the one it said.
pub const SURFACE_AGAIN: Duration = Duration::from_secs(3600);

/// An HTTP/2 ping is sent after so much silence …
pub const KEEPALIVE: Duration = Duration::from_secs(20);
/// … and must be answered within this.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
