//! What a hostile target saw.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::request::Request;

/// What a hostile target saw.
#[derive(Debug, Default)]
pub struct Log {
    requests: AtomicU64,
    responses: AtomicU64,
    lookups: AtomicU64,
    sent: AtomicU64,
    open: Mutex<BTreeSet<Vec<u8>>>,
}

impl Log {
    /// HTTP requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Requests that carried the answer to a request of the server.
    #[must_use]
    pub fn responses(&self) -> u64 {
        self.responses.load(Ordering::SeqCst)
    }

    /// Questions to its name server.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.lookups.load(Ordering::SeqCst)
    }

    /// Bytes that were handed to the kernel for sending, after TLS is taken off. The probe may have
    /// read fewer.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Sessions that a 2xx `initialize` opened and no `DELETE` gave back.
    #[must_use]
    pub fn sessions_open(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    pub(super) fn asked(&self) {
        self.lookups.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes a request, and which session it gives back.
    pub(super) fn request(&self, request: &Request) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if request.is_answer() {
            self.responses.fetch_add(1, Ordering::SeqCst);
        }
        if request.method == "DELETE"
            && let Some(id) = request.header("mcp-session-id")
        {
            self.lock().remove(id);
        }
    }

    /// Notes which session the answer to a request opens.
    pub(super) fn answer(&self, request: &Request, bytes: &[u8]) {
        if request.rpc() != "initialize" || !bytes.starts_with(b"HTTP/1.1 2") {
            return;
        }
        let field = b"mcp-session-id: ";
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let found = lines.find_map(|line| line.strip_prefix(field));
        // An empty id is none.
        if let Some(id) = found.map(<[u8]>::trim_ascii).filter(|id| !id.is_empty()) {
            self.lock().insert(id.to_vec());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
