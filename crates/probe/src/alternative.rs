//! The probe once more over HTTP/3, where `Alt-Svc` says that the server speaks it (RFC 9114 §3.1.1).

use std::net::{IpAddr, SocketAddr};

use dial::{Alpn, Dialer, Endpoint, Origin};
use mcp::Findings;
use model::report::{Alternative, Http3Report};
use model::{CheckId, Outcome, Step};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use crate::driver;
use crate::job::Job;
use crate::report::{self, Probed};

/// Probes the first alternative that is HTTP/3, if there is one and it names a place.
pub(crate) async fn probe(
    dialer: &Dialer,
    job: &Job,
    endpoint: &Endpoint,
    probed: &Probed,
    cancel: &CancellationToken,
) -> Option<Http3Report> {
    let mut advertised = probed.facts.alt_svc.iter();
    let alternative = advertised.find(|one| one.protocol == "h3")?;
    let (host, port) = place(alternative)?;
    let mut job = job.clone();
    job.alpn = Alpn::Http3;
    job.health = None;
    job.network.tls_resumption = false;
    // Two transports are compared: what tools do is known already, and is not to be done twice.
    job.plan.calls.clear();
    let mut dialer = dialer.clone();
    // Whoever is named by the answer is no more trusted than any URL in it.
    if host.is_some() {
        let address = probed.facts.connection.as_ref()?.address.parse();
        let address: Option<IpAddr> = address.ok().map(|address: SocketAddr| address.ip());
        dialer = dialer.led_by(address, job.origin);
        job.origin = Origin::Remote;
    }
    let endpoint = endpoint.clone().advertised(host, port);
    let again = Box::pin(driver::once(&dialer, job, Some(endpoint), cancel)).await;
    let report = report::assemble(again, None).report;
    let connection = report.connection;
    Some(Http3Report {
        authority: alternative.authority.clone(),
        address: connection.as_ref().map(|one| one.address.clone()),
        quic: connection.and_then(|one| one.quic),
        outcome: report.outcome,
        summary: report.summary,
        total_us: report.total_us,
    })
}

/// `host:port`, the host absent where it is the same (RFC 7838 §3).
fn place(alternative: &Alternative) -> Option<(Option<Host<String>>, u16)> {
    let (host, port) = alternative.authority.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    if host.is_empty() {
        return Some((None, port));
    }
    // By the rules of URLs, as everywhere else.
    let url = Url::parse(&format!("https://{host}/")).ok()?;
    let is_bare = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    let host = url.host().filter(|_| is_bare)?.to_owned();
    Some((Some(host), port))
}

/// The check of what was advertised. What could not be tried says nothing.
pub(crate) fn examine(seen: &Http3Report, findings: &mut Findings) {
    let passed = match &seen.outcome {
        Outcome::Ok | Outcome::Degraded { .. } => true,
        Outcome::Failed(_) => false,
        Outcome::Inconclusive { .. } => return,
    };
    let detail = format!(
        "h3 is advertised at {}, where it fails: {}",
        seen.authority, seen.summary
    );
    findings.demand(passed, CheckId::NetAltSvc, Step::Close, detail);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(authority: &str) -> Option<(Option<String>, u16)> {
        let alternative = Alternative {
            protocol: "h3".to_owned(),
            authority: authority.to_owned(),
            max_age_seconds: 60,
        };
        place(&alternative).map(|(host, port)| (host.map(|host| host.to_string()), port))
    }

    #[test]
    fn an_authority_is_a_host_perhaps_and_a_port() {
        assert_eq!(of(":443"), Some((None, 443)));
        let named = |host: &str, port| Some((Some(host.to_owned()), port));
        assert_eq!(of("alt.example.com:8443"), named("alt.example.com", 8443));
        assert_eq!(of("[2001:db8::7]:1"), named("[2001:db8::7]", 1));
        for bad in [
            "", "443", ":", ":0", ":65536", "a b:1", "u@h:1", "a/b:1x", "h:2:1",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
