//! Why a QUIC handshake failed: the same reasons as for TCP and TLS.

use model::Reason;
use quinn::ConnectionError;
use rustls::Error as TlsError;

use crate::error::DialError;
use crate::tls;
use crate::verify::Seen;

/// RFC 9000 §20.1: the server refuses new connections.
const CONNECTION_REFUSED: u64 = 0x02;
/// RFC 9001 §4.8: alerts of TLS are error codes from here on.
const CRYPTO: std::ops::Range<u64> = 0x100..0x200;
/// RFC 8446 §6: `no_application_protocol`.
const NO_APPLICATION_PROTOCOL: u64 = CRYPTO.start + 120;

/// The reason of a failed handshake, and what happened.
pub(super) fn handshake(error: &ConnectionError, seen: &Seen) -> DialError {
    if let (Some(TlsError::InvalidCertificate(problem)), Some(words)) =
        (&seen.refused, &seen.problem)
    {
        return DialError::new(tls::certificate(problem), words.clone());
    }
    let said = model::text::line(&error.to_string(), 200);
    match error {
        ConnectionError::TransportError(error) => by_code(error.code.into(), &said),
        ConnectionError::ConnectionClosed(close) => by_code(close.error_code.into(), &said),
        ConnectionError::ApplicationClosed(_) => DialError::new(
            Reason::TlsHandshake,
            format!("the server closed the connection in the handshake: {said}"),
        ),
        ConnectionError::Reset => DialError::new(Reason::TcpReset, said),
        ConnectionError::TimedOut => DialError::new(Reason::TcpTimeout, said),
        ConnectionError::VersionMismatch => DialError::new(
            Reason::TlsHandshake,
            "the server does not speak version 1 of QUIC",
        ),
        ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => {
            DialError::new(Reason::ProberInternal, said)
        }
    }
}

fn by_code(code: u64, said: &str) -> DialError {
    if code == NO_APPLICATION_PROTOCOL {
        return DialError::new(Reason::TlsAlpn, "the server does not accept h3");
    }
    if code == CONNECTION_REFUSED {
        return DialError::new(Reason::TcpRefused, said);
    }
    DialError::new(Reason::TlsHandshake, said)
}
