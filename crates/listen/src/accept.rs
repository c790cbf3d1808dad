//! Accepting, also where the system has no more files.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// The first pause after a failure; it doubles.
const SHORTEST: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(1);

/// A listener that goes on, whatever accepting says.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    failing: Failing,
}

impl Acceptor {
    /// For a socket that listens.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            failing: Failing::default(),
        }
    }

    /// The next connection, with as small a delay as TCP has. It may be dropped while it waits.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    if self.failing.end() {
                        tracing::info!("connections are accepted again");
                    }
                    // It fails only where the peer is gone; reading says so.
                    let _ = stream.set_nodelay(true);
                    return (stream, address);
                }
                Err(error) => {
                    let Some(pause) = self.failing.next(&error) else {
                        continue;
                    };
                    if pause == SHORTEST {
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// Failures in a row.
#[derive(Debug, Default)]
struct Failing(Option<Duration>);

impl Failing {
    /// How long to leave the listener alone. What only says that a peer has gone already (accept(2))
    /// is no failure of the listener.
    fn next(&mut self, error: &Error) -> Option<Duration> {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
        ) {
            return None;
        }
        let pause = self.0.map_or(SHORTEST, |last| (last * 2).min(LONGEST));
        self.0 = Some(pause);
        Some(pause)
    }

    /// It works. Whether it did not.
    fn end(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EMFILE, ENFILE, ENOBUFS and ENOMEM on Linux, and ECONNABORTED.
    #[test]
    fn a_listener_that_fails_is_left_alone_for_longer_and_longer() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let mut failing = Failing::default();
        let waits = [
            (24, ms(50)),
            (23, ms(100)),
            (103, None),
            (105, ms(200)),
            (12, ms(400)),
            (24, ms(800)),
            (24, ms(1000)),
            (24, ms(1000)),
        ];
        for (number, pause) in waits {
            let error = Error::from_raw_os_error(number);
            assert_eq!(failing.next(&error), pause, "{error}");
        }
        assert!(failing.end() && !failing.end());
        assert_eq!(failing.next(&Error::from_raw_os_error(24)), ms(50));
    }
}
