//! What only QUIC and HTTP/3 can do wrong.

use super::*;

pub(super) const HTTP3: [Row; 22] = [
    first("h3-unanswered", 0, R::TcpTimeout),
    first("h3-refused", 0, R::TcpRefused),
    first("h3-handshake-stalled", SMALL, R::TlsTimeout),
    first("h3-other-protocol", SMALL, R::TlsAlpn),
    first("h3-expired", SMALL, R::TlsCertExpired),
    first("h3-not-yet-valid", SMALL, R::TlsCertNotYetValid),
    first("h3-silent", SMALL, R::HttpTimeoutHeaders),
    first("h3-rejected", SMALL, R::HttpConnClosed),
    first("h3-reset", SMALL, R::HttpConnClosed),
    first("h3-reset-in-body", SMALL, R::HttpConnClosed),
    first("h3-close-in-body", SMALL, R::HttpConnClosed),
    first("h3-endless-body", BODY, R::HttpBodyTooLarge),
    first("h3-stalled-body", SMALL, R::HttpTimeoutBody),
    // RFC 9114 §7.1.
    first("h3-cut-frame", SMALL, R::HttpProtocol),
    // Malformed by RFC 9114 §4.1.2.
    first("h3-wrong-length", SMALL, R::HttpProtocol),
    first("h3-giant-head", HEAD, R::HttpProtocol),
    first("h3-endless-head", WHOLE, R::HttpBodyTooLarge),
    first("h3-endless-early-hints", HEAD, R::HttpProtocol),
    first("h3-bad-head-after-hints", SMALL, R::HttpProtocol),
    first("h3-bad-fields", SMALL, R::HttpProtocol),
    first("h3-no-head", SMALL, R::HttpProtocol),
    first("h3-many-streams", HEAD, R::HttpProtocol),
];
