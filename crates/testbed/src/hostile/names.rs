//! What the name server says of an honest server's name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hickory_proto::op::{Message, Metadata, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use model::EraPolicy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::log::Log;
use super::{Behaviour, Way};

/// The name of every server whose name server lies. Three labels: it is looked up as it stands.
pub(super) const NAME: &str = "mcp.hostile.test";
/// Where clouds tell their machines what only those should know.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const INTERNAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const MAX_PACKET: usize = 4096;

/// What the name server says of an honest server's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// An error.
    Code(ResponseCode),
    /// No record.
    Nothing,
    /// Nothing at all.
    Silence,
    /// Bytes that are no message, behind the right id.
    Garbage,
    /// The truth, under the id of another question.
    OtherId,
    /// Two names that are each other's alias.
    AliasLoop,
    /// An alias of an alias without end.
    AliasChain,
    /// Hundreds of addresses, over TCP.
    Many,
    /// The address of a private network.
    Private,
    /// The address of the metadata service.
    Metadata,
    /// The address of the metadata service, as IPv6 embeds it.
    MetadataMapped,
    /// The truth beside the address of the metadata service.
    Mixed,
    /// The truth to the first question, the address of the metadata service from then on.
    Rebinding,
}

pub(super) const LIST: [Behaviour; 15] = [
    dns(
        "dns-nxdomain",
        "the name does not exist",
        Lie::Code(ResponseCode::NXDomain),
    ),
    dns(
        "dns-servfail",
        "the name server fails",
        Lie::Code(ResponseCode::ServFail),
    ),
    dns(
        "dns-refused",
        "the name server refuses to answer",
        Lie::Code(ResponseCode::Refused),
    ),
    dns("dns-empty", "the name has no address", Lie::Nothing),
    dns("dns-silent", "the name server never answers", Lie::Silence),
    dns("dns-garbage", "the answer is no message", Lie::Garbage),
    dns(
        "dns-other-id",
        "the answer is to another question",
        Lie::OtherId,
    ),
    dns(
        "dns-alias-loop",
        "two names are each other's alias",
        Lie::AliasLoop,
    ),
    dns(
        "dns-alias-chain",
        "an alias of an alias without end",
        Lie::AliasChain,
    ),
    dns(
        "dns-many-addresses",
        "the name has hundreds of addresses",
        Lie::Many,
    ),
    dns(
        "dns-private",
        "the name has a private address",
        Lie::Private,
    )
    .remote(),
    dns(
        "dns-metadata",
        "the name has the metadata service's address",
        Lie::Metadata,
    )
    .remote(),
    dns(
        "dns-metadata-mapped",
        "the same, embedded in IPv6",
        Lie::MetadataMapped,
    )
    .remote(),
    dns(
        "dns-mixed",
        "a good address beside the metadata service's",
        Lie::Mixed,
    )
    .remote(),
    dns(
        "dns-rebinding",
        "a good address first, then the metadata service's",
        Lie::Rebinding,
    )
    .remote(),
];

const fn dns(name: &'static str, what: &'static str, lie: Lie) -> Behaviour {
    Behaviour::new(name, what, EraPolicy::Modern, Way::Dns(lie))
}

/// What the sockets share.
struct Liar {
    lie: Lie,
    log: Arc<Log>,
    was_asked: AtomicBool,
}

/// Starts the name server on `ip`.
pub(super) async fn start(
    lie: Lie,
    ip: IpAddr,
    log: Arc<Log>,
    token: CancellationToken,
) -> io::Result<SocketAddr> {
    // The same port for both: clients come back over TCP to where UDP was.
    let listener = TcpListener::bind((ip, 0)).await?;
    let address = listener.local_addr()?;
    let socket = UdpSocket::bind(address).await?;
    let liar = Arc::new(Liar {
        lie,
        log,
        was_asked: AtomicBool::default(),
    });
    let datagrams = datagrams(Arc::clone(&liar), socket);
    let connections = connections(liar, listener);
    tokio::spawn(token.clone().run_until_cancelled_owned(datagrams));
    tokio::spawn(token.run_until_cancelled_owned(connections));
    Ok(address)
}

