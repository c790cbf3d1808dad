//! What happens in the TLS handshake.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use model::EraPolicy;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::request::Request;
use super::talk::{OPEN_JSON, Talk, honest, response};
use super::{Behaviour, Way};
use crate::ca::{Ca, Flaw};

/// What happens in the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trick {
    /// The certificate has a flaw.
    Flawed(Flaw),
    /// The certificate is for another name.
    OtherName,
    /// The certificate vouches for itself.
    SelfSigned,
    /// An authority that nobody knows signed it.
    Stranger,
    /// No protocol in common by ALPN.
    NoProtocol,
    /// A certificate of the client is demanded, which in TLS 1.3 shows after the handshake.
    WantsCertificate,
    /// The answer ends without the end of TLS.
    Cut,
    /// These bytes are the answer to the first message.
    Raw(&'static [u8]),
    /// The first message is answered with messages without end.
    Flood,
    /// The first message is answered with nothing.
    Stall,
    /// The first message is answered with a reset.
    Reset,
    /// The first message is answered with the end of the connection.
    Close,
}

/// TLS 1.0 in every place where a version stands: an honest answer of a server that knows no other
/// (RFC 2246 §7.4.1.3).
const TLS_1_0: &[u8] = &[
    22, 3, 1, 0, 42, // a handshake record of TLS 1.0, 42 bytes
    2, 0, 0, 38, 3, 1, // ServerHello, 38 bytes, TLS 1.0
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, // random
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, //
    0, 0, 47, 0, // no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression
];
/// A fatal alert: protocol_version (RFC 8446 §6).
const WRONG_VERSION: &[u8] = &[21, 3, 3, 0, 2, 2, 70];
/// A record of the largest length that the field can say, and more than TLS allows.
const GIANT_RECORD: &[u8] = &[22, 3, 3, 0xff, 0xff, 2, 0xff, 0xff, 0xff];
/// A handshake message that says it has 16 MiB, in records of 16 KiB that never end it.
const ENDLESS: [u8; 9] = [22, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff];

pub(super) const LIST: [Behaviour; 17] = [
    tls(
        "tls-expired",
        "the certificate has expired",
        Trick::Flawed(Flaw::Expired),
    ),
    tls(
        "tls-not-yet-valid",
        "the certificate begins tomorrow",
        Trick::Flawed(Flaw::NotYetValid),
    ),
    tls(
        "tls-wrong-name",
        "the certificate is for another name",
        Trick::OtherName,
    ),
    tls(
        "tls-self-signed",
        "the certificate vouches for itself",
        Trick::SelfSigned,
    ),
    tls(
        "tls-stranger",
        "an unknown authority signed the certificate",
        Trick::Stranger,
    ),
    tls(
        "tls-1.0",
        "the server knows TLS 1.0 only",
        Trick::Raw(TLS_1_0),
    ),
    tls(
        "tls-version-alert",
        "the server refuses every version",
        Trick::Raw(WRONG_VERSION),
    ),
    tls(
        "tls-plaintext",
        "HTTP is spoken where TLS is expected",
        Trick::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ),
    tls(
        "tls-giant-record",
        "a record is larger than TLS allows",
        Trick::Raw(GIANT_RECORD),
    ),
    tls("tls-flood", "a handshake message never ends", Trick::Flood),
    tls(
        "tls-stalled",
        "the handshake is never answered",
        Trick::Stall,
    ),
    tls("tls-reset", "the handshake is reset", Trick::Reset),
    tls(
        "tls-closed",
        "the connection is closed in the handshake",
        Trick::Close,
    ),
    tls(
        "tls-no-protocol",
        "no HTTP is spoken, by ALPN",
        Trick::NoProtocol,
    ),
    tls(
        "tls-wants-certificate",
        "a certificate of the client is demanded",
        Trick::WantsCertificate,
    ),
    tls(
        "tls-cut",
        "the answer ends without the end of TLS",
        Trick::Cut,
    ),
    Behaviour::new(
        "redirect-downgrade",
        "https is redirected to plain http",
        EraPolicy::Auto,
        Way::Https(|request| {
            let plain = request.origin.replace("https://", "http://");
            let fields = format!("location: {plain}{}\r\n", request.path);
            Talk::of(response(307, &fields, ""))
        }),
    ),
];

