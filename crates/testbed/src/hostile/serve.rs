//! Listens, and lets a behaviour loose on what connects.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::log::Log;
use super::request::{self, Request};
use super::talk::{After, Talk, honest};
use super::{Behaviour, Way, h2, h3, names, network, tls};

/// What runs.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) url: String,
    pub(super) address: SocketAddr,
    pub(super) name_server: Option<SocketAddr>,
    pub(super) authority: Option<String>,
    pub(super) log: Arc<Log>,
    /// What holds a port without listening as it should.
    _held: Option<network::Held>,
}

/// What every connection needs.
#[derive(Clone)]
struct Site {
    way: Way,
    origin: Arc<str>,
    acceptor: Option<TlsAcceptor>,
    log: Arc<Log>,
}

pub(super) async fn start(
    behaviour: &Behaviour,
    bind: SocketAddr,
    token: CancellationToken,
) -> anyhow::Result<Served> {
    let way = behaviour.way;
    let log = Arc::new(Log::default());
    if let Way::H3(trick) = way {
        let (address, authority) = h3::start(trick, bind, Arc::clone(&log), token).await?;
        return Ok(Served {
            url: format!("https://{address}/mcp"),
            address,
            name_server: None,
            authority: Some(authority),
            log,
            _held: None,
        });
    }
    let shown = match way {
        Way::Https(_) => Some(tls::Shown::honest(&[b"http/1.1"])?),
        Way::H2(_) => Some(tls::Shown::honest(&[b"h2"])?),
        Way::Tls(trick) => Some(trick.shown()?),
        Way::Http(_) | Way::Tcp(_) | Way::Dns(_) | Way::H3(_) => None,
    };
    let scheme = if shown.is_some() { "https" } else { "http" };
    let authority = shown.as_ref().map(|shown| shown.authority.clone());
    let acceptor = shown.map(|shown| TlsAcceptor::from(Arc::new(shown.config)));
    if let Way::Tcp(trick) = way
        && let Some(held) = network::Held::of(trick, bind).await?
    {
        let address = held.address;
        return Ok(Served {
            url: format!("http://{address}/mcp"),
            address,
            name_server: None,
            authority,
            log,
            _held: Some(held),
        });
    }
    let listener = TcpListener::bind(bind).await.context("binding")?;
    let address = listener.local_addr().context("the bound address")?;
    let mut host = address.to_string();
    let mut name_server = None;
    if let Way::Dns(lie) = way {
        host = format!("{}:{}", names::NAME, address.port());
        let bound = names::start(lie, address.ip(), Arc::clone(&log), token.clone()).await;
        name_server = Some(bound.context("binding the name server")?);
    }
    let origin = format!("{scheme}://{host}");
    let url = format!("{origin}/mcp");
    let site = Site {
        way,
        origin: origin.into(),
        acceptor,
        log: Arc::clone(&log),
    };
    tokio::spawn(accept(listener, site, token));
    Ok(Served {
        url,
        address,
        name_server,
        authority,
        log,
        _held: None,
    })
}

async fn accept(listener: TcpListener, site: Site, token: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Running out of sockets passes; a test that sees it fails by itself.
        let Ok((stream, _)) = accepted else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (site, token) = (site.clone(), token.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                // The probe hangs up at will.
                _ = connection(stream, &site) => {}
            }
        });
    }
}

async fn connection(mut stream: TcpStream, site: &Site) -> io::Result<()> {
    match site.way {
        Way::Tcp(network::Trick::Reset) => return reset(&stream),
        Way::Tcp(_) => {
            stream.shutdown().await?;
            // What is left unread would make a reset of it.
            let mut unread = Vec::new();
            stream.take(1 << 20).read_to_end(&mut unread).await?;
            return Ok(());
        }
        Way::Tls(trick) => {
            if let Some(talk) = trick.before_handshake(&mut stream).await? {
                let after = talk.say(&mut stream, &site.log).await?;
                if after == After::Reset {
                    reset(&stream)?;
                }
                return Ok(());
            }
        }
        Way::Http(_) | Way::Https(_) | Way::H2(_) | Way::H3(_) | Way::Dns(_) => {}
    }
    let Some(acceptor) = &site.acceptor else {
        if requests(&mut stream, site).await? == After::Reset {
            reset(&stream)?;
        }
        return Ok(());
    };
    let mut stream = acceptor.accept(stream).await?;
    if let Way::H2(say) = site.way {
        h2::converse(&mut stream, say, &site.log).await?;
        return Ok(());
    }
    match requests(&mut stream, site).await? {
        After::Reset => reset(stream.get_ref().0)?,
        // A clean end of TLS says that the answer is whole: that is what a cut one must not have.
        After::Close if matches!(site.way, Way::Tls(tls::Trick::Cut)) => {}
        After::Next | After::Close => stream.shutdown().await?,
    }
    Ok(())
}

async fn requests(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    site: &Site,
) -> io::Result<After> {
    let mut buffer = Vec::new();
    while let Some(request) = request::read(io, &mut buffer, &site.origin).await? {
        site.log.request(&request);
        let talk = say(site.way, &request);
        site.log.answer(&request, &talk.bytes);
        let after = talk.say(io, &site.log).await?;
        if after != After::Next {
            return Ok(after);
        }
    }
    Ok(After::Close)
}

fn say(way: Way, request: &Request) -> Talk {
    match way {
        Way::Http(say) | Way::Https(say) => say(request),
        Way::Tls(trick) => trick.say(request),
        // Each page on a connection of its own: a name would be asked again.
        Way::Dns(_) => honest(request).and_close(),
        Way::H2(_) | Way::H3(_) | Way::Tcp(_) => honest(request),
    }
}

fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