async fn datagrams(liar: Arc<Liar>, socket: UdpSocket) {
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        // An error here is one that an earlier datagram met on its way.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Some(bytes) = liar.reply(&buffer[..length], false) {
            let _ = socket.send_to(&bytes, from).await;
        }
    }
}

async fn connections(liar: Arc<Liar>, listener: TcpListener) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            continue;
        };
        let liar = Arc::clone(&liar);
        tokio::spawn(async move {
            // Length first (RFC 1035 §4.2.2).
            while let Ok(length) = stream.read_u16().await {
                let mut packet = vec![0; usize::from(length)];
                stream.read_exact(&mut packet).await?;
                let Some(bytes) = liar.reply(&packet, true) else {
                    return Ok(());
                };
                stream
                    .write_u16(u16::try_from(bytes.len()).map_err(io::Error::other)?)
                    .await?;
                stream.write_all(&bytes).await?;
            }
            io::Result::Ok(())
        });
    }
}

impl Liar {
    fn reply(&self, packet: &[u8], is_tcp: bool) -> Option<Vec<u8>> {
        let request = Message::from_vec(packet).ok()?;
        let query = request.queries.first()?.clone();
        self.log.asked();
        let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
        reply.metadata = Metadata::response_from_request(&request.metadata);
        reply.metadata.recursion_available = true;
        reply.add_queries([query.clone()]);
        match self.lie {
            Lie::Silence => return None,
            Lie::Garbage => {
                let mut bytes = packet.get(..2)?.to_vec();
                bytes.extend([0x81, 0x80, 0xff, 0xff, 0xff, 0xff, 0xc0, 0x0c, 0xc0, 0x0c]);
                return Some(bytes);
            }
            Lie::OtherId => reply.metadata.id = request.metadata.id.wrapping_add(1),
            Lie::Code(code) => reply.metadata.response_code = code,
            Lie::Many if !is_tcp => reply.metadata.truncation = true,
            Lie::Nothing
            | Lie::AliasLoop
            | Lie::AliasChain
            | Lie::Many
            | Lie::Private
            | Lie::Metadata
            | Lie::MetadataMapped
            | Lie::Mixed
            | Lie::Rebinding => {}
        }
        if !reply.metadata.truncation {
            for data in self.data(&query) {
                reply.add_answer(Record::from_rdata(query.name.clone(), 0, data));
            }
        }
        reply.to_vec().ok()
    }

    fn data(&self, query: &Query) -> Vec<RData> {
        let v4 = |addresses: &[Ipv4Addr]| {
            let wanted = query.query_type == RecordType::A;
            let addresses = addresses.iter().filter(|_| wanted);
            addresses.map(|address| RData::A(A(*address))).collect()
        };
        match self.lie {
            Lie::Code(_) | Lie::Nothing | Lie::Silence | Lie::Garbage => Vec::new(),
            Lie::OtherId => v4(&[Ipv4Addr::LOCALHOST]),
            Lie::AliasLoop => {
                let other = if query.name.to_ascii().starts_with("mcp") {
                    "other.hostile.test."
                } else {
                    "mcp.hostile.test."
                };
                alias(other)
            }
            Lie::AliasChain => alias(&format!("a.{}", query.name)),
            Lie::Many => v4(&[Ipv4Addr::LOCALHOST; 500]),
            Lie::Private => v4(&[INTERNAL]),
            Lie::Metadata => v4(&[METADATA]),
            Lie::MetadataMapped => {
                let mapped = RData::AAAA(AAAA(METADATA.to_ipv6_mapped()));
                let wanted = query.query_type == RecordType::AAAA;
                wanted.then_some(mapped).into_iter().collect()
            }
            Lie::Mixed => v4(&[METADATA, Ipv4Addr::LOCALHOST]),
            Lie::Rebinding if query.query_type != RecordType::A => Vec::new(),
            Lie::Rebinding => {
                if self.was_asked.swap(true, Ordering::SeqCst) {
                    v4(&[METADATA])
                } else {
                    v4(&[Ipv4Addr::LOCALHOST])
                }
            }
        }
    }
}

fn alias(name: &str) -> Vec<RData> {
    Name::from_ascii(name).map_or_else(|_| Vec::new(), |name| vec![RData::CNAME(CNAME(name))])
}
