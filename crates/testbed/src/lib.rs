//! What Parallax is tested against: MCP servers that do what a script says, a TCP proxy that
//! breaks paths on command, and a recorder that counts sessions and streams.
//!
//! - [`server`]: scripted servers of both eras and of the oldest transport, over TLS or plain.
//! - [`sdk`]: a server on the official SDK, so that the prober is not judged by our own parser.
//! - [`proxy`]: paths with faults that change while they run.
//! - [`recorder`]: a reverse proxy that counts sessions opened and closed, streams left open.
//! - [`ca`]: a private authority, and certificates that are wrong in a chosen way.
//!
//! Nothing here is part of the product; everything binds to loopback unless told otherwise.

pub mod ca;
mod listen;
pub mod proxy;
pub mod recorder;
pub mod sdk;
pub mod server;
