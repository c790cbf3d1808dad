//! A QUIC stream that bears whatever is asked of it, and whose end is looked at.
//!
//! The library panics when a stream is told to stop, or asked for its number, while a read of it
//! waits, which a server can bring about; and it takes some frames that are cut for a clean end.

use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{OpenStreams, RecvStream, SendStream, StreamErrorIncoming, StreamId, WriteBuf};

use super::frames::Frames;

/// Opens streams for requests.
#[derive(Clone)]
pub(super) struct Opener(pub(super) h3_quinn::OpenStreams);

impl<B: Buf> OpenStreams<B> for Opener {
    type BidiStream = Steady<h3_quinn::BidiStream<B>>;
    type SendStream = h3_quinn::SendStream<B>;

    fn poll_open_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, StreamErrorIncoming>> {
        let opened = OpenStreams::<B>::poll_open_bidi(&mut self.0, cx);
        opened.map_ok(Steady::of_frames)
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        self.0.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        OpenStreams::<B>::close(&mut self.0, code, reason);
    }
}

/// A stream that may be told to stop at any time.
pub(super) struct Steady<S> {
    inner: S,
    id: StreamId,
    is_reading: bool,
    /// Where its frames end, if it has nothing else.
    frames: Option<Frames>,
}

impl<S: RecvStream> Steady<S> {
    /// A stream that was not read yet.
    pub(super) fn new(inner: S) -> Self {
        Self {
            id: inner.recv_id(),
            inner,
            is_reading: false,
            frames: None,
        }
    }

    /// A stream that was not read yet, and that has frames from its first byte on.
    pub(super) fn of_frames(inner: S) -> Self {
        Self {
            frames: Some(Frames::default()),
            ..Self::new(inner)
        }
    }
}

impl<S: RecvStream<Buf = Bytes>> RecvStream for Steady<S> {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let polled = self.inner.poll_data(cx);
        self.is_reading = polled.is_pending();
        match (&polled, &mut self.frames) {
            (Poll::Ready(Ok(Some(bytes))), Some(frames)) => frames.take(bytes),
            // RFC 9114 §7.1.
            (Poll::Ready(Ok(None)), Some(frames)) if frames.is_within() => {
                let error = "the stream ended within a frame";
                return Poll::Ready(Err(StreamErrorIncoming::Unknown(error.into())));
            }
            _ => {}
        }
        polled
    }

    /// Whatever waits for data has the stream, and stops it when it is dropped with this.
    fn stop_sending(&mut self, error_code: u64) {
        if !self.is_reading {
            self.inner.stop_sending(error_code);
        }
    }

    fn recv_id(&self) -> StreamId {
        self.id
    }
}

impl<B: Buf, S: SendStream<B>> SendStream<B> for Steady<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.inner.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.inner.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.inner.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.inner.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.inner.send_id()
    }
}
