//! The way to the server: what was overridden, who answered, each address by itself.

use model::report::{AddressReport, Connection, Difference, DifferenceKind, Edge};
use model::{Outcome, Report};

use super::wrap;
use crate::style::{Canvas, Tone};

/// Who answered, in a few words each, for the head of the picture.
pub(super) fn facts(report: &Report) -> Vec<String> {
    let mut facts = Vec::new();
    facts.extend(report.edge.as_ref().map(edge));
    if let Some(instance) = &report.instance {
        let more = match report.more_instances.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        facts.push(format!(
            "instance {}{more}",
            model::text::line(instance, 40)
        ));
    }
    if !report.more_servers.is_empty() {
        let count = report.more_servers.len() + 1;
        facts.push(format!("{count} server versions"));
    }
    let connection = report.connection.as_ref();
    let tls = connection.and_then(|connection| connection.tls.as_ref());
    let resumption = tls.and_then(|tls| tls.resumption.as_ref());
    match resumption.and_then(|resumption| resumption.resumed) {
        Some(true) => facts.push("resumes TLS".to_owned()),
        Some(false) => facts.push("does not resume TLS".to_owned()),
        None => {}
    }
    let mut alternatives = report.alt_svc.iter();
    if alternatives.any(|alternative| alternative.protocol == "h3") {
        facts.push(match &report.http3 {
            Some(seen) if matches!(seen.outcome, Outcome::Ok | Outcome::Degraded { .. }) => {
                format!("HTTP/3 as advertised, in {}", millis(seen.total_us))
            }
            Some(_) => "advertises HTTP/3, which fails".to_owned(),
            None => "advertises HTTP/3".to_owned(),
        });
    }
    if let Some(quic) = connection.and_then(|connection| connection.quic) {
        facts.push(format!("QUIC handshake {}", millis(quic.handshake_us)));
        if let Some(rtt) = quic.min_rtt_us {
            facts.push(format!("QUIC round trip {}", millis(rtt)));
        }
        if let Some(lost @ 1..) = quic.lost_packets {
            facts.push(format!("{lost} packets lost"));
        }
    }
    facts
}

fn millis(micros: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let millis = micros as f64 / 1000.0;
    format!("{millis:.1} ms")
}

fn edge(edge: &Edge) -> String {
    match &edge.pop {
        Some(pop) => format!("{} {}", edge.provider, model::text::line(pop, 16)),
        None => edge.provider.to_string(),
    }
}

/// What the health page said beside the sequence.
pub(super) fn health(report: &Report, canvas: Canvas) -> String {
    let Some(seen) = &report.health else {
        return String::new();
    };
    let status = seen
        .http_status
        .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let millis = seen.total_us as f64 / 1000.0;
    let (mark, tone) = if seen.passed {
        (canvas.pick("\u{2714}", "+"), Tone::Good)
    } else {
        (canvas.pick("\u{2718}", "x"), Tone::Bad)
    };
    let detail = seen.detail.as_ref();
    let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
    let url = seen.url.as_url();
    let text = format!("{mark} health {status} in {millis:.1} ms, {url}{detail}");
    wrap(&text, canvas.width.saturating_sub(4), |n, line| {
        let line = if n == 0 {
            canvas.paint(tone, line)
        } else {
            line.to_owned()
        };
        format!("   {line}\n")
    })
}

/// That something else was probed than the URL says.
pub(super) fn overrides(report: &Report, canvas: Canvas) -> String {
    let Some(Connection { overrides, .. }) = &report.connection else {
        return String::new();
    };
    let mut words = Vec::new();
    words.extend(
        overrides
            .connect_to
            .as_ref()
            .map(|to| format!("reached at {to}")),
    );
    words.extend(
        overrides
            .sni
            .as_ref()
            .map(|name| format!("TLS name {name}")),
    );
    words.extend(overrides.host.as_ref().map(|host| format!("Host {host}")));
    if words.is_empty() {
        return String::new();
    }
    let text = format!("not as the URL says: {}", words.join(", "));
    wrap(&text, canvas.width.saturating_sub(4), |_, line| {
        format!("   {}\n", canvas.paint(Tone::Warn, line))
    })
}

/// One line for each address, and their differences.
pub(super) fn addresses(report: &Report, canvas: Canvas) -> String {
    let mut out = String::new();
    let now = report
        .started_at
        .parse()
        .ok()
        .map(jiff::Timestamp::as_second);
    for address in &report.addresses {
        let (mark, tone) = match &address.outcome {
            Outcome::Ok => (canvas.pick("\u{2714}", "ok"), Tone::Good),
            Outcome::Degraded { .. } => (canvas.pick("\u{26a0}", "!"), Tone::Warn),
            Outcome::Failed(_) => (canvas.pick("\u{2718}", "X"), Tone::Bad),
            Outcome::Inconclusive { .. } => ("?", Tone::Warn),
        };
        let text = format!("{mark} {} {}", address.address, words(address, now));
        out.push_str(&wrap(&text, canvas.width.saturating_sub(6), |n, line| {
            let lead = if n == 0 { "   " } else { "     " };
            format!("{lead}{}\n", canvas.paint(tone, line))
        }));
    }
    for difference in report.differences.iter().filter(|one| !is_check(one)) {
        let text = format!("{}: {}", difference.kind, difference.detail);
        out.push_str(&wrap(&text, canvas.width.saturating_sub(6), |n, line| {
            let lead = if n == 0 { " ! " } else { "     " };
            format!("{lead}{}\n", canvas.paint(Tone::Warn, line))
        }));
    }
    out
}

/// Whether a violated check says it already.
const fn is_check(difference: &Difference) -> bool {
    match difference.kind {
        DifferenceKind::Failing
        | DifferenceKind::Versions
        | DifferenceKind::Revisions
        | DifferenceKind::Tools
        | DifferenceKind::Certificates
        | DifferenceKind::Walls
        | DifferenceKind::Challenges => true,
        DifferenceKind::Ipv6Broken | DifferenceKind::Ipv4Broken | DifferenceKind::NoRoute => false,
    }
}

fn words(address: &AddressReport, now: Option<i64>) -> String {
    let mut words = vec![match &address.outcome {
        Outcome::Failed(failure) => format!("{} in {}", failure.reason, failure.phase),
        Outcome::Inconclusive { reason } => reason.to_string(),
        Outcome::Ok | Outcome::Degraded { .. } => {
            #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
            let millis = address.total_us as f64 / 1000.0;
            format!("{millis:.1} ms")
        }
    }];
    if let Some(server) = &address.server {
        let named = format!("{} {}", server.name, server.version);
        words.push(model::text::line(named.trim(), 40));
    }
    if let (Some(end), Some(now)) = (address.certificate_not_after, now) {
        let sha256 = address.certificate_sha256.as_deref().unwrap_or_default();
        let days = (end - now).div_euclid(86_400);
        let short = sha256.get(..8).unwrap_or_default();
        words.push(format!("certificate {short} {days} d left"));
    }
    words.extend((address.walled == Some(true)).then(|| "wants a credential".to_owned()));
    words.extend(address.edge.as_ref().map(edge));
    let instance = address.instance.as_ref();
    words.extend(instance.map(|name| format!("instance {}", model::text::line(name, 40))));
    words.join(", ")
}
