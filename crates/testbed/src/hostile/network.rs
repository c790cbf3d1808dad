//! What happens to a connection before anything is said.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;

use super::talk::Talk;
use super::{Behaviour, Way};
use model::EraPolicy;

/// What happens to a connection before anything is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trick {
    /// Nobody listens.
    Refuse,
    /// The queue of the listener is full: nothing answers.
    Stall,
    /// It is reset at once.
    Reset,
    /// It is closed at once.
    Close,
}

pub(super) const LIST: [Behaviour; 7] = [
    tcp("tcp-refused", "nobody listens on the port", Trick::Refuse),
    tcp(
        "tcp-stalled",
        "nothing answers the attempt to connect",
        Trick::Stall,
    ),
    tcp("tcp-reset", "the connection is reset at once", Trick::Reset),
    tcp(
        "tcp-closed",
        "the connection is closed at once",
        Trick::Close,
    ),
    Behaviour::modern("reset-after-request", "a reset is the answer", |_| {
        Talk::resetting("")
    }),
    Behaviour::modern("reset-in-head", "a reset cuts the head", |_| {
        Talk::resetting("HTTP/1.1 200 OK\r\ncontent-ty")
    }),
    Behaviour::modern("reset-in-body", "a reset cuts the body", |_| {
        let cut =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
        Talk::of(cut).and_reset_later()
    }),
];

const fn tcp(name: &'static str, what: &'static str, trick: Trick) -> Behaviour {
    Behaviour::new(name, what, EraPolicy::Modern, Way::Tcp(trick))
}

/// A port that is held, but does not accept.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) address: SocketAddr,
    _socket: Socket,
    _filler: Option<TcpStream>,
}

impl Held {
    /// A port for tricks that accept nothing; `None` for the others.
    pub(super) async fn of(trick: Trick, bind: SocketAddr) -> io::Result<Option<Self>> {
        let is_full = match trick {
            Trick::Refuse => false,
            Trick::Stall => true,
            Trick::Reset | Trick::Close => return Ok(None),
        };
        let socket = Socket::new(Domain::for_address(bind), Type::STREAM, None)?;
        socket.bind(&bind.into())?;
        let address = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("no address of the internet"))?;
        let mut filler = None;
        if is_full {
            // A queue of none still takes one (listen(2)); what follows it is dropped.
            socket.listen(0)?;
            filler = Some(TcpStream::connect(address).await?);
        }
        Ok(Some(Self {
            address,
            _socket: socket,
            _filler: filler,
        }))
    }
}
