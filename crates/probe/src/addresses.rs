//! Each address of a name probed by itself, and what they have in common.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use dial::{Dialer, Endpoint};
use mcp::Findings;
use model::report::{AddressReport, Difference, DifferenceKind as Kind};
use model::{CheckId, Outcome, Report, Step};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::driver;
use crate::job::Job;
use crate::stranger::{self, Wall};
use crate::{redact, report};

/// Addresses that are probed at a time: few enough that they do not measure each other.
const AT_ONCE: usize = 4;

/// The addresses of a name, and in what they differ.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) addresses: Vec<AddressReport>,
    pub(crate) differences: Vec<Difference>,
}

/// Probes every address of the endpoint's name; none where it has none, which the probe of the name
/// itself explains.
pub(crate) async fn probe_each(
    dialer: &Dialer,
    job: &Job,
    endpoint: &Endpoint,
    cancel: &CancellationToken,
) -> Compared {
    let resolving = dialer.addresses(endpoint, job.origin);
    let resolved = tokio::time::timeout(job.plan.step_timeout, resolving).await;
    let Ok(Ok(resolution)) = resolved else {
        return Compared::default();
    };
    let mut waiting = resolution.addresses.iter().copied().enumerate();
    let mut probes = JoinSet::new();
    let mut found = BTreeMap::new();
    loop {
        while probes.len() < AT_ONCE && !cancel.is_cancelled() {
            let Some((n, ip)) = waiting.next() else {
                break;
            };
            let (dialer, cancel) = (dialer.clone(), cancel.clone());
            let (job, endpoint) = (alone(job), endpoint.clone().pinned(ip));
            probes.spawn(async move {
                let once = driver::once(&dialer, job.clone(), Some(endpoint.clone()), &cancel);
                let probed = once.await;
                let challenges = probed.challenges.clone().unwrap_or_default();
                let report = report::assemble(probed, None).report;
                // Who has a key does not see whether there is a wall.
                let mut wall = if job.plan.has_credential {
                    let ask = stranger::ask(&dialer, &job, endpoint);
                    cancel.run_until_cancelled(ask).await.unwrap_or_default()
                } else {
                    Wall::of_probe(&report, &challenges)
                };
                if let Some(url) = &mut wall.metadata {
                    redact::text(url, &driver::secrets(&job));
                }
                (n, ip, report, wall)
            });
        }
        let Some(probed) = probes.join_next().await else {
            break;
        };
        // A panic is a bug of ours: that address is left out, the others go on.
        if let Ok((n, ip, report, wall)) = probed {
            found.insert(n, (ip, report, wall));
        }
    }
    let port = job.plan.url.port();
    let rows = found.into_values();
    let rows: Vec<Row> = rows
        .map(|(ip, report, wall)| Row::of(ip, port, &report, wall))
        .collect();
    let differences = compare(&rows);
    Compared {
        addresses: rows.into_iter().map(|row| row.report).collect(),
        differences,
    }
}

/// The job for one address.
fn alone(job: &Job) -> Job {
    let mut job = job.clone();
    job.network.tls_resumption = false;
    job.health = None;
    job
}

impl Compared {
    /// The checks of what was compared.
    pub(crate) fn examine(&self, findings: &mut Findings) {
        if self.addresses.is_empty() {
            return;
        }
        let of = |kind: Kind| {
            let mut all = self.differences.iter();
            all.find(|difference| difference.kind == kind)
        };
        let failing = of(Kind::Failing);
        let detail = failing.map_or("", |difference| &difference.detail);
        findings.demand(
            failing.is_none(),
            CheckId::NetAddresses,
            Step::Close,
            detail,
        );
        if self
            .addresses
            .iter()
            .any(|address| address.walled.is_some())
        {
            let unlike = of(Kind::Walls).or(of(Kind::Challenges));
            let detail = unlike.map_or("", |difference| &difference.detail);
            let id = CheckId::AuthAddresses;
            findings.demand(unlike.is_none(), id, Step::Authorize, detail);
        }
        let kinds = [
            Kind::Versions,
            Kind::Revisions,
            Kind::Tools,
            Kind::Certificates,
        ];
        let unlike: Vec<&str> = kinds
            .into_iter()
            .filter_map(|kind| Some(of(kind)?.detail.as_str()))
            .collect();
        let detail = unlike.join("; ");
        let id = CheckId::NetAddressesAlike;
        findings.demand(unlike.is_empty(), id, Step::Close, detail);
    }
}

