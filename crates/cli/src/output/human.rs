//! A run for people: the picture of the probe that decides, then what came of all.

use super::Run;
use crate::human;
use crate::probe::load::Loaded;
use crate::probe::repeat::{Counted, Repeated, Spread};
use crate::style::{Canvas, Tone};

/// Rows of each list of a series: more are in the JSON.
const MAX_ROWS: usize = 8;

/// The text, with a line feed at its end.
pub(super) fn render(run: &Run, canvas: Canvas) -> String {
    let document = &run.document;
    let mut out = human::render(&document.report, canvas);
    if let Some(repeat) = &document.repeat {
        out.push_str(&spreads(repeat, canvas));
    }
    if let Some(load) = &document.load {
        out.push_str(&under_load(load, canvas));
    }
    for more in run.more() {
        let tone = if run.code == 0 { Tone::Good } else { Tone::Bad };
        out.push_str(&human::sentence(&more, tone, canvas));
    }
    out
}

fn spreads(repeat: &Repeated, canvas: Canvas) -> String {
    let mut out = format!(
        "\n {:<16} {:>5}  {:>10}  {:>10}  {:>10}\n",
        "step", "times", "min", "median", "max"
    );
    for Spread {
        step,
        count,
        min_us,
        median_us,
        max_us,
    } in &repeat.steps
    {
        let [min, median, max] = [min_us, median_us, max_us].map(|us| millis(*us));
        out.push_str(&format!(
            " {step:<16} {count:>5}  {min:>10}  {median:>10}  {max:>10}\n"
        ));
    }
    out.push_str(&counts("result", &repeat.results, canvas));
    out.push_str(&counts("server", &repeat.servers, canvas));
    out.push_str(&counts("instance", &repeat.instances, canvas));
    out.push_str(&counts("address", &repeat.addresses, canvas));
    out
}

/// How often each was seen.
fn counts(what: &str, list: &[Counted], canvas: Canvas) -> String {
    let mut out = String::new();
    for Counted { value, count } in list.iter().take(MAX_ROWS) {
        let value = model::text::line(value, canvas.width.saturating_sub(22));
        out.push_str(&format!(" {what:<9} {count:>5} × {value}\n"));
    }
    if list.len() > MAX_ROWS {
        out.push_str(&format!(" {what:<9} … {} more\n", list.len() - MAX_ROWS));
    }
    if canvas.unicode {
        out
    } else {
        out.replace('×', "x").replace('…', "...")
    }
}

fn under_load(load: &Loaded, canvas: Canvas) -> String {
    let latency = &load.latency_us;
    let mut out = format!(
        "\n latency from due: min {}  p50 {}  p95 {}  p99 {}  max {}\n",
        millis(latency.min),
        millis(latency.p50),
        millis(latency.p95),
        millis(latency.p99),
        millis(latency.max),
    );
    out.push_str(&counts("result", &load.results, canvas));
    for threshold in &load.thresholds {
        let (mark, tone) = if threshold.held {
            (canvas.pick("\u{2714}", "ok"), Tone::Good)
        } else {
            (canvas.pick("\u{2718}", "X"), Tone::Bad)
        };
        let line = format!("{mark} {}", threshold.sentence());
        out.push_str(&format!(" {}\n", canvas.paint(tone, &line)));
    }
    out
}

fn millis(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let millis = us as f64 / 1000.0;
    format!("{millis:.1} ms")
}
