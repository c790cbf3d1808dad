//! One request to somewhere, one answer: over [`dial`], without redirects, bounded in bytes and time.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use dial::{Alpn, Connection, Dialer, Endpoint, Origin, Progress, Proxy, Sni};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use model::report::{AuthExchange, AuthStep};
use model::{ConnectTo, Phase, Reason, TargetUrl};
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use crate::metadata::MAX_DOCUMENT_BYTES;
use crate::place;
use crate::secret::Secret;

/// The largest response head.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Header lines of a response.
const MAX_HEADERS: usize = 100;
/// Lines of `WWW-Authenticate` that are kept.
const MAX_CHALLENGES: usize = 4;
/// How long one exchange may take.
const EXCHANGE: Duration = Duration::from_secs(5);
/// How long all exchanges of one [`Net`] may take: discovery, and the token.
const IN_ALL: Duration = Duration::from_secs(15);

/// Where everything starts: the target, and how the probe reaches it.
#[derive(Debug, Clone)]
pub struct Home {
    /// The MCP endpoint.
    pub target: TargetUrl,
    /// Who named it.
    pub origin: Origin,
    /// The proxy that it is reached through.
    pub proxy: Option<Proxy>,
    /// The address at which it was reached, if it was; through a proxy nobody knows it.
    pub address: Option<IpAddr>,
    /// URLs that whoever named the target named beside it: an issuer, a token endpoint. They are
    /// asked as the target is.
    pub typed: Vec<Url>,
    /// How to get there, beside what the URL says.
    pub way: Way,
    /// What every request says of its sender.
    pub user_agent: HeaderValue,
}

/// How the target is reached, beside what its URL says. It holds for the target's own origin: a rule
/// for any host must send no secret of an authorization server to another place.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Where to connect to instead of to its host and port; the first that matches counts.
    pub connect_to: Vec<ConnectTo>,
    /// The name for TLS instead of the target's host.
    pub sni: Option<Sni>,
    /// `Host` instead of the target's host and port.
    pub host: Option<HeaderValue>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, at most [`MAX_DOCUMENT_BYTES`].
    pub body: Bytes,
    /// The lines of `WWW-Authenticate`.
    pub challenges: Vec<String>,
    /// Who answered.
    pub address: Option<IpAddr>,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// What happened, in a few words; text of the peer in it is escaped.
    pub detail: String,
}

impl Fault {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// A request to send.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) authorization: Option<Secret>,
    pub(crate) body: Bytes,
    /// Whether more of the answer is wanted than its head.
    pub(crate) wants_body: bool,
}

impl Outgoing {
    pub(crate) fn get(url: &Url) -> Self {
        Self {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            authorization: None,
            body: Bytes::new(),
            wants_body: true,
        }
    }

    pub(crate) fn post(url: &Url, media: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        Self {
            method: Method::POST,
            url: url.clone(),
            headers,
            authorization: None,
            body: body.into(),
            wants_body: true,
        }
    }
}

/// The way out: what may be asked, and what has been.
pub struct Net {
    dialer: Dialer,
    led: Dialer,
    home: Home,
    deadline: Instant,
    exchanges: Vec<AuthExchange>,
}

impl Net {
    /// A way out from `home`. Its time begins now.
    #[must_use]
    pub fn new(dialer: &Dialer, home: Home) -> Self {
        Self {
            dialer: dialer.clone(),
            led: dialer.led_by(home.address, home.origin),
            home,
            deadline: Instant::now() + IN_ALL,
            exchanges: Vec::new(),
        }
    }

    /// Where it starts.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// What was asked so far, in order.
    #[must_use]
    pub fn exchanges(&self) -> &[AuthExchange] {
        &self.exchanges
    }

