//! What a server gives to resume a session with. A probe always makes a full handshake, so that
//! it sees the certificate; what the server issued is counted, and used once when that is asked for.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup};

use crate::client_certificate::Presenter;

/// Tickets of one connection that are kept; servers issue one or two.
const MAX_KEPT: usize = 4;

/// The TLS session of one connection.
#[derive(Debug, Clone)]
pub struct Session {
    /// rustls resumes only under the configuration that a ticket was issued to.
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) tickets: Arc<Tickets>,
    /// What the server is told of the client, in every handshake of that configuration.
    pub(crate) presenter: Arc<Presenter>,
}

impl Session {
    /// How many tickets, or sessions of TLS 1.2, the server has issued so far. In TLS 1.3 they come
    /// after the handshake, with some servers only with the first answer.
    #[must_use]
    pub fn tickets(&self) -> u32 {
        self.tickets.issued.load(Ordering::Relaxed)
    }
}

/// Keeps what a server issues, and gives it back only once it is to be offered.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    issued: AtomicU32,
    is_offered: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tls13: Vec<Tls13ClientSessionValue>,
    tls12: Option<Tls12ClientSessionValue>,
}

impl Tickets {
    /// From now on handshakes offer what was issued.
    pub(crate) fn offer(&self) {
        self.is_offered.store(true, Ordering::Relaxed);
    }

    fn count(&self) {
        // A flood of tickets wraps nothing: the connection's byte budget ends first.
        self.issued.fetch_add(1, Ordering::Relaxed);
    }

    fn kept(&self) -> Option<MutexGuard<'_, Kept>> {
        let is_offered = self.is_offered.load(Ordering::Relaxed);
        is_offered.then(|| self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        // Every probe offers the same, so that every probe sees the same.
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.count();
        self.lock().tls12 = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept()?.tls12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.lock().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.count();
        let mut kept = self.lock();
        if kept.tls13.len() < MAX_KEPT {
            kept.tls13.push(value);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.kept()?.tls13.pop()
    }
}
