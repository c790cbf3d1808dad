//! A report for people: a picture, then a sentence, the cause last.

mod advice;
mod auth;
mod drift;
mod network;
mod waterfall;

pub(crate) use drift::changes;
use model::report::CheckReport;
use model::{Outcome, Report, Severity, Step, Transport};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::style::{Canvas, Tone};

/// The report as text, with a line feed at its end.
pub(crate) fn render(report: &Report, canvas: Canvas) -> String {
    let mut out = header(report, canvas);
    out.push_str(&proxy(report, canvas));
    out.push_str(&network::overrides(report, canvas));
    out.push_str(&auth::render(report, canvas));
    out.push_str(&waterfall::render(report, canvas));
    out.push_str(&network::addresses(report, canvas));
    out.push_str(&network::health(report, canvas));
    let is_cause =
        |check: &CheckReport| check.severity == Severity::Fail && check.detail == cause(report);
    for check in report.violations() {
        if !is_cause(check) {
            out.push_str(&violation(check, canvas));
        }
    }
    out.push_str(&drift::render(report, canvas));
    out.push_str(&conclusion(report, canvas));
    out
}

fn header(report: &Report, canvas: Canvas) -> String {
    let mut facts: Vec<String> = Vec::new();
    facts.extend(report.era.map(|era| era.to_string()));
    facts.extend(report.protocol_version.map(|revision| revision.to_string()));
    facts.extend(report.transport.map(|transport| {
        match transport {
            Transport::StreamableHttp => "streamable HTTP",
            Transport::HttpSse => "HTTP+SSE",
        }
        .to_owned()
    }));
    if let Some(connection) = &report.connection {
        facts.extend(
            connection
                .http_version
                .as_ref()
                .map(|version| match version.as_str() {
                    "2" => "h2".to_owned(),
                    "3" => "h3 over QUIC".to_owned(),
                    other => format!("HTTP/{other}"),
                }),
        );
        if let Some(tls) = &connection.tls
            && let Some(version) = &tls.version
        {
            let group = tls.key_exchange.as_deref().unwrap_or_default();
            let kind = if tls.post_quantum == Some(true) {
                " (post-quantum)"
            } else {
                ""
            };
            facts.push(format!("TLS {version} {group}{kind}").trim_end().to_owned());
        }
    }
    if let Some(server) = report
        .server
        .as_ref()
        .filter(|server| !server.name.is_empty())
    {
        let named = format!("{} {}", server.name, server.version);
        facts.push(model::text::line(named.trim_end(), 40));
    }
    facts.extend(network::facts(report));
    let url = canvas.paint(Tone::Bold, report.url.as_url().as_str());
    if facts.is_empty() {
        return wrapped_url(report, canvas);
    }
    let dot = canvas.pick(" \u{b7} ", " - ");
    let plain = report.url.as_url().as_str().width() + 3;
    let line = facts.join(dot);
    if plain + line.width() < canvas.width {
        return format!(" {url}   {line}\n");
    }
    let mut out = wrapped_url(report, canvas);
    let mut row = String::new();
    for fact in facts {
        if !row.is_empty() && row.width() + fact.width() + 6 > canvas.width {
            out.push_str(&format!("   {}\n", canvas.paint(Tone::Dim, &row)));
            row.clear();
        }
        if !row.is_empty() {
            row.push_str(dot);
        }
        row.push_str(&fact);
    }
    out.push_str(&format!("   {}\n", canvas.paint(Tone::Dim, &row)));
    out
}

/// That a proxy was in between, and so is in the numbers.
fn proxy(report: &Report, canvas: Canvas) -> String {
    let connection = report.connection.as_ref();
    let Some(proxy) = connection.and_then(|connection| connection.proxy.as_ref()) else {
        return String::new();
    };
    let text = format!("through the proxy {proxy}, which the times measure too");
    wrap(&text, canvas.width.saturating_sub(4), |_, line| {
        format!("   {}\n", canvas.paint(Tone::Warn, line))
    })
}

fn wrapped_url(report: &Report, canvas: Canvas) -> String {
    wrap(
        report.url.as_url().as_str(),
        canvas.width.saturating_sub(1),
        |_, line| format!(" {}\n", canvas.paint(Tone::Bold, line)),
    )
}

