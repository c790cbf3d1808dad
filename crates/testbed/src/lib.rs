//! What Parallax is tested against: MCP servers that do what a script says, a TCP proxy that
//! breaks paths on command, a recorder that counts sessions and streams, and a whole mesh on one
//! machine.
//!
//! - [`server`]: scripted servers of both eras and of the oldest transport, over TLS or plain.
//! - [`sdk`]: a server on the official SDK, so that the prober is not judged by our own parser.
//! - [`oauth`]: a server behind a wall, and an authorization server with flaws by name.
//! - [`proxy`]: paths with faults that change while they run.
//! - [`connect_proxy`]: an HTTP proxy that opens tunnels, or fails to in a chosen way.
//! - [`recorder`]: a reverse proxy that counts sessions opened and closed, streams left open.
//! - [`hostile`]: targets that mean harm, a closed list of behaviours.
//! - [`ca`]: a private authority, and certificates that are wrong in a chosen way.
//! - [`dns`]: a name server that says what it is told to.
//! - [`world`]: all of it as a small internet on loopback, with a name server and paths that break
//!   for each of eight agents.
//! - [`up`], [`down`]: a mesh of real processes on one machine, in the background.
//! - [`demo`]: breaks that mesh, and judges what the coordinator says of it.
//!
//! Nothing here is part of the product; everything binds to loopback unless told otherwise.

pub mod ca;
pub mod connect_proxy;
pub mod demo;
pub mod dns;
pub mod down;
pub mod hostile;
mod listen;
mod mesh;
pub mod oauth;
pub mod proxy;
mod quic;
pub mod recorder;
pub mod sdk;
pub mod server;
pub mod up;
pub mod world;
