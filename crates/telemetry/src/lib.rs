//! What every Parallax binary needs and none should write twice: logs on stderr, the wall clock,
//! signals, the main function of a daemon.

pub mod clock;
pub mod daemon;
pub mod logs;
pub mod signal;