/// One address and its result.
struct Row {
    ip: IpAddr,
    has_route: bool,
    report: AddressReport,
}

impl Row {
    fn of(ip: IpAddr, port: u16, report: &Report, wall: Wall) -> Self {
        let connection = report.connection.as_ref();
        let tls = connection.and_then(|connection| connection.tls.as_ref());
        let address = connection.map(|connection| connection.address.clone());
        let address = address.filter(|address| !address.is_empty());
        let is_ok = matches!(report.outcome, Outcome::Ok | Outcome::Degraded { .. });
        let report = AddressReport {
            address: address.unwrap_or_else(|| SocketAddr::new(ip, port).to_string()),
            outcome: report.outcome.clone(),
            summary: report.summary.clone(),
            protocol_version: report.protocol_version,
            server: report.server.clone(),
            tools: report.tools,
            certificate_sha256: tls
                .and_then(|tls| tls.chain.first())
                .map(|cert| cert.sha256.clone()),
            certificate_not_after: tls.and_then(model::report::Tls::not_after),
            instance: report.instance.clone(),
            edge: report.edge.clone(),
            walled: wall.is_there,
            resource_metadata: wall.metadata,
            kernel_rtt_us: connection.and_then(|connection| connection.kernel_rtt_us),
            total_us: report.total_us,
        };
        Self {
            ip,
            has_route: is_ok || dial::has_route(ip),
            report,
        }
    }

    const fn is_ok(&self) -> bool {
        matches!(self.report.outcome, Outcome::Ok | Outcome::Degraded { .. })
    }

    /// Fails, and not because this host cannot get there.
    const fn fails(&self) -> bool {
        matches!(self.report.outcome, Outcome::Failed(_)) && self.has_route
    }
}

fn compare(rows: &[Row]) -> Vec<Difference> {
    let mut differences = failures(rows);
    let answering: Vec<&Row> = rows.iter().filter(|row| row.is_ok()).collect();
    let version = |row: &Row| {
        let server = row.report.server.as_ref()?;
        Some(
            format!("{} {}", server.name, server.version)
                .trim()
                .to_owned(),
        )
    };
    let revision = |row: &Row| Some(row.report.protocol_version?.to_string());
    let tools = |row: &Row| Some(format!("{} tools", row.report.tools?));
    let certificate = |row: &Row| {
        let sha256 = row.report.certificate_sha256.as_ref()?;
        Some(format!("certificate {}", &sha256[..sha256.len().min(12)]))
    };
    differences.extend(groups(Kind::Versions, &answering, version));
    differences.extend(groups(Kind::Revisions, &answering, revision));
    differences.extend(groups(Kind::Tools, &answering, tools));
    // Also of those that are refused for it.
    let all: Vec<&Row> = rows.iter().collect();
    differences.extend(groups(Kind::Certificates, &all, certificate));
    differences.extend(groups(Kind::Walls, &all, |row| {
        let is_walled = row.report.walled?;
        let said = if is_walled {
            "strangers are turned away"
        } else {
            "strangers are let in"
        };
        Some(said.to_owned())
    }));
    let walled = all.iter().filter(|row| row.report.walled == Some(true));
    let walled: Vec<&Row> = walled.copied().collect();
    differences.extend(groups(Kind::Challenges, &walled, |row| {
        let named = row.report.resource_metadata.as_ref();
        Some(named.map_or_else(
            || "no resource_metadata".to_owned(),
            |url| format!("resource_metadata {url}"),
        ))
    }));
    differences
}

