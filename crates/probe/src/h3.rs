//! HTTP/3 (RFC 9114): one QUIC connection, many requests.
//!
//! The library is young, so what it leaves open is closed here: how many streams a server may open,
//! interim responses, bodies that end before they should, and panics (`guard`, `exchange`, `stream`).

mod exchange;
mod fault;
mod frames;
mod guard;
mod stream;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dial::{Intake, Progress};
use h3::client::SendRequest;
use h3_quinn::quinn::{self, VarInt};
use model::{Phase, report};

pub(crate) use exchange::{Failed, Stream};

use crate::clock::now;
use crate::fault::Fault;
use crate::link::{Link, MAX_HEADER_LIST_BYTES};

/// Whether this build speaks HTTP/3.
pub const IS_BUILT: bool = true;
/// RFC 9114 §8.1: the connection is no longer wanted.
const H3_NO_ERROR: VarInt = VarInt::from_u32(0x100);
/// The version of QUIC that is spoken (RFC 9000 §15).
const QUIC_VERSION: u32 = 1;

/// Sends requests on one connection.
#[derive(Clone)]
pub(crate) struct Sender {
    requests: SendRequest<stream::Opener, Bytes>,
    connection: quinn::Connection,
    socket: quinn::Endpoint,
    is_left: Arc<AtomicBool>,
}

/// What QUIC knows of one connection, for whoever reports it.
#[derive(Debug)]
pub(crate) struct Gauge {
    connection: quinn::Connection,
    handshake: Duration,
}

impl Gauge {
    pub(crate) fn read(&self) -> report::Quic {
        let path = self.connection.stats().path;
        report::Quic {
            version: QUIC_VERSION,
            handshake_us: micros(self.handshake),
            rtt_us: Some(micros(path.rtt)),
            min_rtt_us: Some(micros(path.min_rtt)),
            sent_packets: Some(path.sent_packets),
            lost_packets: Some(path.lost_packets),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Opens a connection, and tells how it goes.
pub(crate) async fn open(
    link: &Link,
    known: &[IpAddr],
    watch: &(dyn Fn(Progress<'_>) + Send + Sync),
    phase: &(dyn Fn(Phase) + Send + Sync),
) -> Result<Sender, Fault> {
    let began: Mutex<Option<Instant>> = Mutex::new(None);
    let watch = |progress: Progress<'_>| {
        if let Progress::Phase(Phase::Connect) = progress {
            *began.lock().unwrap_or_else(PoisonError::into_inner) = Some(now());
        }
        watch(progress);
    };
    let meter = link.meter.clone();
    let intake: Intake = Arc::new(move |bytes| meter.take(bytes));
    let dialed = link
        .dialer
        .dial_quic(&link.endpoint, link.origin, known, &intake, &watch)
        .await;
    let ended = now();
    let quic = dialed.map_err(|error| link.refused(error))?;
    // What follows waits for nobody, but for a server that allows no streams.
    phase(Phase::Send);
    let began = *began.lock().unwrap_or_else(PoisonError::into_inner);
    let gauge = Gauge {
        connection: quic.connection.clone(),
        handshake: began.map_or(Duration::ZERO, |began| {
            ended.saturating_duration_since(began)
        }),
    };
    link.state().seen.opened_quic(&quic, gauge);
    let connection = quic.connection;
    let built = h3::client::builder()
        .max_field_section_size(u64::from(MAX_HEADER_LIST_BYTES))
        .send_grease(false)
        .build(guard::Guarded::new(connection.clone()))
        .await;
    let (mut driver, requests) =
        built.map_err(|error| fault::of_connection(&connection, &error, false))?;
    let driven = connection.clone();
    link.watch_over(async move {
        let error = driver.wait_idle().await;
        tracing::trace!(%error, "connection ended");
        Some(fault::of_connection(&driven, &error, false))
    });
    Ok(Sender {
        requests,
        connection,
        socket: quic.socket,
        is_left: Arc::default(),
    })
}

impl Sender {
    /// Whether the connection takes no requests any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_left.load(Ordering::Relaxed) || self.connection.close_reason().is_some()
    }

    /// Takes no more requests to this connection, which may still answer those that it has.
    pub(crate) fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    /// Tells the server that the connection is over, and waits for that to be sent, but no longer
    /// than `patience`.
    pub(crate) async fn close(self, patience: Duration) {
        self.connection.close(H3_NO_ERROR, b"");
        let _ = tokio::time::timeout(patience, self.socket.wait_idle()).await;
    }
}
