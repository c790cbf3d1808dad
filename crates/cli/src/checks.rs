//! `parallax checks`: every rule that a probe examines.

use clap::ValueEnum;
use model::CheckId;
use serde_json::json;

/// Lists the checks.
#[derive(Debug, clap::Args)]
pub(crate) struct ChecksArgs {
    /// How to print them
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

/// How to print the checks.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A line each.
    Table,
    /// For programs.
    Json,
}

/// The list as text.
pub(crate) fn list(args: &ChecksArgs) -> String {
    match args.output {
        Format::Table => table(),
        Format::Json => {
            let rows = CheckId::ALL.iter().map(|id| {
                let rule = id.rule();
                json!({
                    "id": id, "severity": rule.severity, "profile": rule.profile,
                    "demand": rule.demand, "source": rule.source,
                })
            });
            let rows: Vec<_> = rows.collect();
            format!(
                "{}\n",
                serde_json::to_string_pretty(&rows).unwrap_or_default()
            )
        }
    }
}

fn table() -> String {
    let mut rows = vec![["CHECK", "SEVERITY", "PROFILE", "DEMAND", "SOURCE"].map(str::to_owned)];
    for id in CheckId::ALL {
        let rule = id.rule();
        rows.push([
            id.to_string(),
            rule.severity.to_string(),
            rule.profile.to_string(),
            rule.demand.to_owned(),
            rule.source.to_owned(),
        ]);
    }
    crate::members::table(&rows)
}
