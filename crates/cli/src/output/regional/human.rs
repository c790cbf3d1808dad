//! Several regions for people: a table, the picture of each probe that did not go well, then the
//! sentence.

use model::regional::RegionalResult;

use super::document::{from, said};
use super::{Regional, RegionalRun};
use crate::exit;
use crate::human;
use crate::members::table;
use crate::style::{Canvas, Tone};

/// Pictures that are drawn: more are in the JSON.
const MAX_PICTURES: usize = 4;

/// The text, with a line feed at its end.
pub(super) fn render(run: &RegionalRun, canvas: Canvas) -> String {
    let Regional { probe, wait, .. } = &run.document;
    let url = canvas.paint(Tone::Bold, probe.url.as_url().as_str());
    let mut out = format!(" {url}\n\n");
    let mut rows = vec![["REGION", "AGENT", "PROVIDER", "RESULT", "TIME"].map(str::to_owned)];
    rows.extend(probe.results.iter().map(row));
    for line in table(&rows).lines() {
        let line = model::text::line(line, canvas.width.saturating_sub(2));
        out.push_str(&format!(" {line}\n"));
    }
    let is_bad = |result: &&RegionalResult| run.judge.code(result) != exit::HEALTHY;
    let bad: Vec<&RegionalResult> = probe.results.iter().filter(is_bad).collect();
    let drawn = bad
        .iter()
        .filter_map(|result| Some((*result, result.report.as_ref()?)));
    for (result, report) in drawn.take(MAX_PICTURES) {
        let heading = canvas.paint(Tone::Bold, &format!("from {}", from(result)));
        out.push_str(&format!("\n {heading}\n"));
        out.push_str(&human::render(report, canvas));
    }
    out.push('\n');
    for result in bad.iter().filter(|result| result.report.is_none()) {
        let text = format!("{}: {}", from(result), said(result));
        out.push_str(&human::sentence(&text, Tone::Warn, canvas));
    }
    let (mark, tone) = match run.code {
        exit::HEALTHY => (canvas.pick("\u{2714}", "ok"), Tone::Good),
        _ => (canvas.pick("\u{2718}", "X"), Tone::Bad),
    };
    let healthy = run
        .document
        .regions
        .values()
        .filter(|is_ok| **is_ok)
        .count();
    let all = run.document.regions.len();
    let text = format!("{mark} {} from {healthy} of {all} regions", word(run));
    out.push_str(&human::sentence(&text, tone, canvas));
    if let Some(wait) = wait {
        out.push_str(&human::sentence(&wait.sentence(), tone, canvas));
    }
    out
}

/// What is counted in the last line: healthy regions.
fn word(run: &RegionalRun) -> &'static str {
    match run.code {
        exit::INTERRUPTED => "interrupted; healthy",
        _ => "healthy",
    }
}

fn row(result: &RegionalResult) -> [String; 5] {
    let shown =
        |text: Option<&String>| text.map_or("-".to_owned(), |text| model::text::line(text, 40));
    let (word, time) = match (&result.report, &result.no_report) {
        (Some(report), _) => (crate::probe::result(report), millis(report.total_us)),
        (None, Some(no_report)) => (no_report.reason.to_string(), "-".to_owned()),
        (None, None) => ("-".to_owned(), "-".to_owned()),
    };
    [
        model::text::line(&result.region, 40),
        shown(result.agent.as_ref()),
        shown(result.provider.as_ref()),
        word,
        time,
    ]
}

fn millis(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown in milliseconds")]
    let millis = us as f64 / 1000.0;
    format!("{millis:.0} ms")
}
