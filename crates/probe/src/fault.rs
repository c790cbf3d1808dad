//! What a failed exchange says: hyper's errors as reasons.

use std::error::Error as _;
use std::io;

use model::Reason;

/// A failure below the protocol.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

/// Reads an HTTP failure. Before the head a reset is the network's; after it the response was cut.
pub(crate) fn of_http(error: &hyper::Error, has_head: bool) -> Fault {
    let io = io_cause(error);
    if let Some(reason) = io.and_then(dial::late_alert) {
        return Fault {
            reason,
            detail: model::text::line(&full(error), 200),
        };
    }
    let reason = match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) if !has_head => {
            Reason::TcpReset
        }
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted,
        ) => Reason::HttpConnClosed,
        Some(io::ErrorKind::TimedOut) => Reason::TcpTimeout,
        _ if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            Reason::HttpConnClosed
        }
        // HTTP/2 wraps what HTTP/1.1 shows as a closed connection. What our own side ended, it ended
        // because the rules were broken.
        _ if h2_cause(error).is_some_and(|h2| {
            h2.is_io() || ((h2.is_go_away() || h2.is_reset()) && h2.is_remote())
        }) =>
        {
            Reason::HttpConnClosed
        }
        _ => Reason::HttpProtocol,
    };
    Fault {
        reason,
        detail: model::text::line(&full(error), 200),
    }
}

fn h2_cause(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

fn io_cause(error: &hyper::Error) -> Option<&io::Error> {
    if let Some(io) = h2_cause(error).and_then(h2::Error::get_io) {
        return Some(io);
    }
    let mut cause = error.source();
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = current.source();
    }
    None
}

fn full(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text.push_str(": ");
        text.push_str(&current.to_string());
        cause = current.source();
    }
    text
}
