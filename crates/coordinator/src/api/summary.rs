//! What everybody may know, where the operator says so: verdicts by name, and no URL.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use model::verdict::Verdict;
use model::{Monitor, MonitorId};
use schemars::JsonSchema;
use serde::Serialize;
use store::Store;

use super::Shared;
use super::openapi::Time;
use super::problem::Problem;
use crate::axis::shown;

/// The verdicts on all monitors.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Summary {
    #[schemars(with = "Time")]
    as_of: String,
    monitors: Vec<Summed>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Summed {
    /// Its name; a number where the name was made of its URL.
    monitor: String,
    verdict: Verdict,
    #[schemars(with = "Time")]
    since: String,
}

pub(super) async fn summary<S: Store>(State(hub): Shared<S>) -> Result<Response, Problem> {
    if !hub.public_summary {
        let detail = "there is no public summary; the coordinator's --public-summary makes one";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-public", detail));
    }
    let now = tokio::time::Instant::now().into_std();
    let monitors = hub.store.monitors().await?;
    let monitors = monitors.iter().filter_map(|monitor| {
        let standing = hub.board.view(monitor.id.as_str(), now)?.standing;
        Some(Summed {
            monitor: public_name(monitor),
            verdict: standing.verdict,
            since: shown(standing.since),
        })
    });
    let summary = Summary {
        as_of: telemetry::clock::wall().to_string(),
        monitors: monitors.collect(),
    };
    Ok(axum::Json(summary).into_response())
}

/// A name that was made of a URL begins with its host: what is left of it is a number.
fn public_name(monitor: &Monitor) -> String {
    let name = monitor.id.as_str();
    if monitor.id != MonitorId::of_url(&monitor.spec.url) {
        return name.to_owned();
    }
    let number = name.rsplit('-').next().unwrap_or_default();
    format!("monitor-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::MonitorSpec;

    #[test]
    fn a_name_that_was_made_of_a_url_does_not_show_it() {
        let url: model::TargetUrl = "https://mcp.example.com/mcp".parse().unwrap();
        let monitor = |id: MonitorId| Monitor {
            id,
            generation: 1,
            spec: MonitorSpec::new(url.clone()),
        };
        let unnamed = public_name(&monitor(MonitorId::of_url(&url)));
        assert!(
            unnamed.starts_with("monitor-") && !unnamed.contains("example"),
            "{unnamed}"
        );
        assert_eq!(public_name(&monitor("docs".parse().unwrap())), "docs");
    }
}
