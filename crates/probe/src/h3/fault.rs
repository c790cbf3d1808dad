//! What a failed exchange over HTTP/3 says: the same reasons as over HTTP/1.1 and HTTP/2.

use h3::error::{Code, ConnectionError, StreamError};
use h3_quinn::quinn;
use model::Reason;

use crate::fault::Fault;

/// RFC 9001 §4.8: alerts of TLS are error codes from here on. After the handshake it is what the
/// server thinks of the client's certificate.
const CRYPTO: std::ops::Range<u64> = 0x100..0x200;

/// Reads the failure of a stream.
pub(super) fn of_stream(
    connection: &quinn::Connection,
    error: &StreamError,
    has_head: bool,
) -> Fault {
    let detail = model::text::line(&error.to_string(), 200);
    // Stream by stream the server says that it answers nothing, or no further.
    if matches!(
        error,
        StreamError::RemoteTerminate { .. } | StreamError::RemoteClosing { .. }
    ) {
        let reason = Reason::HttpConnClosed;
        return Fault { reason, detail };
    }
    of_close(connection, detail, has_head)
}

/// Reads the failure of a connection.
pub(super) fn of_connection(
    connection: &quinn::Connection,
    error: &ConnectionError,
    has_head: bool,
) -> Fault {
    let detail = model::text::line(&error.to_string(), 200);
    of_close(connection, detail, has_head)
}

/// Who ended the connection, as QUIC knows it. What our own side ended, or did not end, broke rules.
fn of_close(connection: &quinn::Connection, said: String, has_head: bool) -> Fault {
    use quinn::ConnectionError as Closed;
    let reason = connection.close_reason();
    let detail = match &reason {
        Some(Closed::LocallyClosed) | None => said,
        Some(reason) => model::text::line(&reason.to_string(), 200),
    };
    let reason = match reason {
        Some(Closed::ConnectionClosed(close)) if CRYPTO.contains(&close.error_code.into()) => {
            Reason::TlsHandshake
        }
        Some(Closed::Reset) if !has_head => Reason::TcpReset,
        Some(
            Closed::Reset
            | Closed::ConnectionClosed(_)
            | Closed::ApplicationClosed(_)
            | Closed::TimedOut,
        ) => Reason::HttpConnClosed,
        Some(
            Closed::LocallyClosed
            | Closed::TransportError(_)
            | Closed::VersionMismatch
            | Closed::CidsExhausted,
        )
        | None => Reason::HttpProtocol,
    };
    Fault { reason, detail }
}

/// Whether the server took nothing of the request: it may be sent again elsewhere (RFC 9114 §4.1.1
/// and §5.2).
pub(super) fn is_unsent(error: &StreamError) -> bool {
    let is_rejected = |code: Code| code == Code::H3_REQUEST_REJECTED;
    matches!(error, StreamError::RemoteClosing { .. })
        || matches!(error, StreamError::RemoteTerminate { code, .. } if is_rejected(*code))
}