/// Who fails where others answer.
fn failures(rows: &[Row]) -> Vec<Difference> {
    let mut differences = Vec::new();
    let is_lost = |row: &&Row| !row.has_route;
    if let Some(lost) = rows.iter().find(is_lost) {
        let family = if lost.ip.is_ipv6() { "IPv6" } else { "IPv4" };
        differences.push(Difference {
            kind: Kind::NoRoute,
            detail: format!(
                "this host has no way to {}: nothing is said of the server's {family}",
                lost.report.address
            ),
        });
    }
    let failing: Vec<&Row> = rows.iter().filter(|row| row.fails()).collect();
    let answering = rows.iter().filter(|row| row.is_ok()).count();
    if failing.is_empty() || answering == 0 {
        return differences;
    }
    for (kind, is_v6, broken, other) in [
        (Kind::Ipv6Broken, true, "IPv6", "IPv4"),
        (Kind::Ipv4Broken, false, "IPv4", "IPv6"),
    ] {
        let mut family = rows
            .iter()
            .filter(|row| row.ip.is_ipv6() == is_v6)
            .peekable();
        if family.peek().is_some() && family.all(Row::fails) {
            let detail = format!("no {broken} address works, while {other} does");
            differences.push(Difference { kind, detail });
        }
    }
    let named: Vec<String> = failing
        .iter()
        .map(|row| {
            let reason = row.report.outcome.reason();
            let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
            format!("{}{reason}", row.report.address)
        })
        .collect();
    differences.push(Difference {
        kind: Kind::Failing,
        detail: format!(
            "{} of {} addresses fail: {}",
            failing.len(),
            rows.len(),
            named.join(", ")
        ),
    });
    differences
}

