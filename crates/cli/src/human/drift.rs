//! What changed since the baseline, a line for each change.

use model::Report;
use model::contract::{Change, ChangeClass, Drift};

use super::wrap;
use crate::style::{Canvas, Tone};

/// Changes that are shown. A person who meets more looks at the file.
const MAX_SHOWN: usize = 20;

/// The changes, worst first; nothing where nothing was compared.
pub(super) fn render(report: &Report, canvas: Canvas) -> String {
    let contract = report.contract.as_ref();
    let baseline = contract.and_then(|contract| contract.baseline.as_ref());
    baseline.map_or_else(String::new, |baseline| changes(&baseline.drift, canvas))
}

/// Some changes, worst first.
pub(crate) fn changes(drift: &Drift, canvas: Canvas) -> String {
    let shown = drift.changes.iter().take(MAX_SHOWN);
    let mut out: String = shown.map(|change| line(change, canvas)).collect();
    let total = drift.total() as usize;
    if total > MAX_SHOWN {
        let text = format!("and {} more: --output json", total - MAX_SHOWN);
        out.push_str(&format!("   {}\n", canvas.paint(Tone::Dim, &text)));
    }
    out
}

fn line(change: &Change, canvas: Canvas) -> String {
    let tone = match change.class {
        ChangeClass::Breaking | ChangeClass::SecurityRelevant => Tone::Bad,
        ChangeClass::Additive => Tone::Warn,
        ChangeClass::Cosmetic => Tone::Dim,
    };
    let tool = change.tool.as_deref().unwrap_or_default();
    let place = format!("{tool} {}", change.pointer);
    let text = format!("{} {}: {}", change.class, place.trim(), change.what);
    wrap(&text, canvas.width.saturating_sub(5), |n, line| {
        let lead = if n == 0 { " ~ " } else { "     " };
        format!("{lead}{}\n", canvas.paint(tone, line))
    })
}
