//! One request over HTTP/3, and its response.

use bytes::{Buf as _, Bytes};
use h3::client::RequestStream;
use h3::error::{Code, StreamError};
use h3_quinn::{BidiStream, quinn};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response, StatusCode};
use model::Reason;

use super::stream::Steady;
use super::{Sender, fault};
use crate::fault::Fault;

/// Interim responses that may come before the one that counts (RFC 9110 §15.2).
const MAX_INTERIM: u32 = 16;

/// A request that failed before its response began.
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    /// Whether the server took nothing of it.
    pub(crate) is_unsent: bool,
}

/// The body of a response.
pub(crate) struct Stream {
    inner: RequestStream<Steady<BidiStream<Bytes>>, Bytes>,
    connection: quinn::Connection,
    /// What `Content-Length` says is still to come.
    announced: Option<u64>,
    is_over: bool,
}

impl Sender {
    /// Sends a request and waits for the head of its response; `sent` is called in between.
    pub(crate) async fn ask(
        &mut self,
        request: Request<()>,
        body: Bytes,
        sent: &(dyn Fn() + Send + Sync),
    ) -> Result<Response<Stream>, Failed> {
        let failed = |error: &StreamError| Failed {
            fault: fault::of_stream(&self.connection, error, false),
            is_unsent: fault::is_unsent(error),
        };
        let inner = self.requests.send_request(request).await;
        let mut stream = Stream {
            inner: inner.map_err(|error| failed(&error))?,
            connection: self.connection.clone(),
            announced: None,
            is_over: false,
        };
        // A server may answer before it has read all, and stop reading (RFC 9114 §4.1).
        let is_taken = body.is_empty() || stream.inner.send_data(body).await.is_ok();
        if is_taken {
            // What fails here fails for the response too.
            let _ = stream.inner.finish().await;
        }
        sent();
        let response = stream.head().await;
        let response = response.map_err(|error| failed(&error))?;
        if response.status().is_informational()
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            return Err(Failed {
                fault: Fault {
                    reason: Reason::HttpProtocol,
                    detail: format!("more than {MAX_INTERIM} interim responses"),
                },
                is_unsent: false,
            });
        }
        stream.announced = content_length(response.headers());
        Ok(response.map(|()| stream))
    }
}

impl Stream {
    async fn head(&mut self) -> Result<Response<()>, StreamError> {
        let mut interim = 0;
        loop {
            let response = self.inner.recv_response().await?;
            let is_interim = response.status().is_informational()
                && response.status() != StatusCode::SWITCHING_PROTOCOLS;
            if !is_interim || interim == MAX_INTERIM {
                return Ok(response);
            }
            interim += 1;
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, Fault>> {
        let received = self.inner.recv_data().await;
        let received = received.map(|data| {
            data.map(|mut data| {
                let length = data.remaining();
                data.copy_to_bytes(length)
            })
        });
        match received {
            Ok(Some(bytes)) => {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                match self.announced {
                    Some(left) if left < length => return Some(Err(self.unlike())),
                    Some(left) => self.announced = Some(left - length),
                    None => {}
                }
                Some(Ok(bytes))
            }
            Ok(None) => {
                self.is_over = true;
                matches!(self.announced, Some(1..)).then(|| Err(self.unlike()))
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(fault::of_stream(&self.connection, &error, true)))
            }
        }
    }

    /// RFC 9114 §4.1.2: such a response is malformed.
    fn unlike(&self) -> Fault {
        Fault {
            reason: Reason::HttpProtocol,
            detail: "the body is not as long as content-length says".to_owned(),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_over {
            self.inner.stop_sending(Code::H3_REQUEST_CANCELLED);
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
