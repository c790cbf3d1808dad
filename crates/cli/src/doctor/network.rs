//! Names, IPv6, and the way to what was named.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use dial::{Alpn, Dialer, DialerOptions, Endpoint, Origin};
use model::{Reason, TargetUrl};

use super::{Line, What};

/// How long a name and a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Plain, so that nothing but TCP is tried.
    url: TargetUrl,
    shown: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{}` is no HOST:PORT; write it like mcp.example.com:443",
                model::text::line(text, 80)
            )
        };
        // A port of 80 would be dropped by the URL, and must have been written.
        let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let port = port.and_then(|(_, port)| port.parse::<u16>().ok());
        let url: TargetUrl = format!("http://{text}/").parse().map_err(|_| bad())?;
        if port != Some(url.port()) || url.as_url().path() != "/" || port == Some(0) {
            return Err(bad());
        }
        let host = url.as_url().host_str().unwrap_or_default();
        let shown = format!("{host}:{}", url.port());
        Ok(Self { url, shown })
    }
}

impl Place {
    /// Where the API is, as a place to connect to.
    fn of(api: &TargetUrl) -> Option<Self> {
        let host = api.as_url().host_str()?;
        format!("{host}:{}", api.port()).parse().ok()
    }
}

/// A line for names, then one for each place.
pub(super) async fn names_and_egress(places: &[Place], api: Option<&TargetUrl>) -> Vec<Line> {
    let dialer = match Dialer::new(DialerOptions::default()) {
        Ok(dialer) => dialer,
        Err(error) => {
            let cure = "check /etc/resolv.conf";
            return vec![Line::fail(What::Dns, error.to_string(), cure)];
        }
    };
    let mut all: Vec<Place> = places.to_vec();
    all.extend(
        api.and_then(Place::of)
            .filter(|place| !places.contains(place)),
    );
    let mut names = Names::default();
    let mut lines = Vec::new();
    for place in &all {
        lines.push(egress(&dialer, place, &mut names).await);
    }
    if all.is_empty() {
        let cure = "give --egress HOST:PORT for what must be reached";
        lines.push(Line::skipped(What::Egress, "nothing was named", cure));
    }
    lines.insert(0, names.line());
    lines
}

/// What was learned of names on the way.
#[derive(Default)]
struct Names {
    good: Vec<String>,
    bad: Vec<String>,
}

impl Names {
    fn line(self) -> Line {
        let what = What::Dns;
        if !self.bad.is_empty() {
            let cure = "check the name, /etc/resolv.conf, and that UDP and TCP port 53 are open";
            return Line::fail(what, self.bad.join("; "), cure);
        }
        if self.good.is_empty() {
            let cure = "give --egress HOST:PORT or --api URL with a name";
            return Line::skipped(what, "no name was to be resolved", cure);
        }
        Line::pass(what, self.good.join("; "))
    }
}

async fn egress(dialer: &Dialer, place: &Place, names: &mut Names) -> Line {
    let what = What::Egress;
    let Some(endpoint) = Endpoint::of(&place.url) else {
        return Line::fail(what, format!("{}: no host", place.shown), "write HOST:PORT");
    };
    let shown = &place.shown;
    let begin = tokio::time::Instant::now();
    let dialed = dialer.dial(&endpoint, Origin::Operator, Alpn::Http1, &[], &|_| {});
    let (name, port) = shown.rsplit_once(':').unwrap_or((shown, ""));
    let name = name.trim_matches(['[', ']']);
    let cure = format!("open the firewall, and check that something listens: nc -vz {name} {port}");
    let host = place.url.as_url().host_str().unwrap_or_default().to_owned();
    let seen = |resolved: &[IpAddr]| -> Option<String> {
        let list: Vec<String> = resolved.iter().map(IpAddr::to_string).collect();
        (!list.is_empty()).then(|| format!("{host} is {}", list.join(", ")))
    };
    match tokio::time::timeout(PATIENCE, dialed).await {
        Ok(Ok(connection)) => {
            let found = connection.resolution.iter();
            names
                .good
                .extend(found.flat_map(|found| seen(&found.addresses)));
            let millis = begin.elapsed().as_secs_f64() * 1000.0;
            let address = connection.address;
            Line::pass(
                what,
                format!("{shown}: connected to {address} in {millis:.1} ms"),
            )
        }
        Ok(Err(error)) if is_of_names(error.reason) => {
            names
                .bad
                .push(format!("{}: {}", error.reason, error.detail));
            Line::skipped(
                what,
                format!("{shown}: the name does not resolve"),
                "see `dns`",
            )
        }
        Ok(Err(error)) => {
            let found = error.resolution.iter();
            names
                .good
                .extend(found.flat_map(|found| seen(&found.addresses)));
            let detail = format!("{shown}: {}: {}", error.reason, error.detail);
            Line::fail(what, detail, cure)
        }
        Err(_) => Line::fail(what, format!("{shown}: no connection in 10 s"), cure),
    }
}

const fn is_of_names(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::DnsNxdomain | Reason::DnsNoData | Reason::DnsTimeout | Reason::DnsServfail
    )
}

/// Whether there is a route: a datagram socket asks the kernel for one, and sends nothing. The address
/// is of documentation's (RFC 3849), so that nobody would be reached.
pub(super) fn ipv6() -> Line {
    let anywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let far = SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 443));
    let own = UdpSocket::bind(anywhere).and_then(|socket| {
        socket.connect(far)?;
        socket.local_addr()
    });
    match own {
        Ok(own) => {
            let is_local = matches!(own.ip(), IpAddr::V6(ip) if ip.is_unique_local());
            let note = if is_local {
                ", a local address: something must translate it"
            } else {
                ""
            };
            Line::pass(What::Ipv6, format!("from {}{note}", own.ip()))
        }
        Err(error) => Line::skipped(
            What::Ipv6,
            format!("no route ({error}): targets are reached by IPv4 only"),
            "if targets should be watched by IPv6 too, ask the provider for it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_host_and_a_port() {
        for (text, shown) in [
            ("mcp.example.com:443", "mcp.example.com:443"),
            ("a:80", "a:80"),
            ("[::1]:7443", "[::1]:7443"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().shown, shown);
        }
        for text in [
            "mcp.example.com",
            "https://a:443",
            ":443",
            "a:0",
            "a:99999",
            "a:1/x",
            "::1:80x",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
