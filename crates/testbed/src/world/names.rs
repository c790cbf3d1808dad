//! What an agent's name server says: its own addresses for the names of the world, and what the
//! system says for all others. Pure: bytes in, bytes out.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::layout::{self, Agent, ZONE};

/// Seconds that an answer of the world holds: a name that moves is seen soon.
const TTL: u32 = 5;
/// Seconds that an answer of the system is said to hold; its own are not told.
const FOREIGN_TTL: u32 = 60;
/// Addresses of one answer: with a name of the greatest length still less than 512 bytes.
const MAX_ADDRESSES: usize = 8;
/// The size of a header (RFC 1035 §4.1.1).
const HEADER: usize = 12;

/// What is to be done with a packet.
#[derive(Debug)]
pub(super) enum Reply {
    /// Nothing: it is no question.
    Nothing,
    /// This is sent back.
    Send(Vec<u8>),
    /// The system is asked first.
    Ask(Box<Question>),
}

/// A question about a name that is not of the world.
#[derive(Debug)]
pub(super) struct Question {
    request: Message,
    query: Query,
    /// The name, without the dot at its end.
    pub(super) name: String,
}

/// What to do with a packet that `agent` sent.
pub(super) fn reply(agent: &Agent, packet: &[u8]) -> Reply {
    let Some(header) = packet.get(..HEADER) else {
        return Reply::Nothing;
    };
    // An answer is never answered, or two name servers could talk for ever.
    if header[2] & 0x80 != 0 {
        return Reply::Nothing;
    }
    let id = u16::from_be_bytes([header[0], header[1]]);
    let refuse = |op_code, code| encode(&Message::error_msg(id, op_code, code));
    let questions = u16::from_be_bytes([header[4], header[5]]);
    // RFC 9619: a query has one question. What has more is not even read.
    if questions != 1 {
        return refuse(OpCode::Query, ResponseCode::FormErr);
    }
    let Ok(request) = Message::from_vec(packet) else {
        return refuse(OpCode::Query, ResponseCode::FormErr);
    };
    let op_code = request.metadata.op_code;
    if op_code != OpCode::Query || request.metadata.message_type != MessageType::Query {
        return refuse(op_code, ResponseCode::NotImp);
    }
    let Some(query) = request.queries.first().cloned() else {
        return refuse(op_code, ResponseCode::FormErr);
    };
    if query.query_class != DNSClass::IN {
        return encode(&respond(&request, ResponseCode::Refused));
    }
    let name = query.name.to_lowercase().to_ascii();
    let name = name.trim_end_matches('.').to_owned();
    if name == ZONE || name.ends_with(&format!(".{ZONE}")) {
        return encode(&own(agent, &request, &query, &name));
    }
    if matches!(query.query_type, RecordType::A | RecordType::AAAA) {
        return Reply::Ask(Box::new(Question {
            request,
            query,
            name,
        }));
    }
    encode(&respond(&request, ResponseCode::NotImp))
}

/// The answer about a name of the world.
fn own(agent: &Agent, request: &Message, query: &Query, name: &str) -> Message {
    let host = layout::hosts().find(|host| host.name() == name);
    let Some(host) = host else {
        let exists = name == ZONE;
        let code = if exists {
            ResponseCode::NoError
        } else {
            ResponseCode::NXDomain
        };
        return respond(request, code);
    };
    let mut response = respond(request, ResponseCode::NoError);
    if query.query_type == RecordType::A {
        let address = agent.address(host.last_byte());
        response.add_answer(record(query, TTL, address.into()));
    }
    response
}

impl Question {
    /// The answer, from what the system says; `None` where it knows no such name.
    pub(super) fn answer(&self, found: Option<&[IpAddr]>) -> Reply {
        let Some(found) = found else {
            return encode(&respond(&self.request, ResponseCode::NXDomain));
        };
        let mut response = respond(&self.request, ResponseCode::NoError);
        let is_v4 = self.query.query_type == RecordType::A;
        let asked = found.iter().filter(|address| address.is_ipv4() == is_v4);
        let mut last: IpAddr = Ipv4Addr::UNSPECIFIED.into();
        let mut left = MAX_ADDRESSES;
        for address in asked {
            // The system names an address once for each kind of socket.
            if *address != last && left > 0 {
                response.add_answer(record(&self.query, FOREIGN_TTL, *address));
                left -= 1;
            }
            last = *address;
        }
        encode(&response)
    }

    /// The answer when too many questions wait already.
    pub(super) fn busy(&self) -> Reply {
        encode(&respond(&self.request, ResponseCode::ServFail))
    }
}

fn respond(request: &Message, code: ResponseCode) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.response_code = code;
    response.metadata.authoritative = true;
    response.metadata.recursion_available = true;
    response.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        response.set_edns(Edns::new());
    }
    response
}

fn record(query: &Query, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Record::from_rdata(query.name.clone(), ttl, data)
}

fn encode(message: &Message) -> Reply {
    message.to_vec().map_or(Reply::Nothing, Reply::Send)
}

#[cfg(test)]
mod tests;