fn violation(check: &CheckReport, canvas: Canvas) -> String {
    let tone = match check.severity {
        Severity::Fail => Tone::Bad,
        Severity::Degrade => Tone::Warn,
        Severity::Note => Tone::Dim,
    };
    let detail = check.detail.as_deref().unwrap_or_default();
    let text = format!(
        "{} {}: {detail} [{}]",
        check.severity, check.id, check.source
    );
    wrap(&text, canvas.width.saturating_sub(5), |n, line| {
        let lead = if n == 0 { " ! " } else { "     " };
        format!("{lead}{}\n", canvas.paint(tone, line))
    })
}

fn conclusion(report: &Report, canvas: Canvas) -> String {
    let (mark, tone) = match &report.outcome {
        Outcome::Ok => (canvas.pick("\u{2714}", "ok"), Tone::Good),
        Outcome::Degraded { .. } => (canvas.pick("\u{26a0}", "!"), Tone::Warn),
        Outcome::Failed(_) => (canvas.pick("\u{2718}", "X"), Tone::Bad),
        Outcome::Inconclusive { .. } => ("?", Tone::Warn),
    };
    let text = format!("{mark} {}", report.summary);
    let mut out = sentence(&text, tone, canvas);
    let causes = report.violations();
    let rule = causes
        .iter()
        .find(|check| check.severity == Severity::Fail && check.detail == cause(report));
    if let Some(check) = rule {
        let text = format!(
            "{} [{}, {}]",
            check.id.rule().demand,
            check.id,
            check.source
        );
        out.push_str(&hanging("   rule: ", &text, canvas));
    }
    if let Outcome::Failed(failure) = &report.outcome {
        out.push_str(&hanging(
            "   next: ",
            &advice::of(failure.reason, report),
            canvas,
        ));
    }
    out
}

/// A sentence on lines of its own.
pub(crate) fn sentence(text: &str, tone: Tone, canvas: Canvas) -> String {
    wrap(text, canvas.width.saturating_sub(3), |n, line| {
        let lead = if n == 0 { " " } else { "   " };
        format!("{lead}{}\n", canvas.paint(tone, line))
    })
}

/// What the failed step said came back; of the step before the sequence, what came instead of a token.
fn cause(report: &Report) -> Option<String> {
    match report.outcome {
        Outcome::Failed(failure) if failure.step == Step::Authorize => {
            report.auth.as_ref()?.detail.clone()
        }
        Outcome::Failed(_)
        | Outcome::Ok
        | Outcome::Degraded { .. }
        | Outcome::Inconclusive { .. } => report.failed_step()?.detail.clone(),
    }
}

/// Text behind a label, wrapped under itself.
fn hanging(label: &str, text: &str, canvas: Canvas) -> String {
    let indent = " ".repeat(label.len());
    wrap(
        text,
        canvas.width.saturating_sub(label.len() + 1),
        |n, line| format!("{}{line}\n", if n == 0 { label } else { &indent }),
    )
}

/// Breaks `text` into lines of at most `width` columns: at spaces, and within words that are
/// wider than a line.
fn wrap(text: &str, width: usize, line: impl Fn(usize, &str) -> String) -> String {
    let mut rows: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word;
        while let Some(row) = rows.last_mut() {
            let used = row.width() + usize::from(!row.is_empty());
            if used + word.width() <= width {
                if !row.is_empty() {
                    row.push(' ');
                }
                row.push_str(word);
                break;
            }
            if !row.is_empty() {
                rows.push(String::new());
                continue;
            }
            let cut = fitting(word, width);
            row.push_str(&word[..cut]);
            word = &word[cut..];
            rows.push(String::new());
        }
    }
    let rows = rows.iter().filter(|row| !row.is_empty()).enumerate();
    rows.map(|(n, row)| line(n, row)).collect()
}

/// How many bytes of `word` fit into `width` columns; at least one character.
fn fitting(word: &str, width: usize) -> usize {
    let mut used = 0;
    for (at, c) in word.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width && at > 0 {
            return at;
        }
    }
    word.len()
}

#[cfg(test)]
mod captures;
#[cfg(test)]
mod tests;
