//! One exchange: send a request, read its response, stamp everything where it happens.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use mcp::limits::CLOSE_BYTES;
use mcp::{ExchangeId, Head};
use model::{Class, Phase, Reason};
use tokio::sync::{mpsc, oneshot};

use crate::body::Told;
use crate::clock::now;
use crate::fault::{self, Fault};
use crate::h3;
use crate::link::{Link, Sender};
use crate::network::HostHeader;
use crate::stamp::FirstByte;

/// What happened in an exchange, and when.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) exchange: ExchangeId,
    pub(crate) at: Instant,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Phase(Phase),
    Head(Head),
    Chunk(Bytes),
    End,
    Failed(Fault),
}

/// Where the events of one exchange go.
pub(crate) struct Outlet {
    exchange: ExchangeId,
    events: mpsc::Sender<Event>,
    /// Phases that found the queue full; they go before the next event.
    waiting: Mutex<Vec<(Phase, Instant)>>,
}

impl Outlet {
    pub(crate) fn new(exchange: ExchangeId, events: mpsc::Sender<Event>) -> Self {
        Self {
            exchange,
            events,
            waiting: Mutex::default(),
        }
    }

    /// Waits for room: a flood of chunks is throttled by the state machine that reads them.
    async fn tell(&self, what: What, at: Instant) {
        let waiting = std::mem::take(&mut *self.lock());
        for (phase, at) in waiting {
            let what = What::Phase(phase);
            let event = Event {
                exchange: self.exchange,
                at,
                what,
            };
            let _ = self.events.send(event).await;
        }
        let event = Event {
            exchange: self.exchange,
            at,
            what,
        };
        // The probe is over when nobody listens.
        let _ = self.events.send(event).await;
    }

    fn phase(&self, phase: Phase, at: Instant) {
        let what = What::Phase(phase);
        let event = Event {
            exchange: self.exchange,
            at,
            what,
        };
        let mut waiting = self.lock();
        let in_order = waiting.is_empty();
        if !in_order
            || matches!(
                self.events.try_send(event),
                Err(mpsc::error::TrySendError::Full(_))
            )
        {
            waiting.push((phase, at));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Phase, Instant)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a response, whatever it came over.
enum Answer {
    Stream(Incoming),
    H3(Box<h3::Stream>),
}

impl Answer {
    /// The next piece of it; `None` at its end.
    async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        let body = match self {
            Self::Stream(body) => body,
            Self::H3(body) => return body.chunk().await,
        };
        loop {
            let frame = body.frame().await?;
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                // Trailers say nothing here.
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(fault::of_http(&error, true))),
            }
        }
    }
}

/// Runs one exchange to its end and gives the connection back.
pub(crate) async fn run(
    link: Arc<Link>,
    request: mcp::Request,
    headers: Arc<HeaderMap>,
    outlet: Outlet,
) {
    if request.method == Method::DELETE {
        // Who floods a probe still gets its session back.
        link.meter.grant(CLOSE_BYTES);
    }
    if let Err(fault) = converse(&link, &request, &headers, &outlet).await {
        let at = now();
        let mut fault = link.sharpen(fault);
        // However HTTP puts it, that was the end of it.
        if link.meter.is_spent() && fault.reason.class() != Class::Ours {
            fault.reason = Reason::HttpBodyTooLarge;
            fault.detail = format!("the probe has read {} bytes in all", link.meter.read());
        }
        outlet.tell(What::Failed(fault), at).await;
    }
}

async fn converse(
    link: &Link,
    request: &mcp::Request,
    headers: &HeaderMap,
    outlet: &Outlet,
) -> Result<(), Fault> {
    let (sender, response) = open(link, request, headers, outlet).await?;
    let first_byte = sender.stamp().and_then(FirstByte::at);
    let (parts, mut body) = response.into_parts();
    link.observe(&parts.headers);
    let head = Head {
        status: parts.status,
        headers: parts.headers,
    };
    outlet
        .tell(What::Head(head), first_byte.unwrap_or_else(now))
        .await;
    while let Some(data) = body.next().await {
        outlet.tell(What::Chunk(data?), now()).await;
    }
    let ended = now();
    // Back before the end is told: the next request must find the connection.
    if matches!(sender, Sender::H1(..)) {
        link.checkin(sender);
    }
    outlet.tell(What::End, ended).await;
    Ok(())
}

