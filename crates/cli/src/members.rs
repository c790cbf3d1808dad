//! `parallax token`, `parallax agents`, `parallax key`: who belongs to the mesh, and who may ask it.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use model::Period;
use serde_json::{Value, json};

use crate::api::{Error, Options};
use crate::style;

/// Tokens for new agents.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a single-use token; it is printed once, alone on stdout
    Create(Place),
}

/// Where an agent is, and for whom it works.
#[derive(Debug, Args)]
struct Place {
    /// The metro that it probes from
    #[arg(long)]
    region: String,
    /// Whose network it is on
    #[arg(long)]
    provider: String,
    /// The agent's name; made up where absent
    #[arg(long)]
    agent: Option<String>,
    /// Degrees north
    #[arg(long, requires = "longitude", allow_negative_numbers = true)]
    latitude: Option<f64>,
    /// Degrees east
    #[arg(long, requires = "latitude", allow_negative_numbers = true)]
    longitude: Option<f64>,
    /// It serves only monitors that name its region or its labels
    #[arg(long)]
    private: bool,
    /// NAME=VALUE that monitors may choose it by; may be given again
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// How long the token may wait to be used
    #[arg(long, default_value = "10m")]
    ttl: Period,
    /// Where the agent will reach the coordinator, host:port
    #[arg(long)]
    endpoint: Option<String>,
    /// It may take the place of an agent of this name
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    api: Options,
}

/// Agents of the mesh.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    command: Option<AgentsCommand>,
    #[command(flatten)]
    api: Options,
}

#[derive(Debug, Subcommand)]
enum AgentsCommand {
    /// Turn an agent out: its streams end, and it gets no others
    Revoke {
        /// Its name
        agent: String,
        #[command(flatten)]
        api: Options,
    },
}

/// Keys of the API.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key; it is printed once, alone on stdout
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, default_value = "read")]
        scope: Scope,
        #[command(flatten)]
        api: Options,
    },
    /// List the keys, without their values
    List {
        #[command(flatten)]
        api: Options,
    },
    /// Remove a key: it opens nothing any more
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        api: Options,
    },
}

/// What a key may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// Read everything but secrets
    Read,
    /// Run probes from the mesh too, and nothing else
    Probe,
    /// Change everything too
    Admin,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => model::text::line(text, 200),
        None if value.is_null() => "-".to_owned(),
        None => model::text::line(&value.to_string(), 200),
    }
}

/// Makes a token.
pub(crate) async fn token(args: TokenArgs) -> Result<(), Error> {
    let TokenCommand::Create(place) = args.command;
    let labels: BTreeMap<String, String> = place.labels.into_iter().collect();
    let body = json!({
        "region": place.region,
        "provider": place.provider,
        "agent": place.agent,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "private": place.private,
        "labels": labels,
        "ttl": place.ttl,
        "endpoint": place.endpoint,
        "replace": place.replace,
    });
    let made = place
        .api
        .call(Method::POST, "/api/v1/tokens", Some(&body))
        .await?;
    style::print(&secret(&made, "token")?)?;
    style::eprint(&format!(
        "agent {}: start it with --token-file before {}\n",
        text(&made["agent"]),
        text(&made["expires_at"])
    ));
    Ok(())
}

/// Lists the agents, or turns one out.
pub(crate) async fn agents(args: AgentsArgs) -> Result<(), Error> {
    if let Some(AgentsCommand::Revoke { agent, api }) = args.command {
        let name: String = url::form_urlencoded::byte_serialize(agent.as_bytes()).collect();
        let path = format!("/api/v1/agents/{name}/revoke");
        api.call(Method::POST, &path, Some(&json!({}))).await?;
        style::eprint(&format!("revoked {}\n", model::text::line(&agent, 64)));
        return Ok(());
    }
    let known = args.api.call(Method::GET, "/api/v1/agents", None).await?;
    let mut rows = vec![
        [
            "AGENT",
            "REGION",
            "PROVIDER",
            "CONNECTED",
            "STATE",
            "SPOOL",
            "VERSION",
        ]
        .map(str::to_owned),
    ];
    for agent in known["agents"].as_array().into_iter().flatten() {
        rows.push([
            text(&agent["id"]),
            text(&agent["region"]),
            text(&agent["provider"]),
            text(&agent["connected"]),
            // Why it has no vote says more than that it has none.
            text(if agent["fault"].is_null() {
                &agent["state"]
            } else {
                &agent["fault"]
            }),
            text(&agent["spool_records"]),
            text(&agent["version"]),
        ]);
    }
    style::print(&table(&rows))?;
    Ok(())
}

/// Columns as wide as their widest entry.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate();
        let line: Vec<String> = cells
            .map(|(column, cell)| format!("{cell:<0$}", width(column)))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// What is printed once, whole, and alone on its line.
fn secret(made: &Value, name: &str) -> Result<String, Error> {
    let is_plain = |text: &&str| text.bytes().all(|b| b.is_ascii_graphic());
    let secret = made[name].as_str().filter(is_plain);
    let secret = secret.ok_or(Error::Answer(if name == "token" { "token" } else { "key" }))?;
    Ok(format!("{secret}\n"))
}

/// Makes, lists or removes keys.
pub(crate) async fn key(args: KeyArgs) -> Result<(), Error> {
    match args.command {
        KeyCommand::Create { name, scope, api } => {
            let scope = match scope {
                Scope::Read => "read",
                Scope::Probe => "probe",
                Scope::Admin => "admin",
            };
            let body = json!({ "name": name, "scope": scope });
            let made = api.call(Method::POST, "/api/v1/keys", Some(&body)).await?;
            style::print(&secret(&made, "key")?)?;
            style::eprint(&format!("key {}: may {scope}\n", text(&made["id"])));
        }
        KeyCommand::List { api } => {
            let known = api.call(Method::GET, "/api/v1/keys", None).await?;
            let mut rows = vec![["ID", "NAME", "SCOPE", "CREATED"].map(str::to_owned)];
            for key in known["keys"].as_array().into_iter().flatten() {
                rows.push([&key["id"], &key["name"], &key["scope"], &key["created_at"]].map(text));
            }
            style::print(&table(&rows))?;
        }
        KeyCommand::Revoke { id, api } => {
            let name: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
            let path = format!("/api/v1/keys/{name}");
            api.call(Method::DELETE, &path, None).await?;
            style::eprint(&format!("revoked {}\n", model::text::line(&id, 64)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let rows = [row("AGENT", "REGION"), row("eu-frankfurt", "eu")];
        assert_eq!(
            super::table(&rows),
            "AGENT         REGION\neu-frankfurt  eu\n"
        );
    }
}
