//! The options of `parallax probe` for the way to the server.

use dial::Sni;
use http::HeaderName;
use model::ConnectTo;
use model::expect::{JsonPath, JsonPathError};
use model::instance::InstanceSpec;
use probe::{HostHeader, Network};

/// How the target is reached, and what more is looked at on the way.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Reach HOST:PORT of the URL at ADDRESS instead, an address or another name, as with curl;
    /// an empty HOST or PORT matches any, IPv6 in brackets. Certificate and Host header stay the
    /// URL's. Repeatable, the first match counts
    #[arg(long, value_name = "HOST:PORT:ADDRESS[:PORT]")]
    connect_to: Vec<ConnectTo>,
    /// The name that TLS asks for, and that the certificate must have, instead of the URL's host
    #[arg(long, value_name = "NAME")]
    sni: Option<Sni>,
    /// The Host header (HTTP/2: the authority) instead of the URL's host and port
    #[arg(long, value_name = "HOST[:PORT]")]
    host: Option<HostHeader>,
    /// The response header that names the instance which answered, such as X-Served-By
    #[arg(long, value_name = "NAME", value_parser = parse_header_name)]
    instance_header: Option<HeaderName>,
    /// Where else the instance names itself: SOURCE is `server` (every serverInfo), `result` (of each
    /// call) or `health` (the page of --health), PATH a JSONPath in it: result=$.structuredContent.pod.
    /// Repeatable, the last of a source counts
    #[arg(long, value_name = "SOURCE=PATH", value_parser = parse_instance_path)]
    instance_path: Vec<(InstanceSource, JsonPath)>,
    /// Make a second handshake at the end, to see whether the server resumes TLS sessions
    #[arg(long)]
    tls_resumption: bool,
    /// After the probe, probe each address of the name by itself, IPv4 and IPv6, and compare them;
    /// at most 16. Calls of tools are made at each of them too
    #[arg(long)]
    all_addresses: bool,
    /// After the probe, probe once more over HTTP/3 where the server advertises that in Alt-Svc,
    /// without calls of tools: what is advertised and does not answer costs clients time
    #[arg(long, conflicts_with_all = ["http3", "all_addresses"])]
    alt_svc: bool,
}

impl NetworkArgs {
    /// What the options ask for.
    pub(crate) fn network(&self) -> Network {
        Network {
            connect_to: self.connect_to.clone(),
            sni: self.sni.clone(),
            host: self.host.clone(),
            instance_header: self.instance_header.clone(),
            tls_resumption: self.tls_resumption,
            all_addresses: self.all_addresses,
            alt_svc: self.alt_svc,
        }
    }

    /// Whether HTTP/3 is to be tried where it is advertised.
    pub(crate) const fn wants_alt_svc(&self) -> bool {
        self.alt_svc
    }

    /// Where the instance that answers names itself.
    pub(crate) fn instance(&self) -> InstanceSpec {
        let mut spec = InstanceSpec::default();
        for (source, path) in &self.instance_path {
            let place = match source {
                InstanceSource::Server => &mut spec.server,
                InstanceSource::Result => &mut spec.result,
                InstanceSource::Health => &mut spec.health,
            };
            *place = Some(path.clone());
        }
        spec
    }

    /// Whether each address is to be probed.
    pub(crate) const fn wants_all_addresses(&self) -> bool {
        self.all_addresses
    }
}

/// What an instance names itself in.
#[derive(Debug, Clone, Copy)]
enum InstanceSource {
    Server,
    Result,
    Health,
}

fn parse_instance_path(text: &str) -> Result<(InstanceSource, JsonPath), String> {
    let how = "write it like result=$.structuredContent.pod; sources are server, result, health";
    let (source, path) = text.split_once('=').ok_or(how)?;
    let source = match source {
        "server" => InstanceSource::Server,
        "result" => InstanceSource::Result,
        "health" => InstanceSource::Health,
        _ => return Err(how.to_owned()),
    };
    let path = path
        .parse()
        .map_err(|error: JsonPathError| error.to_string())?;
    Ok((source, path))
}

fn parse_header_name(text: &str) -> Result<HeaderName, String> {
    text.parse()
        .map_err(|_| "it is no name of a header; write it like X-Instance".to_owned())
}
