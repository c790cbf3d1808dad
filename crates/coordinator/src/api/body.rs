//! Bodies of requests that come slowly.

use std::future::Future as _;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;

use super::BODY;

/// Gives the body of a request [`BODY`] to be read whole, from now on: how large it may be is another
/// bound, and one byte at a time would keep within that for hours.
pub(super) async fn within_its_time(request: Request) -> Request {
    request.map(|inner| {
        if inner.is_end_stream() {
            return inner;
        }
        let end = Box::pin(tokio::time::sleep(BODY));
        Body::new(Timed { inner, end })
    })
}

struct Timed {
    inner: Body,
    end: Pin<Box<Sleep>>,
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if frame.is_pending() && self.end.as_mut().poll(cx).is_ready() {
            let late = std::io::Error::from(ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(axum::Error::new(late))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_body_that_does_not_come_ends() {
        let timed = |ms| {
            let pieces = tokio_stream::once(Ok::<_, std::io::Error>("{"));
            let endless = tokio_stream::StreamExt::chain(pieces, tokio_stream::pending());
            Timed {
                inner: Body::from_stream(endless),
                end: Box::pin(tokio::time::sleep(Duration::from_millis(ms))),
            }
        };
        let read = axum::body::to_bytes(Body::new(timed(20)), 100).await;
        let error = read.unwrap_err().to_string();
        assert!(error.contains("timed out"), "{error}");
    }

    #[tokio::test]
    async fn a_body_that_comes_is_read() {
        let request = Request::new(Body::from("{}"));
        let body = within_its_time(request).await.into_body();
        assert_eq!(axum::body::to_bytes(body, 100).await.unwrap(), "{}");
    }
}
