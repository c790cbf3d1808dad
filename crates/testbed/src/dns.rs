//! A name server that says what it is told to.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The largest question that is read; one name has 255 bytes.
const MAX_PACKET: usize = 512;

/// A running name server. Dropping it stops it.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    late_ms: Arc<AtomicU64>,
    _guard: DropGuard,
}

impl NameServer {
    /// Starts a server on loopback that knows these names, without a dot at their end, and their
    /// addresses, and holds its answers good for `ttl` seconds.
    ///
    /// # Errors
    /// No socket is to be had.
    pub async fn start(names: &[(&str, &[IpAddr])], ttl: u32) -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), names, ttl).await
    }

    /// The same at a chosen address.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start_at(
        bind: SocketAddr,
        names: &[(&str, &[IpAddr])],
        ttl: u32,
    ) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(bind).await?);
        let address = socket.local_addr()?;
        let late_ms = Arc::new(AtomicU64::new(0));
        let late = Arc::clone(&late_ms);
        let names: BTreeMap<String, Vec<IpAddr>> = names
            .iter()
            .map(|(name, addresses)| ((*name).to_owned(), addresses.to_vec()))
            .collect();
        let token = CancellationToken::new();
        tokio::spawn(token.clone().run_until_cancelled_owned(async move {
            let mut buffer = [0; MAX_PACKET];
            loop {
                // An error here is one that an earlier datagram met on its way.
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                    continue;
                };
                let Some(reply) = reply(&buffer[..length], &names, ttl) else {
                    continue;
                };
                let late = Duration::from_millis(late.load(Ordering::Relaxed));
                if late.is_zero() {
                    let _ = socket.send_to(&reply, from).await;
                } else {
                    let socket = Arc::clone(&socket);
                    tokio::spawn(async move {
                        tokio::time::sleep(late).await;
                        let _ = socket.send_to(&reply, from).await;
                    });
                }
            }
        }));
        Ok(Self {
            address,
            late_ms,
            _guard: token.drop_guard(),
        })
    }

    /// Answers so many milliseconds late from now on.
    pub fn late(&self, millis: u64) {
        self.late_ms.store(millis, Ordering::Relaxed);
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn reply(packet: &[u8], names: &BTreeMap<String, Vec<IpAddr>>, ttl: u32) -> Option<Vec<u8>> {
    let request = Message::from_vec(packet).ok()?;
    let query = request.queries.first()?.clone();
    let name = query.name.to_lowercase().to_ascii();
    let found = names.get(name.trim_end_matches('.'));
    let code = if found.is_some() {
        ResponseCode::NoError
    } else {
        ResponseCode::NXDomain
    };
    let mut response = Message::error_msg(request.metadata.id, request.metadata.op_code, code);
    for ip in found.into_iter().flatten() {
        let data = match (query.query_type, ip) {
            (RecordType::A, IpAddr::V4(ip)) => RData::A(A(*ip)),
            (RecordType::AAAA, IpAddr::V6(ip)) => RData::AAAA(AAAA(*ip)),
            _ => continue,
        };
        let record = Record::from_rdata(query.name.clone(), ttl, data);
        response.answers.push(record);
    }
    response.queries.push(query);
    response.to_vec().ok()
}
