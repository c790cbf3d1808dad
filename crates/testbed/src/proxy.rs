//! A TCP proxy whose paths break on command.
//!
//! The kernel accepts connections for the proxy, so a broken path looks like one whose far end
//! accepts and then says nothing (`Blackhole`), hangs up (`Reset`), or is not there (`Refuse`).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Every piece of data takes so much longer, in each direction.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// One piece of data in `every` is lost, and comes a retransmission timeout later.
    Loss {
        /// At least 1.
        every: u32,
    },
    /// Connections are accepted, and nothing goes through.
    Blackhole,
    /// Connections are reset, those that exist and those that come.
    Reset,
    /// Nothing listens.
    Refuse,
}

/// The retransmission timeout of a fresh TCP connection (RFC 6298 §2.1, as Linux shortens it).
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// One path: everything that connects to it is passed on to one address.
#[derive(Debug)]
pub struct Path {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    task: JoinHandle<()>,
}

impl Path {
    /// Opens a path from `bind` to `to`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn open(bind: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let listener = listen(bind)?;
        let address = listener.local_addr()?;
        let (fault, faults) = watch::channel(Fault::None);
        let task = tokio::spawn(run(listener, address, to, faults));
        Ok(Self {
            address,
            fault,
            task,
        })
    }

    /// Where the path begins.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks or mends the path, for connections that exist too.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// What is wrong with the path now.
    #[must_use]
    pub fn fault(&self) -> Fault {
        *self.fault.borrow()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn listen(bind: SocketAddr) -> io::Result<TcpListener> {
    let socket = if bind.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A path that refused takes its port back while old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(bind)?;
    socket.listen(1024)
}

async fn run(
    listener: TcpListener,
    address: SocketAddr,
    to: SocketAddr,
    mut faults: watch::Receiver<Fault>,
) {
    let mut listener = Some(listener);
    loop {
        let fault = *faults.borrow_and_update();
        if fault == Fault::Refuse {
            listener = None;
        } else if listener.is_none() {
            match listen(address) {
                Ok(bound) => listener = Some(bound),
                Err(error) => tracing::warn!(%address, %error, "the path cannot be opened again"),
            }
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = faults.changed() => if changed.is_err() {
                return;
            },
            accepted = accepted => if let Ok((client, _)) = accepted {
                tokio::spawn(carry(client, to, faults.clone()));
            }
        }
    }
}

/// One connection through the path.
async fn carry(client: TcpStream, to: SocketAddr, faults: watch::Receiver<Fault>) {
    let _ = client.set_nodelay(true);
    if matches!(*faults.borrow(), Fault::Reset | Fault::Refuse) {
        reset(client);
        return;
    }
    let Ok(server) = TcpStream::connect(to).await else {
        reset(client);
        return;
    };
    let _ = server.set_nodelay(true);
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let up = pump(client_read, server_write, faults.clone());
    let down = pump(server_read, client_write, faults.clone());
    let mut watched = faults;
    let cut = watched.wait_for(|fault| matches!(fault, Fault::Reset | Fault::Refuse));
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        // Dropping all four halves closes both connections; unread data makes it a reset.
        _ = cut => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut faults: watch::Receiver<Fault>) {
    let mut buffer = vec![0; 16 << 10];
    let mut pieces: u32 = 0;
    loop {
        let Ok(n) = from.read(&mut buffer).await else {
            return;
        };
        pieces = pieces.wrapping_add(1);
        // What a blackhole swallows is delivered when the path is mended, as TCP would.
        if faults
            .wait_for(|fault| *fault != Fault::Blackhole)
            .await
            .is_err()
        {
            return;
        }
        let fault = *faults.borrow();
        let late = match fault {
            Fault::Delay { ms } => Duration::from_millis(ms),
            Fault::Loss { every } if pieces.is_multiple_of(every.max(1)) => RETRANSMISSION,
            Fault::None | Fault::Loss { .. } | Fault::Blackhole | Fault::Reset | Fault::Refuse => {
                Duration::ZERO
            }
        };
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        if n == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

/// Closes a connection with RST instead of FIN.
fn reset(stream: TcpStream) {
    let socket = socket2::SockRef::from(&stream);
    if let Err(error) = socket.set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "linger");
    }
}
