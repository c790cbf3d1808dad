//! Targets, allow lists and proxies as text, and what the address policy says of what they name: an
//! address is as public in every form that IPv6 has for it.

#![no_main]

use std::net::IpAddr;

use dial::{AddressPolicy, Allow, Origin, Proxy};
use libfuzzer_sys::fuzz_target;
use model::TargetUrl;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut words = text.splitn(3, '\n');
    let (first, second) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let allow = first.parse::<Allow>();
    if let Err(error) = &allow {
        assert!(!error.to_string().contains(char::is_control));
    }
    let policy = AddressPolicy::new(allow.into_iter().collect());
    let closed = AddressPolicy::default();
    let address = second.parse::<IpAddr>().ok().or_else(|| host(second));
    if let Some(ip) = address {
        let is_open = closed.admit(ip, 443, Origin::Remote).is_ok();
        // An allow list only ever opens.
        assert!(!is_open || policy.admit(ip, 443, Origin::Remote).is_ok());
        assert!(closed.admit(ip, 443, Origin::Operator).is_ok());
        if let IpAddr::V4(v4) = ip.to_canonical() {
            let mapped = IpAddr::V6(v4.to_ipv6_mapped());
            assert_eq!(is_open, closed.admit(mapped, 443, Origin::Remote).is_ok());
            assert!(!(is_open && (v4.is_private() || v4.is_loopback() || v4.is_link_local())));
        }
    }
    let _ = words.next().map(str::parse::<Proxy>);
});

/// The address of a URL whose host is one, however it is written.
fn host(text: &str) -> Option<IpAddr> {
    let target: TargetUrl = text.parse().ok()?;
    let shown = target.as_url().host_str()?;
    // What was accepted is read again as itself.
    assert_eq!(
        target.to_string().parse::<TargetUrl>().ok().as_ref(),
        Some(&target)
    );
    shown.trim_matches(['[', ']']).parse().ok()
}
