//! What the kernel knows of a connection (`TCP_INFO`): the only module with `unsafe` code.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

/// A snapshot of a TCP connection's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// The smoothed round-trip time.
    pub rtt: Duration,
    /// The smallest round-trip time of the last minutes; `None` before the first sample. Unlike the
    /// smoothed one it is not inflated by a peer that delays its acknowledgements.
    pub min_rtt: Option<Duration>,
    /// Segments sent again since the connection began, SYNs included.
    pub retransmits: u32,
}

/// Reads `TCP_INFO` of a socket; `None` where the platform does not tell.
#[cfg(target_os = "linux")]
#[must_use]
#[expect(
    unsafe_code,
    reason = "getsockopt has no safe wrapper in the libraries in use"
)]
pub fn read(socket: BorrowedFd<'_>) -> Option<TcpInfo> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut size = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: `socket` is open for the length of the call; `info` is `size` bytes long, and the
    // kernel writes at most that many. All bit patterns are valid for this struct of integers,
    // and what the kernel did not write stays zero.
    let info = unsafe {
        let status = libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut size,
        );
        if status != 0 {
            return None;
        }
        info.assume_init()
    };
    // Older kernels write less of the struct, and the rest stays zero.
    let has_sample = info.tcpi_min_rtt != 0 && info.tcpi_min_rtt != u32::MAX;
    Some(TcpInfo {
        min_rtt: has_sample.then(|| Duration::from_micros(u64::from(info.tcpi_min_rtt))),
        rtt: Duration::from_micros(u64::from(info.tcpi_rtt)),
        retransmits: info.tcpi_total_retrans,
    })
}

/// Reads `TCP_INFO` of a socket; `None` where the platform does not tell.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn read(_: BorrowedFd<'_>) -> Option<TcpInfo> {
    None
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use socket2::{Domain, Protocol, Socket, Type};

    #[test]
    fn a_live_connection_has_a_round_trip_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let info = super::read(client.as_fd()).expect("linux tells");
        assert!(info.rtt > std::time::Duration::ZERO);
        assert!(info.min_rtt.is_some_and(|min| min <= info.rtt), "{info:?}");
        assert_eq!(info.retransmits, 0);
    }

    /// The kernel drops a SYN that finds the queue of accepted connections full, so the client has
    /// to send it again: one second later, by RFC 6298 §2.1.
    #[test]
    fn a_lost_segment_is_counted() {
        let stream = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let listener = stream();
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        // A queue of length one takes two.
        let filling = [stream(), stream()].map(|socket| socket.connect(&address).map(|()| socket));
        assert!(filling.iter().all(Result::is_ok), "{filling:?}");
        let late = stream();
        late.set_nonblocking(true).unwrap();
        assert!(late.connect(&address).is_err(), "the first SYN is lost");
        late.set_nonblocking(false).unwrap();
        for _ in &filling {
            listener.accept().unwrap();
        }
        listener.accept().unwrap();
        let info = super::read(late.as_fd()).expect("linux tells");
        assert!(info.retransmits >= 1, "{info:?}");
    }
}
