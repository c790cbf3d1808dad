//! What an agent answered, read with suspicion: it is shown to users and decides nothing.

use model::regional::{Absence, NoReport};
use model::{Report, TargetUrl};
use rpc::v1::OnDemandRefusalReason as Why;
use rpc::v1::on_demand_result::Result as Found;
use rpc::{limits, v1};
use serde_json::Value;

/// The longest text within a report that an agent of ours writes: a certificate's subject, a detail.
const MAX_TEXT: usize = 4096;

/// The report of an answer about `url`, or why there is none.
pub(super) fn read(answer: v1::OnDemandResult, url: &TargetUrl) -> Result<Report, NoReport> {
    match answer.result {
        Some(Found::ReportJson(json)) => report(&json, url),
        Some(Found::Refusal(refusal)) => Err(refused(&refusal)),
        None => Err(bad("the agent's answer is empty")),
    }
}

fn bad(detail: impl Into<String>) -> NoReport {
    NoReport::new(Absence::BadReport, detail)
}

fn report(json: &[u8], url: &TargetUrl) -> Result<Report, NoReport> {
    if json.len() > limits::MAX_REPORT_BYTES {
        return Err(bad(format!("the agent's report has {} bytes", json.len())));
    }
    let report: Report = serde_json::from_slice(json).map_err(|error| {
        let what = model::text::line(&error.to_string(), 200);
        bad(format!(
            "the agent's report cannot be read: {what}; run the same release on both"
        ))
    })?;
    if report.url != *url {
        return Err(bad("the agent's report is about another target"));
    }
    escaped(&report).ok_or_else(|| bad("the agent's report cannot be written again"))
}

/// The report with every text safe to show. The probe escapes what targets write; that an agent
/// runs that probe is only its own word.
fn escaped(report: &Report) -> Option<Report> {
    let mut value = serde_json::to_value(report).ok()?;
    escape(&mut value);
    serde_json::from_value(value).ok()
}

fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = model::text::line(text, MAX_TEXT),
        Value::Array(items) => items.iter_mut().for_each(escape),
        // The keys of a report are words of closed lists.
        Value::Object(fields) => fields.values_mut().for_each(escape),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn refused(refusal: &v1::OnDemandRefusal) -> NoReport {
    let reason = match refusal.reason() {
        Why::Busy => Absence::Busy,
        Why::Held => Absence::Held,
        Why::Rejected => Absence::Rejected,
        Why::Draining => Absence::Draining,
        Why::NoReport | Why::Unspecified => Absence::BadReport,
    };
    let mut told = NoReport::new(
        reason,
        model::text::line(&refusal.detail, limits::MAX_TEXT_BYTES),
    );
    if reason == Absence::Held {
        // Asked a moment too early, it would be held once more.
        told.retry_after_seconds = Some(u64::from(refusal.retry_after_ms).div_ceil(1000));
    }
    told
}

#[cfg(test)]
mod tests;
