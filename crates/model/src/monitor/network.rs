//! What is wrong with the way to a target that a spec asks for.

use url::{Host, Url};

use super::{FieldError, HttpVersions, MonitorSpec};

/// Rules of one monitor.
const MAX_RULES: usize = 16;
/// The most bytes of authorities: every agent gets them with the schedule.
const MAX_CA_BYTES: usize = 16 << 10;

impl MonitorSpec {
    pub(super) fn network_problems(&self, problems: &mut Vec<FieldError>) {
        let mut problem = |pointer: &str, detail: &str| {
            problems.push(FieldError::new(pointer, detail));
        };
        if self.connect_to.len() > MAX_RULES {
            problem("/connect_to", "there are more than 16 entries");
        }
        if self.sni.as_ref().is_some_and(|name| !is_name(name)) {
            problem("/sni", "is no name; write it like mcp.example.com");
        }
        if self.host_header.as_ref().is_some_and(|host| !is_host(host)) {
            problem(
                "/host_header",
                "is no host; write it like mcp.example.com or mcp.example.com:8443",
            );
        }
        if self.http == HttpVersions::Http3 && !self.url.is_https() {
            problem(
                "/http",
                "is 3, which is for https:// only; give the https:// URL, or leave it out",
            );
        }
        let Some(ca) = &self.ca else {
            return;
        };
        if ca.len() > MAX_CA_BYTES {
            problem(
                "/ca",
                "is longer than 16 KiB; name the one authority that signs it",
            );
        }
        if ca.contains("PRIVATE KEY-----") {
            problem(
                "/ca",
                "has a private key; send certificates only, and make a new key",
            );
        } else if !ca.contains("-----BEGIN CERTIFICATE-----") {
            problem(
                "/ca",
                "has no certificate; give certificates of authorities in PEM",
            );
        }
    }
}

/// Whether TLS knows such a name: a host name (RFC 6066 §3), or an address.
fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    match Host::parse(text) {
        Ok(Host::Domain(_)) => {
            text.len() <= 253 && text.bytes().all(legal) && !text.starts_with('.')
        }
        Ok(Host::Ipv4(_)) => true,
        Ok(Host::Ipv6(_)) => false,
        Err(_) => text.parse::<std::net::Ipv6Addr>().is_ok(),
    }
}

/// Whether it is a host and perhaps a port (RFC 9110 §7.2).
fn is_host(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b);
    !text.is_empty()
        && text.len() <= 300
        && text.bytes().all(legal)
        && Url::parse(&format!("http://{text}/")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(change: impl FnOnce(&mut MonitorSpec)) -> Vec<String> {
        let mut spec = MonitorSpec::new("https://mcp.example.com/mcp".parse().unwrap());
        change(&mut spec);
        let problems = spec.problems().into_iter();
        problems.map(|problem| problem.pointer).collect()
    }

    #[test]
    fn each_bad_field_is_named() {
        let cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN EC PRIVATE KEY-----\n";
        let none: [&str; 0] = [];
        assert_eq!(
            pointers(|spec| {
                spec.connect_to = vec!["::203.0.113.7".parse().unwrap()];
                spec.sni = Some("blue.example.com".to_owned());
                spec.host_header = Some("[2001:db8::7]:8443".to_owned());
                spec.ca = Some(cert.to_owned());
            }),
            none
        );
        for sni in ["", "a b", "a/b", ".a", "[::1]", "a\u{202e}b"] {
            assert_eq!(
                pointers(|spec| spec.sni = Some(sni.to_owned())),
                ["/sni"],
                "{sni}"
            );
        }
        for host in ["", "a b", "user@a", "a/b", "a:x", "a\r\nX: y"] {
            let found = pointers(|spec| spec.host_header = Some(host.to_owned()));
            assert_eq!(found, ["/host_header"], "{host:?}");
        }
        for ca in ["", "PEM", &format!("{cert}{key}"), &cert.repeat(400)] {
            assert_eq!(pointers(|spec| spec.ca = Some(ca.to_owned())), ["/ca"]);
        }
        let rule: crate::ConnectTo = "::203.0.113.7".parse().unwrap();
        assert_eq!(
            pointers(|spec| spec.connect_to = vec![rule; 17]),
            ["/connect_to"]
        );
    }
}