/// A difference, where the addresses do not all have the same value. An address without one has no
/// say.
fn groups(kind: Kind, rows: &[&Row], value: impl Fn(&Row) -> Option<String>) -> Option<Difference> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in rows {
        if let Some(value) = value(row) {
            groups.entry(value).or_default().push(&row.report.address);
        }
    }
    if groups.len() < 2 {
        return None;
    }
    let words = groups
        .into_iter()
        .map(|(value, addresses)| format!("{value} at {}", addresses.join(", ")));
    Some(Difference {
        kind,
        detail: words.collect::<Vec<_>>().join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::report::ServerInfo;
    use model::{Failure, Phase, Reason};

    fn row(ip: &str, reason: Option<Reason>, version: &str) -> Row {
        let ip: IpAddr = ip.parse().unwrap();
        let outcome = reason.map_or(Outcome::Ok, |reason| {
            Outcome::Failed(Failure {
                step: Step::Discover,
                phase: Phase::Connect,
                reason,
            })
        });
        let server = (!version.is_empty()).then(|| ServerInfo {
            name: "docs".to_owned(),
            version: version.to_owned(),
        });
        Row {
            ip,
            has_route: true,
            report: AddressReport {
                address: SocketAddr::new(ip, 443).to_string(),
                outcome,
                summary: String::new(),
                protocol_version: None,
                server,
                tools: None,
                certificate_sha256: None,
                certificate_not_after: None,
                instance: None,
                edge: None,
                walled: None,
                resource_metadata: None,
                kernel_rtt_us: None,
                total_us: 0,
            },
        }
    }

    fn kinds(rows: &[Row]) -> Vec<Kind> {
        compare(rows)
            .iter()
            .map(|difference| difference.kind)
            .collect()
    }

    #[test]
    fn addresses_that_are_alike_have_no_differences() {
        assert_eq!(kinds(&[]), []);
        assert_eq!(kinds(&[row("192.0.2.1", None, "1")]), []);
        let both = [row("192.0.2.1", None, "1"), row("2001:db8::1", None, "1")];
        assert_eq!(kinds(&both), []);
        // What fails everywhere is the outcome of the probe itself.
        let down = [
            row("192.0.2.1", Some(Reason::TcpRefused), ""),
            row("2001:db8::1", Some(Reason::TcpTimeout), ""),
        ];
        assert_eq!(kinds(&down), []);
    }

    #[test]
    fn who_fails_is_named_and_a_whole_family_too() {
        let mut rows = vec![
            row("192.0.2.1", None, "1"),
            row("2001:db8::1", Some(Reason::TcpTimeout), ""),
            row("2001:db8::2", Some(Reason::TcpRefused), ""),
        ];
        let found = compare(&rows);
        assert_eq!(
            found.iter().map(|d| d.kind).collect::<Vec<_>>(),
            [Kind::Ipv6Broken, Kind::Failing]
        );
        assert_eq!(
            found[1].detail,
            "2 of 3 addresses fail: [2001:db8::1]:443 (tcp_timeout), [2001:db8::2]:443 (tcp_refused)"
        );
        // One of a family is not the family.
        rows.push(row("2001:db8::3", None, "1"));
        assert_eq!(kinds(&rows), [Kind::Failing]);
    }

    /// A host without IPv6 says nothing of the server's.
    #[test]
    fn what_this_host_cannot_reach_does_not_fail() {
        let mut lost = row("2001:db8::1", Some(Reason::TcpUnreachable), "");
        lost.has_route = false;
        assert_eq!(kinds(&[row("192.0.2.1", None, "1"), lost]), [Kind::NoRoute]);
    }

    /// One replica that lets strangers in.
    #[test]
    fn walls_that_differ_are_a_check_of_their_own() {
        let walled = |ip: &str, is_walled: Option<bool>, metadata: Option<&str>| {
            let mut row = row(ip, None, "1");
            row.report.walled = is_walled;
            row.report.resource_metadata = metadata.map(str::to_owned);
            row
        };
        let examined = |rows: Vec<Row>| {
            let mut findings = Findings::default();
            let compared = Compared {
                differences: compare(&rows),
                addresses: rows.into_iter().map(|row| row.report).collect(),
            };
            compared.examine(&mut findings);
            let rows = findings.examined(|id| id.rule().severity);
            let row = rows
                .into_iter()
                .find(|(row, _)| row.id == CheckId::AuthAddresses);
            row.map(|(row, _)| row.detail.unwrap_or_default())
        };
        let open = examined(vec![
            walled("192.0.2.1", Some(true), Some("https://h/x")),
            walled("192.0.2.2", Some(false), None),
            walled("192.0.2.3", None, None),
        ]);
        let said =
            "strangers are let in at 192.0.2.2:443; strangers are turned away at 192.0.2.1:443";
        assert_eq!(open.as_deref(), Some(said));
        let bare = examined(vec![
            walled("192.0.2.1", Some(true), Some("https://h/x")),
            walled("192.0.2.2", Some(true), None),
        ]);
        assert!(
            bare.unwrap()
                .contains("no resource_metadata at 192.0.2.2:443")
        );
        let alike = [Some(true), Some(true)].map(|is| walled("192.0.2.1", is, Some("u")));
        assert_eq!(examined(alike.into()).as_deref(), Some(""));
        assert_eq!(examined(vec![walled("192.0.2.1", None, None)]), None);
    }

    #[test]
    fn a_mixed_rollout_names_who_runs_what() {
        let found = compare(&[
            row("192.0.2.1", None, "1"),
            row("192.0.2.2", None, "2"),
            row("192.0.2.3", None, "1"),
            row("192.0.2.4", None, ""),
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, Kind::Versions);
        assert_eq!(
            found[0].detail,
            "docs 1 at 192.0.2.1:443, 192.0.2.3:443; docs 2 at 192.0.2.2:443"
        );
    }
}
