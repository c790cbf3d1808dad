//! `parallax status`: what the mesh says, once or all the time.

use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::api::{Error, Options};
use crate::members::{table, text};
use crate::style;

/// What the mesh says of monitors.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// One monitor, with its regions; all of them where absent
    monitor: Option<String>,
    /// Say it again whenever it changes, until it is interrupted
    #[arg(long)]
    watch: bool,
    /// How often to look, with --watch
    #[arg(long, default_value = "2s", requires = "watch")]
    every: model::Period,
    /// `text`, or `json` as the API gives it
    #[arg(long, default_value = "text")]
    output: Output,
    #[command(flatten)]
    api: Options,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Says what the mesh says.
pub(crate) async fn status(args: StatusArgs) -> Result<(), Error> {
    let every = args.every.duration().max(Duration::from_millis(100));
    let mut said = String::new();
    loop {
        let now = match &args.monitor {
            Some(monitor) => one(&args, monitor).await?,
            None => all(&args).await?,
        };
        if now != said {
            if args.watch && !said.is_empty() {
                style::print("\n")?;
            }
            style::print(&now)?;
            said = now;
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(every).await;
    }
}

async fn fetch(args: &StatusArgs, monitor: &str) -> Result<Value, Error> {
    let name: String = url::form_urlencoded::byte_serialize(monitor.as_bytes()).collect();
    let path = format!("/api/v1/monitors/{name}/status");
    let mut status = args.api.call(Method::GET, &path, None).await?;
    if let Some(fields) = status.as_object_mut().filter(|_| args.watch) {
        // Or every look would be a change.
        fields.remove("as_of");
    }
    Ok(status)
}

async fn all(args: &StatusArgs) -> Result<String, Error> {
    let known = args.api.call(Method::GET, "/api/v1/monitors", None).await?;
    let monitors = known["monitors"].as_array();
    let monitors = monitors.ok_or(Error::Answer("monitors"))?;
    let mut statuses = Vec::new();
    for monitor in monitors {
        match fetch(args, monitor["id"].as_str().unwrap_or_default()).await {
            Ok(status) => statuses.push(status),
            // It was deleted in between.
            Err(Error::Refused { status, .. }) if status == http::StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    if args.output == Output::Json {
        return Ok(json(&Value::Array(statuses)));
    }
    let mut rows = vec![["MONITOR", "VERDICT", "SCOPE", "SINCE", "WHY"].map(str::to_owned)];
    for status in &statuses {
        rows.push([
            text(&status["monitor"]),
            text(&status["verdict"]).to_uppercase(),
            text(&status["scope"]),
            seconds(&status["since"]),
            text(&status["why"]),
        ]);
    }
    Ok(table(&rows))
}

async fn one(args: &StatusArgs, monitor: &str) -> Result<String, Error> {
    let status = fetch(args, monitor).await?;
    if args.output == Output::Json {
        return Ok(json(&status));
    }
    let mut lines = format!(
        "{}  {}  since {}\n{}\n",
        text(&status["monitor"]),
        text(&status["verdict"]).to_uppercase(),
        seconds(&status["since"]),
        text(&status["why"]),
    );
    let witnesses = &status["witnesses"];
    lines.push_str(&format!(
        "{} agents, {} independent witnesses; an outage needs {}\n\n",
        text(&witnesses["assigned"]),
        text(&witnesses["independent"]),
        text(&witnesses["quorum"]),
    ));
    let thinned = &status["load"]["thinned"];
    if thinned.is_object() {
        lines.truncate(lines.trim_end().len());
        lines.push_str(&format!(
            "\nprobed every {} instead of every {}: at most {} requests/min\n\n",
            text(&thinned["interval"]),
            text(&thinned["from"]),
            text(&status["load"]["cap"]),
        ));
    }
    let mut rows = vec![["REGION", "STATE", "REASON", "SINCE", "P50", "P95"].map(str::to_owned)];
    for region in status["regions"].as_array().into_iter().flatten() {
        let latency = &region["latency"];
        rows.push([
            text(&region["region"]),
            text(&region["state"]),
            text(&region["reason"]),
            seconds(&region["since"]),
            millis(&latency["p50_ms"]),
            millis(&latency["p95_ms"]),
        ]);
    }
    lines.push_str(&table(&rows));
    lines.push_str(&answerers(&status["regions"]));
    Ok(lines)
}

/// Who answered each agent, where any of them knows.
fn answerers(regions: &Value) -> String {
    let mut rows = vec![["AGENT", "REGION", "SERVER", "INSTANCE", "EDGE"].map(str::to_owned)];
    for region in regions.as_array().into_iter().flatten() {
        for agent in region["agents"].as_array().into_iter().flatten() {
            let (server, edge) = (&agent["server"], &agent["edge"]);
            if server.is_null() && edge.is_null() && agent["instance"].is_null() {
                continue;
            }
            let two = |one: &Value, other: &Value| {
                let both = [one.as_str(), other.as_str()].into_iter().flatten();
                let both: Vec<&str> = both.filter(|text| !text.is_empty()).collect();
                text(&Value::from(both.join(" ")))
            };
            rows.push([
                text(&agent["agent"]),
                text(&region["region"]),
                two(&server["name"], &server["version"]),
                text(&agent["instance"]),
                two(&edge["provider"], &edge["pop"]),
            ]);
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    format!("\n{}", table(&rows))
}

fn json(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("{text}\n")
}

/// A time without its fraction.
fn seconds(value: &Value) -> String {
    let text = text(value);
    match text.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => text,
    }
}

fn millis(value: &Value) -> String {
    match value.as_f64() {
        Some(ms) => format!("{ms:.0} ms"),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn who_answered_is_shown_where_anybody_knows() {
        let nobody = json!([{ "region": "eu", "agents": [{ "agent": "a", "server": null }] }]);
        assert_eq!(super::answerers(&nobody), "");
        let known = json!([{ "region": "eu", "agents": [{ "agent": "a", "instance": "pod-7",
            "server": { "name": "docs", "version": "1.4" },
            "edge": { "provider": "cloudflare", "pop": "FRA" } }] }]);
        let shown = super::answerers(&known);
        for part in ["docs 1.4", "pod-7", "cloudflare FRA"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn times_are_shown_to_the_second_and_what_is_absent_as_a_dash() {
        assert_eq!(
            super::seconds(&json!("2026-01-01T00:00:01.25Z")),
            "2026-01-01T00:00:01Z"
        );
        assert_eq!(
            super::seconds(&json!("2026-01-01T00:00:01Z")),
            "2026-01-01T00:00:01Z"
        );
        assert_eq!(super::seconds(&json!(null)), "-");
        assert_eq!(super::millis(&json!(12.6)), "13 ms");
        assert_eq!(super::millis(&json!(null)), "-");
    }
}