/// Sends the request, on a new connection if the used one turns out to be gone: where it took
/// nothing of the request, or where it answered nothing and the request may be repeated (RFC 9112
/// §9.3.1: servers close idle connections without a word, and requests cross the end).
/// Nothing else is ever tried again here: a target that is in trouble gets no more for it.
async fn open(
    link: &Link,
    request: &mcp::Request,
    headers: &HeaderMap,
    outlet: &Outlet,
) -> Result<(Sender, Response<Answer>), Fault> {
    let phase = |phase| outlet.phase(phase, now());
    let mut retried = false;
    loop {
        let (mut sender, is_used) = link.checkout(&phase).await?;
        let (body, taken) = Told::new(Bytes::copy_from_slice(&request.body));
        let dressed =
            dress(request, headers, body, &sender, link.host()).map_err(|error| Fault {
                reason: Reason::ProberInternal,
                detail: format!("the request cannot be built: {error}"),
            })?;
        if let Sender::H3(connection) = &mut sender {
            match over_h3(connection, dressed, request, outlet).await {
                Ok(response) => return settled(sender, response),
                Err(failed) if failed.is_unsent && !retried => retried = true,
                Err(failed) => return Err(failed.fault),
            }
            continue;
        }
        match ask(&mut sender, dressed, taken, outlet).await {
            Ok(response) => return settled(sender, response.map(Answer::Stream)),
            Err(mut error) => {
                let is_unsent = error.take_message().is_some();
                let error = error.into_error();
                let fault = fault::of_http(&error, false);
                let is_gone = matches!(fault.reason, Reason::HttpConnClosed | Reason::TcpReset);
                let is_silent = sender.stamp().is_some_and(|stamp| stamp.at().is_none());
                let may_repeat = is_used && is_gone && is_silent && request.may_repeat();
                if (is_unsent || may_repeat) && !retried {
                    retried = true;
                    continue;
                }
                let is_told = !error.is_canceled() || std::error::Error::source(&error).is_some();
                if is_told {
                    return Err(fault);
                }
                return Err(link.why_ended().await.unwrap_or(fault));
            }
        }
    }
}

/// Sends a request over a connection and waits for the head of its answer, telling where sending ends.
async fn ask(
    sender: &mut Sender,
    request: Request<Told>,
    taken: oneshot::Receiver<Instant>,
    outlet: &Outlet,
) -> Result<Response<Incoming>, Box<TrySendError<Request<Told>>>> {
    outlet.phase(Phase::Send, now());
    let has_body = !http_body::Body::is_end_stream(request.body());
    let stamp = sender.stamp().cloned();
    let response = async {
        match sender {
            Sender::H1(connection, stamp) => {
                stamp.arm();
                connection.try_send_request(request).await
            }
            Sender::H2(connection) => connection.try_send_request(request).await,
            // Asked in `over_h3`.
            Sender::H3(_) => std::future::pending().await,
        }
    };
    let mut is_sent = false;
    let sent = async {
        let at = if has_body { taken.await.ok() } else { None };
        let at = match (at, &stamp) {
            (Some(at), Some(stamp)) => Some(stamp.written(at).await),
            (at, _) => at,
        };
        outlet.phase(Phase::Wait, at.unwrap_or_else(now));
        is_sent = true;
        std::future::pending::<Infallible>().await
    };
    let answered = tokio::select! {
        biased;
        // First, so that a quick answer does not hide that the request was sent.
        never = sent => match never {},
        answered = response => answered,
    };
    if answered.is_ok() && !is_sent {
        // It answers what it has not read to the end.
        let first_byte = stamp.as_ref().and_then(FirstByte::at);
        outlet.phase(Phase::Wait, first_byte.unwrap_or_else(now));
    }
    answered.map_err(Box::new)
}

/// Sends the request over HTTP/3. A connection that does not take it is left.
async fn over_h3(
    connection: &mut h3::Sender,
    dressed: Request<Told>,
    request: &mcp::Request,
    outlet: &Outlet,
) -> Result<Response<Answer>, h3::Failed> {
    outlet.phase(Phase::Send, now());
    let sent = || outlet.phase(Phase::Wait, now());
    let body = Bytes::copy_from_slice(&request.body);
    let asked = connection.ask(dressed.map(|_| ()), body, &sent).await;
    if let Err(failed) = &asked
        && failed.is_unsent
    {
        connection.leave();
    }
    asked.map(|response| response.map(|body| Answer::H3(Box::new(body))))
}

/// An answer that may be read.
fn settled(
    sender: Sender,
    response: Response<Answer>,
) -> Result<(Sender, Response<Answer>), Fault> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault {
            reason: Reason::HttpProtocol,
            detail: "101: the server switches to a protocol that nobody offered".to_owned(),
        });
    }
    Ok((sender, response))
}

/// The request as it goes out: with the user's headers, and in the form that the HTTP version
/// wants.
fn dress(
    request: &mcp::Request,
    headers: &HeaderMap,
    body: Told,
    sender: &Sender,
    host: Option<&HostHeader>,
) -> Result<Request<Told>, http::Error> {
    let url = &request.url;
    let authority = match (host, url.port()) {
        (Some(host), _) => host.to_string(),
        (None, Some(port)) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        (None, None) => url.host_str().unwrap_or_default().to_owned(),
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let uri = match sender {
        Sender::H1(..) => path.parse::<Uri>()?,
        Sender::H2(_) | Sender::H3(_) => Uri::builder()
            .scheme(url.scheme())
            .authority(authority.as_str())
            .path_and_query(path)
            .build()?,
    };
    let mut out = Request::builder()
        .method(request.method.clone())
        .uri(uri)
        .body(body)?;
    let all = out.headers_mut();
    *all = request.headers.clone();
    if matches!(sender, Sender::H1(..)) {
        all.insert(HOST, HeaderValue::from_str(&authority)?);
    }
    // Compression would blur the timing, and a bomb could not be told from an answer.
    all.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for name in headers.keys() {
        all.remove(name);
    }
    for (name, value) in headers {
        all.append(name.clone(), value.clone());
    }
    Ok(out)
}
