//! What to try next, by reason.

use model::report::{CertificateFault, ClientCertificate};
use model::{Class, Reason, Report};

/// A sentence with the next thing to try.
pub(crate) fn of(reason: Reason, report: &Report) -> String {
    let url = report.url.as_url();
    let host = url.host_str().unwrap_or_default();
    let connection = report.connection.as_ref();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others share advice by class"
    )]
    let specific = match reason {
        Reason::DnsNxdomain | Reason::DnsNoData => format!("check the name: dig {host}"),
        Reason::DnsTimeout | Reason::DnsServfail => {
            format!("ask another resolver: parallax probe {url} --resolver 9.9.9.9:53")
        }
        Reason::TcpRefused | Reason::TcpTimeout | Reason::TcpUnreachable => {
            let (host, port) = place(report);
            format!(
                "check that something listens and no firewall is in between: nc -vz {host} {port}"
            )
        }
        Reason::TlsCertUntrusted if misses_intermediate(report) => {
            "let the server send its whole chain: its certificate, then the intermediate ones"
                .to_owned()
        }
        Reason::TlsCertUntrusted => {
            "if the server has a private authority, trust it with --ca-file FILE".to_owned()
        }
        Reason::TlsHandshake if wants_certificate(report) => {
            "the server asks for a client certificate: --client-cert FILE --client-key FILE"
                .to_owned()
        }
        Reason::TlsCertExpired
        | Reason::TlsCertNotYetValid
        | Reason::TlsCertName
        | Reason::TlsHandshake
        | Reason::TlsTimeout
        | Reason::TlsAlpn => {
            let (at, port) = place(report);
            let sni = connection.and_then(|connection| connection.overrides.sni.as_deref());
            let name = sni.unwrap_or(host);
            format!("look at it: openssl s_client -connect {at}:{port} -servername {name}")
        }
        Reason::HttpRedirect => "probe the address that it redirects to".to_owned(),
        Reason::NotFound | Reason::NotMcp => {
            "check the path: MCP endpoints often end in /mcp or /sse, with or without a slash"
                .to_owned()
        }
        Reason::AuthRequired
        | Reason::AuthMalformed
        | Reason::AuthServerDown
        | Reason::AuthCredentialRefused
        | Reason::AuthTokenRejected
        | Reason::AuthScope => authorization(reason).to_owned(),
        Reason::RateLimited => "wait, and ask less often".to_owned(),
        Reason::McpVersionUnsupported => {
            "see what it speaks: --era legacy or --era modern, --output json".to_owned()
        }
        Reason::ToolMissing => "see which tools it lists: --output json, without --call".to_owned(),
        Reason::HttpTimeoutHeaders | Reason::HttpTimeoutBody | Reason::McpSseStalled => {
            "give it more time: --step-timeout 30s --timeout 60s".to_owned()
        }
        Reason::ContractDrift => {
            "review each change; what is meant is agreed on by --write-baseline FILE".to_owned()
        }
        _ => String::new(),
    };
    if !specific.is_empty() {
        return specific;
    }
    by_class(reason, url)
}

/// What to try where the reason itself says too little.
fn by_class(reason: Reason, url: &url::Url) -> String {
    match reason.class() {
        Class::Protocol => {
            "compare with the specification section of the violated check".to_owned()
        }
        Class::Tool => "call the tool from another client with the same arguments".to_owned(),
        Class::Http => format!("look at the bare answer: curl -sv {url}"),
        Class::Network | Class::Contract | Class::Refused | Class::Ours => {
            "see everything: --output json".to_owned()
        }
    }
}

/// Where the target was reached: advice about another place would be about another server.
fn place(report: &Report) -> (String, String) {
    let connection = report.connection.as_ref();
    let detour = connection.and_then(|connection| connection.overrides.connect_to.as_deref());
    let (host, port) = match detour.and_then(|place| place.rsplit_once(':')) {
        Some((host, port)) => (host, port.to_owned()),
        None => (
            report.url.as_url().host_str().unwrap_or_default(),
            report.url.port().to_string(),
        ),
    };
    (host.to_owned(), port)
}

fn authorization(reason: Reason) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others share advice")]
    match reason {
        Reason::AuthServerDown => {
            "the server may be well: name another way to a token with --issuer or --token-url"
        }
        Reason::AuthCredentialRefused => {
            "check the client's id, secret or key, and --scope, at the authorization server"
        }
        Reason::AuthRequired | Reason::AuthMalformed => {
            "give a credential: --header 'Authorization: Bearer ${MCP_TOKEN}', --bearer-file FILE, or a client: --client-id ID --client-secret-file FILE"
        }
        _ => "the credential was sent and not accepted: check its age, audience and scope",
    }
}

fn misses_intermediate(report: &Report) -> bool {
    let tls = report
        .connection
        .as_ref()
        .and_then(|connection| connection.tls.as_ref());
    tls.is_some_and(|tls| tls.faults.contains(&CertificateFault::IntermediateMissing))
}

fn wants_certificate(report: &Report) -> bool {
    let tls = report
        .connection
        .as_ref()
        .and_then(|connection| connection.tls.as_ref());
    tls.is_some_and(|tls| tls.client_certificate == Some(ClientCertificate::Missing))
}
