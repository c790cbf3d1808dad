//! How much one probe has read, and no more than it may.
//!
//! Limits of single answers are the state machine's. This one is of the whole probe, below HTTP: a
//! flood of frames, heads or pages ends here, whatever it is made of.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use dial::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the connections of one probe have read, and may read.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<Amounts>);

#[derive(Debug)]
struct Amounts {
    read: AtomicU64,
    limit: AtomicU64,
}

impl Meter {
    /// Nothing read, `limit` bytes allowed.
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Amounts {
            read: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
        }))
    }

    /// Bytes read so far.
    pub(crate) fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Counts `bytes` that were read; `false` where no more may be. For what is no byte stream.
    #[cfg(feature = "http3")]
    pub(crate) fn take(&self, bytes: usize) -> bool {
        self.0.read.fetch_add(bytes as u64, Ordering::Relaxed);
        !self.is_spent()
    }

    /// Whether all that was allowed has been read.
    pub(crate) fn is_spent(&self) -> bool {
        self.read() >= self.0.limit.load(Ordering::Relaxed)
    }

    /// Allows `more` bytes beyond what has been read, if less is left.
    pub(crate) fn grant(&self, more: u64) {
        let limit = self.read().saturating_add(more);
        self.0.limit.fetch_max(limit, Ordering::Relaxed);
    }
}

/// A byte stream whose reading is counted.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) io: Io,
    pub(crate) meter: Meter,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.meter.is_spent() {
            let error = io::Error::other("the probe has read all that it may");
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.meter.0.read.fetch_add(read as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
