//! Whether this host has a way to an address at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Whether the kernel knows a way to `ip`. Asking sends nothing: connecting a UDP socket only looks
/// the way up.
#[must_use]
pub fn has_route(ip: IpAddr) -> bool {
    let any = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // The port is never sent to; any number but zero will do.
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect(SocketAddr::new(ip, 443)).is_ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_host_can_reach_itself() {
        assert!(super::has_route("127.0.0.1".parse().unwrap()));
    }
}
