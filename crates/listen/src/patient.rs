//! Connections whose peer may not read.

use std::future::Future as _;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A connection that ends with [`ErrorKind::TimedOut`] once its peer leaves what was written to it
/// unread: [`Self::LEAST`] bytes must go within the time, or all that there is. Waiting for what the peer
/// writes is bounded elsewhere.
#[derive(Debug)]
pub struct Patient<T> {
    io: T,
    patience: Duration,
    /// While something cannot be written: when that is given up.
    end: Option<Pin<Box<Sleep>>>,
    /// What went since then.
    went: usize,
}

impl<T> Patient<T> {
    /// Less than that within the time is no progress: one byte each would hold a connection for ever.
    pub const LEAST: usize = 4096;

    /// Gives a peer so much time for each piece.
    pub const fn new(io: T, patience: Duration) -> Self {
        Self {
            io,
            patience,
            end: None,
            went: 0,
        }
    }

    /// What came of writing `wanted` bytes.
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(count)) => {
                self.went = self.went.saturating_add(count);
                if count >= wanted || self.went >= Self::LEAST {
                    self.end = None;
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.poll_end(cx));
                Poll::Ready(Err(ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Ready once the peer has had its time.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.end.is_none() {
            self.went = 0;
        }
        let patience = self.patience;
        let begin = || Box::pin(tokio::time::sleep_until(Instant::now() + patience));
        self.end.get_or_insert_with(begin).as_mut().poll(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(cx, buf.len(), wrote)
    }

    // A socket has nothing to flush, and its end waits for nobody.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = bufs.iter().map(|buf| buf.len()).sum();
        let wrote = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(cx, wanted, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Long enough that a peer which reads is never cut off on a busy machine.
    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_cut_off() {
        let (ours, _theirs) = tokio::io::duplex(1000);
        let mut patient = Patient::new(ours, Duration::from_millis(20));
        patient.write_all(&[0; 1000]).await.unwrap();
        let error = patient.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    /// A byte now and then is no reading: the time goes on.
    #[tokio::test]
    async fn a_peer_that_reads_single_bytes_is_cut_off() {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        let mut patient = Patient::new(ours, Duration::from_millis(20));
        let reading = async {
            let mut read = 0;
            while theirs.read_u8().await.is_ok() {
                read += 1;
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            read
        };
        let writing = async {
            let error = patient.write_all(&[0; 64 << 10]).await.unwrap_err();
            drop(patient);
            error.kind()
        };
        let (kind, read) = tokio::join!(writing, reading);
        assert_eq!(kind, ErrorKind::TimedOut);
        assert!(read < 64 << 10, "{read}");
    }

    #[tokio::test]
    async fn a_peer_that_reads_gets_everything() {
        let (ours, mut theirs) = tokio::io::duplex(100);
        let mut patient = Patient::new(ours, LONG);
        let sent: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let writing = async {
            patient.write_all(&sent).await.unwrap();
            patient.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let reading = theirs.read_to_end(&mut received);
        let (read, ()) = tokio::join!(reading, writing);
        assert_eq!(read.unwrap(), sent.len());
        assert!(received == sent && patient.end.is_none());
    }
}
