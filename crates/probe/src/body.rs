//! A request body that tells when it was taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

/// One piece of bytes; `taken` learns when the connection took it for sending.
#[derive(Debug)]
pub(crate) struct Told {
    bytes: Option<Bytes>,
    taken: Option<oneshot::Sender<Instant>>,
}

impl Told {
    /// A body, and the moment at which its last byte is handed over.
    pub(crate) fn new(bytes: Bytes) -> (Self, oneshot::Receiver<Instant>) {
        let (taken, when) = oneshot::channel();
        let body = Self {
            bytes: (!bytes.is_empty()).then_some(bytes),
            taken: Some(taken),
        };
        (body, when)
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(taken) = self.taken.take() {
            // Nobody listens any more when the exchange was aborted.
            let _ = taken.send(crate::clock::now());
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}
