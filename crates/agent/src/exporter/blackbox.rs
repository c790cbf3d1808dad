//! The metrics that `blackbox_exporter` has too, by its names and with its meaning
//! (`prober/handler.go`, `prober/http.go`, `prober/tls.go` and `prober/utils.go` of its 0.28).
//!
//! Where it has one exchange and its redirects, a probe of MCP has several: what is summed over
//! them, and which one counts, stands in each HELP. Left out is what means nothing here
//! (`probe_failed_due_to_regex`, `probe_http_content_length`), and what would put the server's own
//! text into labels (`probe_ssl_last_chain_info`).

use std::net::{IpAddr, SocketAddr};

use model::report::Tls;
use model::{Phase, Report, Step};

use super::Ran;
use super::page::{Kind, Page, seconds};

/// The phases of blackbox, and those of ours that they are: there the time until the first byte
/// begins when there is a connection, with what sending takes.
const PHASES: [(&str, &[Phase]); 5] = [
    ("resolve", &[Phase::Dns]),
    ("connect", &[Phase::Connect]),
    ("tls", &[Phase::Tls]),
    ("processing", &[Phase::Send, Phase::Wait]),
    ("transfer", &[Phase::Receive]),
];

/// Writes them.
pub(super) fn write(page: &mut Page, ran: &Ran) {
    let report = &ran.report;
    let help = "Displays whether or not the probe was a success: outcome ok or degraded";
    page.gauge("probe_success", help, u8::from(ran.is_success()));
    let help = "Returns how long the probe took to complete in seconds, all exchanges and closing";
    page.gauge("probe_duration_seconds", help, seconds(ran.took_us));
    let help = "Returns how long the probe might have taken in seconds, closing aside";
    page.gauge("probe_timeout_seconds", help, ran.limit.as_secs_f64());
    let us = |phases: &[Phase]| -> u64 {
        let steps = report.steps.iter();
        let spent = steps.flat_map(|step| phases.iter().filter_map(|p| step.phases_us.get(p)));
        spent.sum()
    };
    let help = "Returns the time taken for probe dns lookup in seconds, over all connections";
    let resolved = seconds(us(&[Phase::Dns]));
    page.gauge("probe_dns_lookup_time_seconds", help, resolved);
    address(page, report);
    let help = "Duration of http request by phase, summed over all exchanges of the probe; \
                connect, resolve and tls over all of its connections";
    page.family(Kind::Gauge, "probe_http_duration_seconds", help);
    for (word, phases) in PHASES {
        page.sample(&[("phase", word)], seconds(us(phases)));
    }
    let status = status(report);
    let help = "Response HTTP status code: of the exchange that failed, else of the last one \
                before the session was closed; 0 without a response";
    page.gauge("probe_http_status_code", help, status);
    let connection = report.connection.as_ref();
    let version = connection.and_then(|connection| connection.http_version.as_deref());
    let help = "Returns the version of HTTP of the probe response, of the first connection";
    page.gauge("probe_http_version", help, version.unwrap_or("0"));
    let help =
        "The number of redirects that were followed: none, an MCP endpoint must answer itself";
    page.gauge("probe_http_redirects", help, 0);
    let is_tls = status != 0 && report.url.is_https();
    let help = "Indicates if SSL was used for the response";
    page.gauge("probe_http_ssl", help, u8::from(is_tls));
    if let Some(tls) = connection.and_then(|connection| connection.tls.as_ref()) {
        of_tls(page, tls);
    }
}

fn address(page: &mut Page, report: &Report) {
    let connection = report.connection.as_ref();
    let address = connection.and_then(|c| c.address.parse::<SocketAddr>().ok());
    let ip = address.map(|address| address.ip().to_canonical());
    let protocol = match ip {
        None => 0,
        Some(IpAddr::V4(_)) => 4,
        Some(IpAddr::V6(_)) => 6,
    };
    let help = "Specifies whether probe ip protocol is IP4 or IP6, of the first connection";
    page.gauge("probe_ip_protocol", help, protocol);
    let hash = ip.map_or(0, |ip| match ip {
        IpAddr::V4(ip) => fnv1a(&ip.octets()),
        IpAddr::V6(ip) => fnv1a(&ip.octets()),
    });
    let help = "Specifies the hash of IP address. Its change shows that the address changed";
    page.gauge("probe_ip_addr_hash", help, hash);
}

fn of_tls(page: &mut Page, tls: &Tls) {
    if let Some(end) = tls.earliest_not_after {
        let help = "Returns the earliest end of validity in the presented chain in unixtime; also \
                    where the chain was refused";
        page.gauge("probe_ssl_earliest_cert_expiry", help, end);
    }
    if let Some(end) = tls.path_not_after {
        let help = "Returns last SSL chain expiry in timestamp: of the presented certificates that \
                    the trusted path needs, the root aside";
        page.gauge("probe_ssl_last_chain_expiry_timestamp_seconds", help, end);
    }
    if let Some(version) = &tls.version {
        let help = "Returns the TLS version used";
        page.family(Kind::Info, "probe_tls_version", help);
        page.sample(&[("version", &format!("TLS {version}"))], 1);
    }
    if let Some(cipher) = &tls.cipher_suite {
        let help = "Returns the TLS cipher negotiated during handshake";
        page.family(Kind::Info, "probe_tls_cipher", help);
        page.sample(&[("cipher", cipher)], 1);
    }
}

/// The status that speaks for the probe.
fn status(report: &Report) -> u16 {
    if let Some(failed) = report.failed_step() {
        return failed.http_status.unwrap_or(0);
    }
    // What closes a session, and what is wrong on purpose, says nothing of the service.
    let steps = report.steps.iter().rev();
    let mut counted =
        steps.filter(|step| !matches!(step.step, Step::Close | Step::Origin | Step::Strict));
    counted.find_map(|step| step.http_status).unwrap_or(0)
}

/// FNV-1a of 32 bits (draft-eastlake-fnv), as `hash/fnv` has it.
fn fnv1a(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    /// The test vectors of draft-eastlake-fnv-21, section 6.
    #[test]
    fn the_hash_is_fnv_1a() {
        let table: [(&[u8], u32); 3] = [
            (b"", 0x811c_9dc5),
            (b"a", 0xe40c_292c),
            (b"foobar", 0xbf9c_f968),
        ];
        for (bytes, hash) in table {
            assert_eq!(super::fnv1a(bytes), hash);
        }
    }
}
