//! The commands: their arguments, and which part of the testbed they run.

pub(crate) mod mesh;
pub(crate) mod proxy;
pub(crate) mod record;
pub(crate) mod serve;
