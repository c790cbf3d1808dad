//! A QUIC connection whose server may open only so many streams.
//!
//! The library keeps a place for each stream that a server ever opened, and looks through all of
//! them again and again; QUIC's own limit is of those open at a time.

use std::task::{Context, Poll};

use bytes::Buf;
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming};
use h3_quinn::quinn;

use super::stream::{Opener, Steady};

/// Streams that a server may open in all: three of its own (RFC 9114 §6.2), and some of unknown
/// types, with which implementations see to it that unknown types are ignored.
const MAX_STREAMS: u32 = 32;

pub(super) struct Guarded {
    inner: h3_quinn::Connection,
    accepted: u32,
}

impl Guarded {
    pub(super) fn new(connection: quinn::Connection) -> Self {
        Self {
            inner: h3_quinn::Connection::new(connection),
            accepted: 0,
        }
    }
}

impl<B: Buf> quic::Connection<B> for Guarded {
    type RecvStream = Steady<h3_quinn::RecvStream>;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::RecvStream, ConnectionErrorIncoming>> {
        let accepted = quic::Connection::<B>::poll_accept_recv(&mut self.inner, cx);
        if accepted.is_ready() {
            self.accepted += 1;
        }
        if self.accepted > MAX_STREAMS {
            let error = format!("the server opened more than {MAX_STREAMS} streams");
            return Poll::Ready(Err(ConnectionErrorIncoming::InternalError(error)));
        }
        accepted.map_ok(Steady::new)
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, ConnectionErrorIncoming>> {
        quic::Connection::<B>::poll_accept_bidi(&mut self.inner, cx).map_ok(Steady::of_frames)
    }

    fn opener(&self) -> Self::OpenStreams {
        Opener(quic::Connection::<B>::opener(&self.inner))
    }
}

impl<B: Buf> quic::OpenStreams<B> for Guarded {
    type BidiStream = Steady<h3_quinn::BidiStream<B>>;
    type SendStream = h3_quinn::SendStream<B>;

    fn poll_open_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, StreamErrorIncoming>> {
        let opened = quic::OpenStreams::<B>::poll_open_bidi(&mut self.inner, cx);
        opened.map_ok(Steady::of_frames)
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        self.inner.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<B>::close(&mut self.inner, code, reason);
    }
}
