//! When a request was written, and when the first byte of its response came in.
//!
//! hyper tells when a head is complete; a head that drips in would then count as waiting. So the
//! byte stream itself remembers when it first read something after it was armed. And hyper takes a
//! body before it is written: a request that the server does not read would count as waiting too.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use dial::Io;
use dial::tcp_info::TcpInfo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::meter::Metered;

/// The stamp of one connection, shared with whoever reads it.
#[derive(Debug, Clone)]
pub(crate) struct FirstByte {
    base: Instant,
    /// Nanoseconds since `base`; zero while armed.
    nanos: Arc<AtomicU64>,
    /// When the kernel last had all that there was to write.
    written: Arc<watch::Sender<Option<Instant>>>,
}

impl FirstByte {
    pub(crate) fn new(base: Instant) -> Self {
        Self {
            base,
            nanos: Arc::default(),
            written: Arc::new(watch::Sender::new(None)),
        }
    }

    /// When the kernel had everything that was there to write at `taken`, or when an answer came before
    /// that. Pending where neither comes.
    pub(crate) async fn written(&self, taken: Instant) -> Instant {
        let mut written = self.written.subscribe();
        let later = |at: &Option<Instant>| at.is_some_and(|at| at >= taken);
        let found = written.wait_for(later).await;
        let at = found.ok().and_then(|at| *at).unwrap_or(taken);
        self.at().map_or(at, |first| at.min(first))
    }

    /// The next byte that is read is the first one.
    pub(crate) fn arm(&self) {
        self.nanos.store(0, Ordering::Relaxed);
    }

    /// When the first byte came, if one did.
    pub(crate) fn at(&self) -> Option<Instant> {
        match self.nanos.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(self.base + Duration::from_nanos(nanos)),
        }
    }

    fn note(&self) {
        if self.nanos.load(Ordering::Relaxed) == 0 {
            let elapsed = crate::clock::now().saturating_duration_since(self.base);
            let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1);
            self.nanos.store(nanos, Ordering::Relaxed);
        }
    }
}

/// What the kernel last knew of one connection, shared with whoever reports it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge(Arc<Mutex<Option<TcpInfo>>>);

impl Gauge {
    pub(crate) fn read(&self) -> Option<TcpInfo> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, io: &Io) {
        if let Some(info) = io.tcp_info() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(info);
        }
    }
}

/// A byte stream that stamps its first byte, and tells what the kernel knew of it at its end.
#[derive(Debug)]
pub(crate) struct Stamped {
    pub(crate) io: Metered,
    pub(crate) first_byte: FirstByte,
    pub(crate) gauge: Gauge,
    /// Something was written, and not flushed since.
    pub(crate) is_dirty: bool,
}

impl Drop for Stamped {
    /// Also where nothing was ever answered: segments that were sent again say why.
    fn drop(&mut self) {
        self.gauge.note(&self.io.io);
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.first_byte.note();
        }
        polled
    }
}

impl AsyncWrite for Stamped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_dirty = true;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        if self.is_dirty && matches!(polled, Poll::Ready(Ok(()))) {
            self.is_dirty = false;
            let at = crate::clock::now();
            self.first_byte.written.send_replace(Some(at));
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
