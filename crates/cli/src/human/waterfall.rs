//! Phases to scale.

use std::net::SocketAddr;

use model::report::{Connection, StepReport};
use model::{Outcome, Phase, Report};

use unicode_width::UnicodeWidthStr as _;

use crate::style::{Canvas, Tone};

const LABEL: usize = 16;
/// What a line holds beside bar and note: margins, label and time.
const FIXED: usize = 1 + LABEL + 1 + 1 + 11 + 2;
/// Room for the longest common note.
const NOTE: usize = 22;

/// One bar: a phase of the first connection, or a step.
struct Row {
    label: String,
    start_us: u64,
    length_us: u64,
    note: String,
    failed: bool,
}

/// The rows of the report, one line each.
pub(super) fn render(report: &Report, canvas: Canvas) -> String {
    let rows = rows(report);
    let total = rows
        .iter()
        .map(|row| row.start_us + row.length_us)
        .max()
        .unwrap_or(0)
        .max(1);
    let width = canvas.width.saturating_sub(FIXED + NOTE).clamp(7, 48);
    let room = canvas.width.saturating_sub(FIXED + width);
    let mut out = String::new();
    for row in &rows {
        let bar = bar(row, total, width, canvas);
        let tone = if row.failed { Tone::Bad } else { Tone::Good };
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let millis = row.length_us as f64 / 1000.0;
        let line = format!(
            " {:<LABEL$} {} {:>8} ms  {}",
            cut(&model::text::line(&row.label, LABEL - 1), canvas),
            canvas.paint(tone, &bar),
            format!("{millis:.1}"),
            cut(&fit(&row.note, room), canvas),
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The sign that something was cut off, as this canvas can show it.
fn cut(text: &str, canvas: Canvas) -> String {
    text.replace('\u{2026}', canvas.pick("\u{2026}", "~"))
}

/// A note in a room of so many characters; nothing where there is hardly room.
fn fit(note: &str, room: usize) -> String {
    if room < 4 {
        String::new()
    } else if note.width() <= room {
        note.to_owned()
    } else {
        format!("{}\u{2026}", &note[..super::fitting(note, room - 1)])
    }
}

fn rows(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut at = 0;
    for (n, step) in report.steps.iter().enumerate() {
        let mut rest = step.total_us;
        if n == 0 {
            for phase in [Phase::Dns, Phase::Connect, Phase::Tls] {
                let Some(&length_us) = step.phases_us.get(&phase) else {
                    continue;
                };
                rows.push(Row {
                    label: phase.to_string(),
                    start_us: at,
                    length_us,
                    note: connection_note(report, phase, step),
                    failed: step.failed_phase == Some(phase),
                });
                at += length_us;
                rest -= length_us;
            }
        }
        let began = step.phases_us.keys().any(|phase| *phase >= Phase::Send);
        if !began && n == 0 {
            continue; // the first connection failed: its phases tell it all
        }
        let label = match &step.tool {
            Some(tool) => format!("{} {tool}", step.step),
            None => step.step.to_string(),
        };
        rows.push(Row {
            label,
            start_us: at,
            length_us: rest,
            note: step_note(report, step),
            failed: step.reason.is_some() && matches!(report.outcome, Outcome::Failed(_)),
        });
        at += rest;
    }
    rows
}

fn connection_note(report: &Report, phase: Phase, step: &StepReport) -> String {
    if step.failed_phase == Some(phase) {
        return step
            .reason
            .map(|reason| reason.to_string())
            .unwrap_or_default();
    }
    let Some(connection) = &report.connection else {
        return String::new();
    };
    match phase {
        Phase::Dns => match (connection.resolved.first(), connection.ttl_seconds) {
            (Some(first), ttl) => {
                // The address that was used, which need not be the first one.
                let used = connection.address.parse::<SocketAddr>();
                let used = used.map_or_else(|_| first.clone(), |used| used.ip().to_string());
                ttl.map_or_else(|| used.clone(), |ttl| format!("{used} (ttl {ttl})"))
            }
            (None, _) => "address literal".to_owned(),
        },
        Phase::Connect => connect_note(connection),
        Phase::Tls => {
            days_left(report).map_or_else(String::new, |days| format!("certificate {days} d left"))
        }
        Phase::Send | Phase::Wait | Phase::Receive => String::new(),
    }
}

fn connect_note(connection: &Connection) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let rtt = connection
        .kernel_rtt_us
        .filter(|rtt| *rtt > 0)
        .map(|rtt| format!("rtt {:.1}", rtt as f64 / 1000.0));
    // The room is for some twenty characters.
    match (rtt, connection.retransmits) {
        (Some(rtt), Some(resent @ 1..)) => format!("{rtt}, {resent} resent"),
        (None, Some(resent @ 1..)) => format!("{resent} resent"),
        (Some(rtt), Some(0) | None) => format!("kernel {rtt}"),
        (None, Some(0) | None) => String::new(),
    }
}

fn days_left(report: &Report) -> Option<i64> {
    let tls = report.connection.as_ref()?.tls.as_ref()?;
    let end = tls.not_after()?;
    let started: jiff::Timestamp = report.started_at.parse().ok()?;
    Some((end - started.as_second()).div_euclid(86_400))
}

fn step_note(report: &Report, step: &StepReport) -> String {
    if let Some(reason) = step.reason {
        return reason.to_string();
    }
    if let Some(detail) = &step.detail {
        return detail.clone();
    }
    let rtt = report.connection.as_ref().and_then(round_trip);
    let wait = step.phases_us.get(&Phase::Wait).copied();
    match (wait, rtt, step.exchanges) {
        // What the server itself took: the wait, less the way there and back.
        (Some(wait), Some(rtt), 1) if rtt > 0 && wait > rtt => {
            #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
            let (server, network) = ((wait - rtt) as f64 / 1000.0, rtt as f64 / 1000.0);
            format!("server {server:.1} + net {network:.1}")
        }
        _ => step
            .http_status
            .map(|status| status.to_string())
            .unwrap_or_default(),
    }
}

/// The way there and back: the smallest that the kernel saw. The smoothed one has in it what the
/// server delayed its acknowledgements by, once it answers requests.
fn round_trip(connection: &Connection) -> Option<u64> {
    let first = connection.kernel_rtt_us.filter(|rtt| *rtt > 0);
    first.into_iter().chain(connection.kernel_min_rtt_us).min()
}

/// The bar of a row in a field of `width` characters, to an eighth of a character.
fn bar(row: &Row, total_us: u64, width: usize, canvas: Canvas) -> String {
    let eighths = |us: u64| {
        let scaled = u128::from(us) * (width as u128) * 8 / u128::from(total_us.max(1));
        usize::try_from(scaled).unwrap_or(usize::MAX).min(width * 8)
    };
    let (start, end) = (eighths(row.start_us), eighths(row.start_us + row.length_us));
    let lead = (start / 8).min(width - 1);
    let length = end.saturating_sub(lead * 8).max(1);
    let mut drawn = String::new();
    if canvas.unicode {
        drawn.extend(std::iter::repeat_n('\u{2588}', length / 8));
        let part = [
            '\0', '\u{258f}', '\u{258e}', '\u{258d}', '\u{258c}', '\u{258b}', '\u{258a}',
            '\u{2589}',
        ];
        if length % 8 > 0 {
            drawn.push(part[length % 8]);
        }
    } else {
        drawn.extend(std::iter::repeat_n('#', length.div_ceil(8)));
    }
    let used = lead + drawn.chars().count();
    format!(
        "{}{drawn}{}",
        " ".repeat(lead),
        " ".repeat(width.saturating_sub(used))
    )
}
