//! Which addresses may be connected to.
//!
//! A monitor that comes over the API must not turn an agent into a door into the agent's own
//! network. What counts is the address after resolution, in canonical form, so spellings
//! (`0x7f.1`), names that resolve inwards and IPv6 forms that embed IPv4 are all the same here.
//! The ranges are those of the IANA special-purpose registries (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// Who named the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The person at the keyboard, or the host's own configuration: any address, plain http too.
    Operator,
    /// The API, a redirect, metadata, anything that came over the network: public addresses and
    /// https, except what the allow list of this host opens.
    Remote,
}

/// One entry of a host's allow list: a network, and perhaps one port of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow {
    net: IpNet,
    port: Option<u16>,
}

/// A text that is no [`Allow`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allow: `{0}` is no network; write it like 10.1.0.0/16, 10.1.2.3 or 10.1.0.0/16#8443")]
pub struct AllowError(String);

impl FromStr for Allow {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || AllowError(model::text::line(text, 64));
        let (net, port) = match text.split_once('#') {
            Some((net, port)) => (net, Some(port.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let single = net.parse::<IpAddr>().map(IpNet::from);
        let net = net.parse::<IpNet>().or(single).map_err(|_| bad())?;
        Ok(Self {
            net: net.trunc(),
            port,
        })
    }
}

/// Decides for each address whether it may be connected to.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allow: Vec<Allow>,
    /// What a target may lead to.
    ceiling: Option<Ceiling>,
}

/// How private the addresses may be that a target leads to: no more than its own.
#[derive(Debug, Clone, Copy)]
struct Ceiling {
    /// The target's address, where it is known; nothing private without it.
    target: Option<IpAddr>,
    /// Whether the operator named the target: else the allow list must open the address too.
    by_operator: bool,
}

impl AddressPolicy {
    /// A policy that opens `allow` to targets of remote origin.
    #[must_use]
    pub const fn new(allow: Vec<Allow>) -> Self {
        Self {
            allow,
            ceiling: None,
        }
    }

    /// The policy for what a target leads to: public addresses, and those that are no more private
    /// than `target`, the address of the target itself, which `origin` named.
    pub(crate) fn led_by(&self, target: Option<IpAddr>, origin: Origin) -> Self {
        Self {
            allow: self.allow.clone(),
            ceiling: Some(Ceiling {
                target,
                by_operator: origin == Origin::Operator,
            }),
        }
    }

    /// Whether `ip` and `port` may be connected to.
    ///
    /// # Errors
    /// Says which range the address belongs to.
    pub fn admit(&self, ip: IpAddr, port: u16, origin: Origin) -> Result<(), &'static str> {
        if origin == Origin::Operator || self.allows(ip, port) {
            return Ok(());
        }
        match special_range(ip) {
            Some(range) => Err(range),
            None => Ok(()),
        }
    }

    /// Whether the allow list opens this address.
    #[must_use]
    pub fn allows(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        if let Some(ceiling) = self.ceiling
            && let Some(range) = special_range(ip)
        {
            let reached = ceiling.target.is_some_and(|to| leads_to(to, ip, range));
            return reached && (ceiling.by_operator || self.lists(ip, port));
        }
        self.lists(ip, port)
    }

    fn lists(&self, ip: IpAddr, port: u16) -> bool {
        let opens = |allow: &Allow| {
            allow.net.contains(&ip) && allow.port.is_none_or(|allowed| allowed == port)
        };
        self.allow.iter().any(opens)
    }
}

/// Whether a target at `target` may lead to `ip`, which is of the special `range`: from loopback to
/// private networks too, else only to the same kind of address.
fn leads_to(target: IpAddr, ip: IpAddr, range: &str) -> bool {
    let is_private = |ip: IpAddr| match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    };
    match special_range(target) {
        None => false,
        Some(_) if is_private(ip) => is_private(target) || target.to_canonical().is_loopback(),
        Some(own) => own == range,
    }
}

/// Ports of well-known services that are not HTTP: a request to them could be taken for a command.
/// The list is the part of the Fetch standard's "bad ports" that strangers might aim at.
pub(crate) const fn is_other_service(port: u16) -> bool {
    matches!(
        port,
        0 | 7 | 9 | 11 | 13 | 15 | 17 | 19..=23 | 25 | 37 | 42 | 43 | 53 | 69 | 77 | 79 | 87 | 95
            | 101..=104 | 109..=111 | 113 | 115 | 117 | 119 | 123 | 135 | 137 | 139 | 143 | 161
            | 179 | 389 | 427 | 465 | 512..=515 | 526 | 530..=532 | 540 | 548 | 554 | 556 | 563
            | 587 | 601 | 636 | 989 | 990 | 993 | 995 | 1719 | 1720 | 1723 | 2049 | 3306 | 3659
            | 4045 | 4190 | 5060 | 5061 | 5432 | 6000 | 6379 | 6566 | 6665..=6669 | 6679 | 6697
            | 10080 | 11211 | 27017
    )
}

/// The special-purpose range that `ip` belongs to; `None` for public unicast addresses.
fn special_range(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let range = match ip.octets() {
        [0, ..] => "this network (0.0.0.0/8)",
        [10, ..] | [192, 168, ..] => "private (RFC 1918)",
        [172, b, ..] if b & 0xf0 == 16 => "private (RFC 1918)",
        [100, b, ..] if b & 0xc0 == 64 => "carrier-grade NAT (100.64.0.0/10)",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local (cloud metadata)",
        [192, 0, 0, _] => "IETF protocol assignments (192.0.0.0/24)",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation (RFC 5737)",
        [192, 88, 99, _] => "6to4 relay (192.88.99.0/24)",
        [198, 18 | 19, ..] => "benchmarking (198.18.0.0/15)",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved (240.0.0.0/4)",
        _ => return None,
    };
    Some(range)
}

fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let s = ip.segments();
    // NAT64 (RFC 6052): the way to IPv4 on an IPv6-only host; as public as what it embeds.
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., a, b, c, d] = ip.octets();
        return special_v4(Ipv4Addr::new(a, b, c, d));
    }
    let range = match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0x64, 0xff9b, 1, ..] => "local NAT64 (64:ff9b:1::/48)",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "documentation (RFC 3849, RFC 9637)",
        [0x2001, 0..=0x1ff, ..] => "IETF protocol assignments, Teredo (2001::/23)",
        [0x2002, ..] => "6to4 (2002::/16)",
        [0xfc00..=0xfdff, ..] => "unique local (fc00::/7)",
        [0xfe80..=0xfebf, ..] => "link-local (fe80::/10)",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2000..=0x3fff, ..] => return None,
        _ => "not global unicast (2000::/3)",
    };
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admit(ip: &str, origin: Origin) -> bool {
        AddressPolicy::default()
            .admit(ip.parse().unwrap(), 443, origin)
            .is_ok()
    }

    /// First and last address of each IANA special-purpose block, and their outer neighbours.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn special_ranges_are_refused_to_their_edges() {
        let refused = [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ];
        for ip in refused {
            assert!(!admit(ip, Origin::Remote), "{ip} is special");
            assert!(admit(ip, Origin::Operator), "{ip} by an operator");
        }
        let public = [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
        ];
        for ip in public {
            assert!(admit(ip, Origin::Remote), "{ip} is public");
        }
    }

    #[test]
    fn the_allow_list_opens_what_it_names() {
        let policy = AddressPolicy::new(vec![
            "10.1.0.0/16#8443".parse().unwrap(),
            "fd00::/8".parse().unwrap(),
            "127.0.0.7".parse().unwrap(),
        ]);
        let admit = |ip: &str, port| {
            policy
                .admit(ip.parse().unwrap(), port, Origin::Remote)
                .is_ok()
        };
        assert!(admit("10.1.2.3", 8443));
        assert!(admit("::ffff:10.1.2.3", 8443));
        assert!(!admit("10.1.2.3", 443));
        assert!(!admit("10.2.0.1", 8443));
        assert!(admit("fd12::1", 1));
        assert!(admit("127.0.0.7", 80) && !admit("127.0.0.8", 80));
    }

    #[test]
    fn a_bad_entry_says_how_to_write_it() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/8#",
            "10.0.0.0/8#70000",
            "example.com",
        ] {
            let error = text.parse::<Allow>().unwrap_err().to_string();
            assert!(error.contains("write it like 10.1.0.0/16"), "{error}");
        }
    }

    proptest! {
        /// The mapped and the NAT64 form of an IPv4 address are as public as the address.
        #[test]
        fn embedding_changes_nothing(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let plain = special_range(v4.into()).is_some();
            prop_assert_eq!(special_range(v4.to_ipv6_mapped().into()).is_some(), plain);
            let [a, b, c, d] = v4.octets().map(u16::from);
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d);
            prop_assert_eq!(special_range(nat64.into()).is_some(), plain);
        }
    }

    /// A target may lead to what is as public as itself, or more; never to more private addresses.
    #[test]
    fn what_a_target_leads_to_is_no_more_private_than_it() {
        let table = [
            ("93.184.216.34", "8.8.8.8", true),
            ("93.184.216.34", "10.0.0.1", false),
            ("93.184.216.34", "127.0.0.1", false),
            ("93.184.216.34", "169.254.169.254", false),
            ("93.184.216.34", "fd00::1", false),
            ("10.1.2.3", "8.8.8.8", true),
            ("10.1.2.3", "192.168.0.1", true),
            ("10.1.2.3", "fd00::1", true),
            ("10.1.2.3", "127.0.0.1", false),
            ("10.1.2.3", "169.254.169.254", false),
            ("127.0.0.1", "127.0.0.2", true),
            ("127.0.0.1", "::1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("127.0.0.1", "10.0.0.1", true),
            ("127.0.0.1", "169.254.169.254", false),
            ("::1", "127.0.0.1", true),
        ];
        let policy = AddressPolicy::default();
        for (target, ip, may) in table {
            let (target, address): (IpAddr, IpAddr) =
                (target.parse().unwrap(), ip.parse().unwrap());
            let led = policy.led_by(Some(target), Origin::Operator);
            let admitted = led.admit(address, 443, Origin::Remote).is_ok();
            assert_eq!(admitted, may, "{target} to {ip}");
            // Without knowing the target, and for one that the API named: public addresses only.
            let unknown = policy.led_by(None, Origin::Operator);
            assert_eq!(
                unknown.admit(address, 443, Origin::Remote).is_ok(),
                special_range(address).is_none()
            );
            let remote = policy.led_by(Some(target), Origin::Remote);
            assert_eq!(
                remote.admit(address, 443, Origin::Remote).is_ok(),
                special_range(address).is_none()
            );
        }
    }

    /// What a host's allow list opens is opened to targets, not to what public targets lead to.
    #[test]
    fn an_allow_list_opens_nothing_to_what_a_public_target_leads_to() {
        let policy = AddressPolicy::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        let public = policy.led_by("8.8.8.8".parse().ok(), Origin::Remote);
        assert!(public.admit(ip, 443, Origin::Remote).is_err());
        let private = policy.led_by("10.9.9.9".parse().ok(), Origin::Remote);
        assert!(private.admit(ip, 443, Origin::Remote).is_ok());
        let elsewhere: IpAddr = "192.168.0.1".parse().unwrap();
        assert!(private.admit(elsewhere, 443, Origin::Remote).is_err());
    }
}
