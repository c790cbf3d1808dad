//! What every Parallax binary needs and none should write twice: logs on stderr, the wall clock,
//! signals.

pub mod clock;
pub mod logs;
pub mod signal;
