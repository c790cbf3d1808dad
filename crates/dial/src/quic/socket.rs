//! The UDP socket of one QUIC connection.
//!
//! It is connected, so that the kernel takes nothing from any other address and passes on what ICMP
//! says of this one; and it counts what it reads, below everything that a peer could make of it.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// Told of bytes that were read; `false` where no more may be.
pub type Intake = Arc<dyn Fn(usize) -> bool + Send + Sync>;

/// What is known of the peer before the handshake is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Nothing came.
    None,
    /// A datagram came.
    Datagram,
    /// ICMP said that nobody is there: the number of the system's error.
    Refused(i32),
}

/// A socket that sends to one address, and hears from it alone.
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    peer: SocketAddr,
    intake: Intake,
    word: watch::Sender<Word>,
}

impl Socket {
    /// A socket for `peer`, an address that was vetted.
    pub(super) fn open(peer: SocketAddr, intake: Intake) -> io::Result<Arc<Self>> {
        let any = match peer {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        // Not blocking: that of UDP only writes down the address and the route.
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        Ok(Arc::new(Self {
            state: UdpSocketState::new((&socket).into())?,
            io: UdpSocket::from_std(socket)?,
            peer,
            intake,
            word: watch::Sender::new(Word::None),
        }))
    }

    /// Waits for the first word from the other side.
    ///
    /// # Errors
    /// ICMP said that nobody is there.
    pub(super) async fn heard(&self) -> io::Result<()> {
        let mut word = self.word.subscribe();
        let heard = word.wait_for(|word| *word != Word::None).await;
        match heard.map(|word| *word) {
            Ok(Word::Refused(code)) => Err(io::Error::from_raw_os_error(code)),
            // The sender lives as long as this socket.
            Ok(Word::Datagram | Word::None) | Err(_) => Ok(()),
        }
    }

    /// Notes the first word only: once somebody answered, ICMP may be anybody's (RFC 9000 §14.2.1).
    fn tell(&self, word: Word) {
        self.word.send_if_modified(|known| {
            let is_first = *known == Word::None;
            if is_first {
                *known = word;
            }
            is_first
        });
    }

    /// What an error of the system says of the peer.
    fn note(&self, error: &io::Error) {
        if let Some(code) = error.raw_os_error() {
            self.tell(Word::Refused(code));
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // The policy vetted this address and no other.
        if transmit.destination != self.peer {
            return Err(io::Error::other("QUIC wants to send to another address"));
        }
        let sent = self.io.try_io(Interest::WRITABLE, || {
            self.state.try_send((&self.io).into(), transmit)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // A datagram that is not sent is one that is lost: QUIC sends it again.
            Err(error) => {
                self.note(&error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received = self.io.try_io(Interest::READABLE, || {
                self.state.recv((&self.io).into(), bufs, meta)
            });
            match received {
                Ok(count) => {
                    let bytes = meta.iter().take(count).map(|meta| meta.len).sum();
                    if !(self.intake)(bytes) {
                        return Poll::Ready(Err(io::Error::other("all was read that may be")));
                    }
                    self.tell(Word::Datagram);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.note(&error),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Waits for room to send. The system wakes one waiter only: there is one connection per socket.
#[derive(Debug)]
struct Room(Arc<Socket>);

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.io.poll_send_ready(cx)
    }
}
