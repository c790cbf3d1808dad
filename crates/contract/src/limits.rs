//! Bounds on a surface and on what is said of it, each with the reason for its size.

/// Tools of one surface: as many as a probe reads (`mcp::limits::MAX_TOOLS`).
pub const MAX_TOOLS: usize = 10_000;

/// The canonical form of a surface. The largest honest tool lists seen are some hundred KiB; a
/// probe keeps no more than this either.
pub const MAX_SURFACE_BYTES: usize = 4 << 20;

/// Levels of arrays and objects in one tool. Schemas that people write have about twenty; parsers
/// give up at 128, and recursion here must end well before the stack does.
pub const MAX_DEPTH: usize = 64;

/// A lock file. Indentation makes the canonical form larger, and by how much depends on its depth.
pub const MAX_LOCK_BYTES: usize = 16 << 20;

/// Surfaces that are known of one server, beside each other and one after the other. A rollout has two;
/// who approves wants to see the last few.
pub const MAX_KNOWN: usize = 8;

/// Bytes of the packed surfaces that are held of one server.
pub const MAX_HELD_BYTES: usize = 1 << 20;

/// Agents whose sightings of one server are known: as many as may watch a monitor.
pub const MAX_SIGHTINGS: usize = 64;

/// Surfaces that were pinned, one after the other, and are remembered with who approved them.
pub const MAX_HISTORY: usize = 100;

/// Characters of what somebody who approves has to say.
pub const MAX_COMMENT_CHARS: usize = 500;

/// Changes of one class that are listed; more are only counted. Nobody reads so many, and each
/// class has its own room, so that a flood of harmless changes hides no other.
pub const MAX_CHANGES: usize = 250;

/// Characters of a JSON Pointer.
pub const MAX_POINTER_CHARS: usize = 256;

/// Characters of the sentence that tells a change.
pub const MAX_WHAT_CHARS: usize = 400;

/// Members of one `anyOf`, `allOf` or `oneOf` that are tried against each other, per side, when it
/// is to be told which became which.
pub const MAX_PAIRED: usize = 64;
