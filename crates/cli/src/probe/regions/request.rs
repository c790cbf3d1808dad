//! The command line as the API takes it, and what only this host can do.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp::ToolCall;
use serde_json::{Map, Value, json};

use super::super::args::{Args, UsageError};
use super::super::{Error, dialer, headers, plan};
use super::BESIDE;

/// The longest that a probe through the mesh may take.
const LONGEST: Duration = Duration::from_secs(110);
/// The largest file of authorities together.
const MAX_CA_BYTES: usize = 16 << 10;

/// What is asked of the coordinator. It may have credentials: nothing shows it.
pub(super) struct Request {
    pub(super) body: Value,
    /// How long the answer may take.
    pub(super) time: Duration,
}

impl Request {
    pub(super) async fn of(args: &Args) -> Result<Self, Error> {
        refuse(args)?;
        let target = args.target()?;
        let plan = plan(args, target)?;
        let total = plan.total_timeout;
        if total > LONGEST {
            return Err(UsageError::Mesh(
                "--timeout",
                "a probe from the mesh may take at most 110s",
            )
            .into());
        }
        let time = total + BESIDE;
        let period = |time: Duration| json!(format!("{}ms", time.as_millis()));
        let calls: Vec<Value> = plan.calls.iter().map(call).collect();
        let mut body = json!({
            "url": plan.url,
            "era": plan.era,
            "regions": args.mesh.regions,
            "agents_per_region": args.mesh.agents_per_region,
            "timeout": period(time),
            "calls": calls,
            "lists": plan.lists,
            "subscribe": plan.subscribe,
            "profile": plan.profile,
            "expect": plan.expect,
            "step_timeout": period(plan.step_timeout),
            "call_timeout": period(plan.call_timeout),
            "total_timeout": period(total),
            "severities": plan.severities,
        });
        let more = body.as_object_mut();
        let more = more.ok_or(UsageError::Mesh(
            "--regions",
            "the request cannot be written",
        ))?;
        if let Some(idle) = plan.idle {
            more.insert("idle_stream".to_owned(), period(idle));
        }
        if let Some(health) = args.demands.health()? {
            more.insert("health".to_owned(), json!(health));
        }
        way(args, more)?;
        let headers = credentials(args).await?;
        more.insert("headers".to_owned(), json!(headers));
        Ok(Self { body, time })
    }
}

fn call(call: &ToolCall) -> Value {
    json!({
        "name": call.name,
        "arguments": call.arguments,
        "answers": call.answers,
        "progress": call.progress,
        "expect": call.expect,
        "capture": call.capture,
        "cleanup": call.cleanup,
    })
}

/// How the agents are to reach the target; their address policy holds.
fn way(args: &Args, more: &mut Map<String, Value>) -> Result<(), Error> {
    let network = args.network.network();
    let rules: Vec<String> = network.connect_to.iter().map(ToString::to_string).collect();
    more.insert("connect_to".to_owned(), json!(rules));
    if let Some(sni) = network.sni {
        more.insert("sni".to_owned(), json!(sni.to_string()));
    }
    if let Some(host) = network.host {
        more.insert("host_header".to_owned(), json!(host.to_string()));
    }
    let family = match (args.ipv4, args.ipv6) {
        (true, _) => "ipv4",
        (_, true) => "ipv6",
        (false, false) => "any",
    };
    more.insert("family".to_owned(), json!(family));
    let mut pem = String::new();
    for path in &args.ca_file {
        let read = super::super::credential::read("--ca-file", path)?;
        pem.push_str(&read);
        pem.push('\n');
    }
    if pem.len() > MAX_CA_BYTES {
        let why = "agents take at most 16 KiB of authorities; name the one that is needed";
        return Err(UsageError::Mesh("--ca-file", why).into());
    }
    if !pem.is_empty() {
        more.insert("ca".to_owned(), json!(pem));
    }
    Ok(())
}

/// The headers of the user, and the token that this host has: agents get no more than that.
async fn credentials(args: &Args) -> Result<BTreeMap<String, String>, Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let mut all = headers::collect(&args.header, args.bearer_file.as_deref(), variable)?;
    // Two credentials for one header are a mistake here too.
    args.credential.authorizer(&all)?;
    let network = args.network.network();
    let target = args.target()?;
    let user_agent = args.contact.user_agent();
    let token = args
        .credential
        .token(&dialer(args)?, &target, None, network.way(), user_agent)
        .await?;
    if let Some(token) = token {
        all.insert(http::header::AUTHORIZATION, headers::bearer_of(&token)?);
    }
    let mut named = BTreeMap::new();
    for (name, value) in &all {
        let text = value.to_str().map_err(|_| {
            UsageError::Mesh(
                "--header",
                "the value has characters that JSON cannot carry",
            )
        })?;
        let known = named.insert(name.to_string(), text.to_owned());
        if known.is_some() {
            let why = "a header may be given once where agents probe";
            return Err(UsageError::Mesh("--header", why).into());
        }
    }
    Ok(named)
}

/// Options that only make sense where this host probes are errors: what is not done is not ignored.
fn refuse(args: &Args) -> Result<(), UsageError> {
    let network = args.network.network();
    let own = "agents have their own; leave it out, or --regions";
    let table = [
        (
            args.proxy != "none",
            "--proxy",
            "agents never probe through a proxy; leave it out, or --regions",
        ),
        (!args.resolver.is_empty(), "--resolver", own),
        (args.contact != probe::Contact::default(), "--contact", own),
        (
            args.http1,
            "--http1",
            "agents take the newest HTTP that the server offers",
        ),
        (
            args.http3,
            "--http3",
            "a probe on demand goes over TCP; leave it out, or watch with a monitor of `http = \"3\"`",
        ),
        (
            network.alt_svc,
            "--alt-svc",
            "a probe on demand goes over TCP; leave it out, or watch with a monitor of `alt_svc`",
        ),
        (
            args.baseline.is_some(),
            "--baseline",
            "the list of tools stays at the agents; compare from this host",
        ),
        (
            args.write_baseline.is_some(),
            "--write-baseline",
            "the list of tools stays at the agents; write it from this host",
        ),
        (
            network.instance_header.is_some(),
            "--instance-header",
            "agents do not look at it; probe from this host",
        ),
        (
            network.tls_resumption,
            "--tls-resumption",
            "agents do not try it; probe from this host",
        ),
        (
            network.all_addresses,
            "--all-addresses",
            "agents do not compare addresses; probe from this host",
        ),
        (
            args.credential.identity().is_some(),
            "--client-cert",
            "a private key does not leave this host",
        ),
        (
            args.credential.has_client(),
            "--client-id",
            "a client's credentials do not leave this host; hand a token over with --bearer-file or --token-set",
        ),
    ];
    match table.into_iter().find(|(is_given, ..)| *is_given) {
        Some((_, option, why)) => Err(UsageError::Mesh(option, why)),
        None => Ok(()),
    }
}