    /// Asks the target itself without a credential, with this body and these headers of MCP, to
    /// see its challenge.
    pub async fn challenge(&mut self, headers: HeaderMap, body: String) -> Result<Answer, Fault> {
        let url = self.home.target.as_url().clone();
        let mut outgoing = Outgoing::post(&url, "application/json", body);
        outgoing.headers.extend(headers);
        outgoing.wants_body = false;
        self.send(AuthStep::Challenge, outgoing).await
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(
        &mut self,
        step: AuthStep,
        outgoing: Outgoing,
    ) -> Result<Answer, Fault> {
        let began = Instant::now();
        let url = place::shown(&outgoing.url);
        let is_home = self.is_home(&outgoing.url);
        let phase = Mutex::new(Phase::Dns);
        let enter = |next: Phase| {
            if let Ok(mut phase) = phase.lock() {
                *phase = next;
            }
        };
        let deadline = self.deadline.min(began + EXCHANGE);
        let talked = tokio::time::timeout_at(deadline, self.converse(outgoing, &enter)).await;
        let answer = talked.unwrap_or_else(|_| {
            let phase = phase.lock().map_or(Phase::Wait, |phase| *phase);
            let waited = began.elapsed().as_secs_f64();
            Err(Fault::new(
                late(phase),
                format!("no answer after {waited:.1} s"),
            ))
        });
        // What the target leads to is no more private than where the target was reached.
        if let Ok(answer) = &answer
            && is_home
            && self.home.address.is_none()
            && self.home.proxy.is_none()
        {
            self.home.address = answer.address;
            self.led = self.dialer.led_by(answer.address, self.home.origin);
        }
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.exchanges.push(AuthExchange {
            step,
            url,
            http_status: answer.as_ref().ok().map(|answer| answer.status),
            reason: answer.as_ref().err().map(|fault| fault.reason),
            detail: answer.as_ref().err().map(|fault| fault.detail.clone()),
            total_us: micros,
        });
        answer
    }

    /// What is wrong with the last answer.
    pub(crate) fn remark(&mut self, problem: Option<String>) {
        if let Some(last) = self.exchanges.last_mut()
            && problem.is_some()
        {
            last.detail = problem;
        }
    }

    async fn converse(
        &self,
        outgoing: Outgoing,
        phase: &(dyn Fn(Phase) + Send + Sync),
    ) -> Result<Answer, Fault> {
        let wants_body = outgoing.wants_body;
        let connection = self.connect(&outgoing.url, phase).await?;
        let address = Some(connection.address.ip());
        phase(Phase::Send);
        let failed = |error: hyper::Error| {
            let detail = model::text::line(&error.to_string(), 160);
            let is_cut = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
            let reason = if is_cut {
                Reason::HttpConnClosed
            } else {
                Reason::HttpProtocol
            };
            Fault::new(reason, detail)
        };
        let (mut sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(connection.io))
            .await
            .map_err(failed)?;
        // Ends with this exchange, however it ends.
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        let is_home = self.is_home(&outgoing.url);
        let host = self.home.way.host.clone().filter(|_| is_home);
        let request = dress(outgoing, host, self.home.user_agent.clone())?;
        phase(Phase::Wait);
        let response = sender.send_request(request).await.map_err(failed)?;
        phase(Phase::Receive);
        let status = response.status().as_u16();
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges = challenges.iter().filter_map(|value| value.to_str().ok());
        let challenges = challenges.take(MAX_CHALLENGES).map(str::to_owned).collect();
        if !wants_body {
            // Whatever follows, a page or a stream that stays open, is of no interest.
            return Ok(Answer {
                status,
                body: Bytes::new(),
                challenges,
                address,
            });
        }
        let body = Limited::new(response.into_body(), MAX_DOCUMENT_BYTES);
        let body = body.collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return Fault::new(Reason::HttpBodyTooLarge, "the answer is larger than 64 KiB");
            }
            let detail = model::text::line(&error.to_string(), 160);
            Fault::new(Reason::HttpConnClosed, detail)
        })?;
        Ok(Answer {
            status,
            body: body.to_bytes(),
            challenges,
            address,
        })
    }

    fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.home.target.as_url().origin()
    }

    /// Connects as the URL deserves: the target's own origin, and what was named beside the target, as
    /// the target; everything else as a stranger's word.
    async fn connect(
        &self,
        url: &Url,
        phase: &(dyn Fn(Phase) + Send + Sync),
    ) -> Result<Connection, Fault> {
        let bad = |detail: String| Fault::new(Reason::DnsBlockedAddr, detail);
        let target: TargetUrl = url
            .as_str()
            .parse()
            .map_err(|error: model::target::TargetUrlError| bad(error.to_string()))?;
        let endpoint =
            Endpoint::of(&target).ok_or_else(|| bad("the URL has no host".to_owned()))?;
        let is_typed = self
            .home
            .typed
            .iter()
            .any(|typed| typed.origin() == url.origin());
        let (dialer, origin) = if self.is_home(url) || is_typed {
            (&self.dialer, self.home.origin)
        } else {
            (&self.led, Origin::Remote)
        };
        let endpoint = endpoint.through(self.home.proxy.clone());
        let way = &self.home.way;
        let endpoint = if self.is_home(url) {
            endpoint.detoured(&way.connect_to).named(way.sni.clone())
        } else {
            endpoint
        };
        let watch = |progress: Progress<'_>| match progress {
            Progress::Phase(begun) => phase(begun),
            Progress::Resolved(_) | Progress::Connected(_) => {}
        };
        let dialed = dialer
            .dial(&endpoint, origin, Alpn::Http1, &[], &watch)
            .await;
        dialed.map_err(|error| Fault::new(error.reason, error.detail))
    }
}

fn dress(
    outgoing: Outgoing,
    host: Option<HeaderValue>,
    user_agent: HeaderValue,
) -> Result<Request<Full<Bytes>>, Fault> {
    let broken =
        |what: &str| Fault::new(Reason::ProberInternal, format!("{what} is no legal header"));
    let url = &outgoing.url;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let mut request = Request::builder()
        .method(outgoing.method)
        .uri(path)
        .body(Full::new(outgoing.body))
        .map_err(|_| broken("the URL"))?;
    let headers = request.headers_mut();
    let host = host.map_or_else(|| HeaderValue::from_str(&authority), Ok);
    let host = host.map_err(|_| broken("the host"))?;
    headers.insert(header::HOST, host);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    headers.insert(header::USER_AGENT, user_agent);
    headers.extend(outgoing.headers);
    if let Some(authorization) = outgoing.authorization {
        let value = HeaderValue::from_str(authorization.expose());
        let mut value = value.map_err(|_| broken("the client's authentication"))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

const fn late(phase: Phase) -> Reason {
    match phase {
        Phase::Dns => Reason::DnsTimeout,
        Phase::Connect => Reason::TcpTimeout,
        Phase::Tls => Reason::TlsTimeout,
        Phase::Send | Phase::Wait => Reason::HttpTimeoutHeaders,
        Phase::Receive => Reason::HttpTimeoutBody,
    }
}
