//! What a probe found, as records.

use std::time::Duration;

use model::{Outcome, Report, Step};
use rpc::{convert, limits, v1};
use window::{Closed, Latencies, Series};

use crate::item::Item;
use crate::self_test::{Failure, Masks};

/// Why a probe ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was its slot.
    Slot(u64),
    /// Somebody saw the target fail.
    Confirmation {
        id: String,
        /// Whether it makes the calls that may be repeated.
        with_calls: bool,
    },
}

/// The outcome record of a probe.
pub(crate) fn outcome(
    item: &Item,
    cause: Cause,
    started: Duration,
    report: &Report,
    answerer: Option<v1::Answerer>,
) -> v1::Record {
    let (slot, confirmation_id, confirmed_calls) = match cause {
        Cause::Slot(slot) => (slot, String::new(), false),
        Cause::Confirmation { id, with_calls } => (0, id, with_calls),
    };
    let failed = report.failed_step();
    let mut record = v1::ProbeOutcome {
        monitor_id: item.monitor.clone(),
        generation: item.generation,
        slot,
        confirmation_id,
        confirmed_calls,
        started_at_us: micros(started),
        depth: depth(report).map_or(0, |step| convert::step(step).into()),
        failed_tool: failed
            .and_then(|step| step.tool.clone())
            .unwrap_or_default(),
        total_us: report.total_us,
        era: report.era.map(|era| era.to_string()).unwrap_or_default(),
        protocol_version: report
            .protocol_version
            .map(|v| v.to_string())
            .unwrap_or_default(),
        answerer,
        ..Default::default()
    };
    convert::outcome_into(&report.outcome, &mut record);
    if report.outcome != Outcome::Ok {
        record.detail = Some(detail(report));
    }
    v1::Record {
        kind: Some(v1::record::Kind::Outcome(record)),
        ..Default::default()
    }
}

/// Who answered, as far as the report says.
pub(crate) fn answerer(report: &Report) -> v1::Answerer {
    let edge = report.edge.as_ref();
    let pop = edge.and_then(|edge| edge.pop.as_deref());
    let id = edge.and_then(|edge| edge.id.as_deref());
    let server = report.server.as_ref();
    let provider = edge.map_or("", |edge| edge.provider.as_str());
    v1::Answerer {
        edge_provider: provider.to_owned(),
        edge_pop: cut(pop.unwrap_or_default(), limits::MAX_NAME_BYTES),
        edge_id: cut(id.unwrap_or_default(), limits::MAX_NAME_BYTES),
        instance: cut(
            report.instance.as_deref().unwrap_or_default(),
            limits::MAX_NAME_BYTES,
        ),
        server_name: cut(server.map_or("", |s| &s.name), limits::MAX_NAME_BYTES),
        server_version: cut(server.map_or("", |s| &s.version), limits::MAX_NAME_BYTES),
    }
}

/// As many whole characters of a text as `bytes` hold.
fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

/// How far the probe came. What gives the session back is no part of the way.
fn depth(report: &Report) -> Option<Step> {
    let mut steps = report.steps.iter().rev().map(|step| step.step);
    steps.find(|step| *step != Step::Close)
}

/// What vouches for a failure, or does not: canaries, other hostings, the machine's own delay.
pub(crate) fn attestation(
    failure: Failure,
    canaries: Masks,
    peers: Masks,
    (others_asked, others_ok): (u32, u32),
    lag: Duration,
) -> v1::Record {
    let attestation = v1::Attestation {
        of_seq: failure.seq,
        canaries_asked: canaries.asked,
        canaries_ok: canaries.answered,
        peers_asked: peers.asked,
        peers_ok: peers.answered,
        others_asked,
        others_ok,
        scheduler_lag_us: micros(lag),
        monitor_id: failure.monitor,
    };
    v1::Record {
        kind: Some(v1::record::Kind::Attestation(attestation)),
        ..Default::default()
    }
}

