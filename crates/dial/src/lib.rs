//! Every outgoing connection of every Parallax binary ends here.
//!
//! Three things must be one: the address that was vetted, the address that is connected to, and
//! the address that is timed. So this crate resolves a name, vets **every** address after
//! resolution, connects to exactly the vetted socket address, and reports each phase as it
//! begins.
//!
//! Invariants:
//! - No socket is opened to an address that [`AddressPolicy`] refuses, whatever the name, the
//!   URL's spelling or the redirect that led there.
//! - A proxy is used where the caller names one, and never by itself from the environment: it would
//!   be measured too. Targets of remote origin are never reached through one, since only the proxy
//!   learns their addresses.
//! - `unsafe` stands in one module, [`tcp_info`].

mod address;
mod client_certificate;
mod connect;
mod diagnose;
mod dialer;
mod endpoint;
mod error;
mod io;
mod options;
mod proxy;
#[cfg(feature = "http3")]
mod quic;
mod resolve;
mod resume;
mod roots;
mod route;
mod sni;
mod system;
pub mod tcp_info;
mod tls;
mod tunnel;
mod verify;

pub use address::{AddressPolicy, Allow, AllowError, Origin};
pub use dialer::{Connection, Dialer, Progress, Watch};
pub use endpoint::Endpoint;
pub use error::DialError;
pub use io::Io;
pub use options::{ClientIdentity, DialerOptions, Family, SetupError, TlsOptions};
pub use proxy::{Proxy, ProxyError};
#[cfg(feature = "http3")]
pub use quic::{Intake, Quic};
pub use resolve::Resolution;
pub use resume::Session;
pub use roots::{Roots, RootsError};
pub use route::has_route;
pub use sni::{Sni, SniError};
pub use system::{SystemRoots, system_roots};
pub use tls::{Alpn, late_alert};