const fn tls(name: &'static str, what: &'static str, trick: Trick) -> Behaviour {
    Behaviour::new(name, what, EraPolicy::Modern, Way::Tls(trick))
}

/// A configuration, and the authority that a probe is to trust with it.
pub(super) struct Shown {
    pub(super) config: ServerConfig,
    pub(super) authority: String,
}

impl Shown {
    /// A faultless one for loopback.
    pub(super) fn honest(protocols: &[&[u8]]) -> anyhow::Result<Self> {
        let ca = Ca::new()?;
        let mut config = ca.loopback(Flaw::None)?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Self {
            config,
            authority: ca.pem().to_owned(),
        })
    }
}

impl Trick {
    /// What is shown in a handshake.
    pub(super) fn shown(self) -> anyhow::Result<Shown> {
        let ca = Ca::new()?;
        let mut authority = ca.pem().to_owned();
        let mut config = match self {
            Self::Flawed(flaw) => ca.loopback(flaw)?,
            Self::OtherName => ca.server(&["other.example"], Flaw::None)?,
            Self::SelfSigned => self_signed(false)?.0,
            Self::Stranger => {
                authority = Ca::new()?.pem().to_owned();
                ca.loopback(Flaw::None)?
            }
            Self::WantsCertificate => {
                let (config, pem) = self_signed(true)?;
                authority = pem;
                config
            }
            Self::NoProtocol
            | Self::Cut
            | Self::Raw(_)
            | Self::Flood
            | Self::Stall
            | Self::Reset
            | Self::Close => ca.loopback(Flaw::None)?,
        };
        let protocol: &[u8] = if self == Self::NoProtocol {
            b"spdy/3"
        } else {
            b"http/1.1"
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Shown { config, authority })
    }

    /// What is said instead of a handshake, once the client's first message is there; `None` where
    /// there is to be one.
    pub(super) async fn before_handshake(self, stream: &mut TcpStream) -> io::Result<Option<Talk>> {
        let talk = match self {
            Self::Raw(bytes) => Talk::closing(bytes),
            Self::Flood => {
                let record = [&ENDLESS[..5], &[2; 0x4000]].concat();
                let first = [&ENDLESS[..], &[0; 0x4000 - 4]].concat();
                Talk::flood(first, record)
            }
            Self::Stall => Talk::stalling(""),
            Self::Reset => Talk::resetting(""),
            Self::Close => Talk::closing(""),
            Self::Flawed(_)
            | Self::OtherName
            | Self::SelfSigned
            | Self::Stranger
            | Self::NoProtocol
            | Self::WantsCertificate
            | Self::Cut => return Ok(None),
        };
        let mut hello = Vec::with_capacity(8192);
        stream.read_buf(&mut hello).await?;
        Ok(Some(talk))
    }

    /// What is said once the handshake is done.
    pub(super) fn say(self, request: &Request) -> Talk {
        if self == Self::Cut {
            return Talk::closing(format!("{OPEN_JSON}{{\"jsonrpc\":\"2.0\",\"id\":1,"));
        }
        honest(request)
    }
}

/// A certificate that vouches for itself, and the same as PEM. With `demanding`, only clients that it
/// vouches for too are welcome: none.
fn self_signed(demanding: bool) -> anyhow::Result<(ServerConfig, String)> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).context("a certificate")?;
    let cert = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = if demanding {
        let mut roots = RootCertStore::empty();
        roots.add(cert.clone())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(vec![cert], key)?;
    Ok((config, made.cert.pem()))
}
