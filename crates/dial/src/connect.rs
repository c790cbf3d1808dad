//! Connections over several addresses (RFC 8305): the next address gets its chance when the one
//! before it failed or has been silent for a while, and the first connection wins.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use model::Reason;
use tokio::net::TcpStream;

use crate::error::DialError;

/// RFC 8305 §5, "Connection Attempt Delay".
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects by TCP to the first address that answers.
pub(crate) async fn race(addresses: &[IpAddr], port: u16) -> Result<TcpStream, DialError> {
    first(addresses, port, attempt).await
}

/// What `attempt` makes of the first address that answers.
pub(crate) async fn first<T, F>(
    addresses: &[IpAddr],
    port: u16,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<T, DialError>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting: VecDeque<SocketAddr> = alternate(addresses)
        .into_iter()
        .map(|ip| SocketAddr::new(ip, port))
        .collect();
    let mut attempts = FuturesUnordered::new();
    let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
    loop {
        if let Some(address) = waiting.pop_front() {
            let attempt = attempt(address);
            attempts.push(async move { (address, attempt.await) });
        }
        let delay = tokio::time::sleep(ATTEMPT_DELAY);
        tokio::select! {
            biased;
            finished = attempts.next() => match finished {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((address, Err(error))) => failures.push((address, error)),
                None => return Err(explain(&failures)),
            },
            () = delay, if !waiting.is_empty() => {}
        }
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // The policy vetted `address`; nothing between us and the kernel may have changed it.
    if stream.peer_addr()? != address {
        return Err(io::Error::other(
            "connected to another address than was asked for",
        ));
    }
    Ok(stream)
}

/// Alternates address families, beginning with that of the first address (RFC 8305 §4).
fn alternate(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let (mut v6, mut v4): (VecDeque<IpAddr>, VecDeque<IpAddr>) =
        addresses.iter().partition(|ip| ip.is_ipv6());
    let mut take_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        let (first, second) = if take_v6 {
            (&mut v6, &mut v4)
        } else {
            (&mut v4, &mut v6)
        };
        ordered.extend(first.pop_front().or_else(|| second.pop_front()));
        take_v6 = !take_v6;
    }
    ordered
}

fn explain(failures: &[(SocketAddr, io::Error)]) -> DialError {
    // A refusal says more than a missing route: with several addresses it is the one to tell.
    let told = failures
        .iter()
        .find(|(_, error)| reason(error) != Reason::TcpUnreachable)
        .or_else(|| failures.first());
    let Some((address, error)) = told else {
        return DialError::new(Reason::ProberInternal, "no address to connect to");
    };
    let others = match failures.len() {
        0 | 1 => String::new(),
        n => format!(" ({} more addresses failed too)", n - 1),
    };
    DialError::new(reason(error), format!("{address}: {error}{others}"))
}

fn reason(error: &io::Error) -> Reason {
    use io::ErrorKind as Kind;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open")]
    match error.kind() {
        Kind::ConnectionRefused => Reason::TcpRefused,
        Kind::TimedOut => Reason::TcpTimeout,
        Kind::ConnectionReset | Kind::ConnectionAborted => Reason::TcpReset,
        // This host's own trouble: no ports or descriptors left, a firewall of its own.
        Kind::AddrNotAvailable | Kind::PermissionDenied | Kind::OutOfMemory => {
            Reason::ProberInternal
        }
        _ => match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS) | None => Reason::ProberInternal,
            // What ICMP said, in whichever of its many words.
            Some(_) => Reason::TcpUnreachable,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn families_alternate() {
        let ips = |texts: &[&str]| {
            texts
                .iter()
                .map(|t| t.parse().unwrap())
                .collect::<Vec<IpAddr>>()
        };
        let given = ips(&["1.1.1.1", "1.1.1.2", "1.1.1.3", "2::1", "2::2"]);
        assert_eq!(
            alternate(&given),
            ips(&["1.1.1.1", "2::1", "1.1.1.2", "2::2", "1.1.1.3"])
        );
        let given = ips(&["2::1", "1.1.1.1"]);
        assert_eq!(alternate(&given), given);
    }

    #[tokio::test]
    async fn a_refused_address_makes_room_for_the_next() {
        let listener = TcpListener::bind("127.0.0.3:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses = ["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        let stream = race(&addresses, port).await.ok().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_closed_port_is_refused() {
        let port = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let error = race(&["127.0.0.1".parse().unwrap()], port)
            .await
            .unwrap_err();
        assert_eq!(error.reason, Reason::TcpRefused);
        assert!(error.detail.starts_with("127.0.0.1:"), "{}", error.detail);
    }
}