fn detail(report: &Report) -> v1::OutcomeDetail {
    let timings = report.steps.iter().flat_map(|step| {
        let phases = step.phases_us.iter();
        phases.map(|(phase, us)| v1::StepTiming {
            step: convert::step(step.step).into(),
            phase: convert::phase(*phase).into(),
            us: *us,
        })
    });
    let failed = report.failed_step();
    let connection = report.connection.as_ref();
    let leaf = connection
        .and_then(|c| c.tls.as_ref())
        .and_then(|tls| tls.chain.first());
    let text = cut(&report.summary, limits::MAX_TEXT_BYTES);
    v1::OutcomeDetail {
        steps: timings.collect(),
        edge: String::new(),
        address: connection.map(|c| c.address.clone()).unwrap_or_default(),
        certificate_sha256: leaf
            .map(|cert| bytes_of_hex(&cert.sha256))
            .unwrap_or_default(),
        text,
        http_status: failed
            .and_then(|step| step.http_status)
            .unwrap_or_default()
            .into(),
        retry_after_seconds: report
            .retry_after_seconds
            .map_or(0, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
    }
}

/// The latencies of a probe, by series: of ok and degraded ones, so that the totals reconcile
/// with the outcomes.
pub(crate) fn latencies(monitor: &str, report: &Report) -> Vec<(Series, u64)> {
    if !matches!(report.outcome, Outcome::Ok | Outcome::Degraded { .. }) {
        return Vec::new();
    }
    let series = |step: Option<Step>, phase, warm| Series {
        monitor: monitor.to_owned(),
        step,
        phase,
        warm,
    };
    let mut all = vec![(series(None, None, false), report.total_us)];
    for step in &report.steps {
        for (phase, us) in &step.phases_us {
            all.push((series(Some(step.step), Some(*phase), step.warm), *us));
        }
    }
    all
}

/// The record of a closed window.
pub(crate) fn window(closed: Closed) -> v1::Record {
    let (sparse_us, hdr_v2) = match closed.latencies {
        Latencies::Sparse(values) => (values, Vec::new()),
        Latencies::Hdr(bytes) => (Vec::new(), bytes),
    };
    let window = v1::LatencyWindow {
        monitor_id: closed.series.monitor,
        step: closed
            .series
            .step
            .map_or(v1::Step::Probe, convert::step)
            .into(),
        phase: closed
            .series
            .phase
            .map_or(v1::Phase::Unspecified, convert::phase)
            .into(),
        warm: closed.series.warm,
        first_seq: closed.first_seq,
        end_seq: closed.end_seq,
        sum_us: closed.sum_us,
        count: closed.count,
        sparse_us,
        hdr_v2,
    };
    v1::Record {
        kind: Some(v1::record::Kind::Window(window)),
        ..Default::default()
    }
}

/// The record of a slot in which no probe ran, noticed at `noticed` since the process began;
/// `limited` says of a held one whether the target turned this agent away.
pub(crate) fn missed(
    monitor: &str,
    slot: u64,
    reason: v1::MissedReason,
    noticed: Duration,
    limited: bool,
) -> v1::Record {
    let missed = v1::Missed {
        monitor_id: monitor.to_owned(),
        slot,
        reason: reason.into(),
        missed_at_us: micros(noticed),
        limited,
    };
    v1::Record {
        kind: Some(v1::record::Kind::Missed(missed)),
        ..Default::default()
    }
}

/// The record of what will never be handed in.
pub(crate) fn gap(span: delivery::Span, reason: v1::GapReason) -> v1::Record {
    let gap = v1::Gap {
        first_seq: span.first,
        end_seq: span.end,
        reason: reason.into(),
    };
    v1::Record {
        kind: Some(v1::record::Kind::Gap(gap)),
        ..Default::default()
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The bytes of a fingerprint that the report shows as hex.
fn bytes_of_hex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.filter_map(byte).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(super::cut("größe", 3), "gr");
        assert_eq!(super::cut("größe", 4), "grö");
        assert_eq!(super::cut("a", 9), "a");
    }

    #[test]
    fn a_fingerprint_travels_as_bytes() {
        assert_eq!(super::bytes_of_hex("00ff7f"), [0x00, 0xff, 0x7f]);
        assert_eq!(super::bytes_of_hex(&"ab".repeat(32)).len(), 32);
    }
}
