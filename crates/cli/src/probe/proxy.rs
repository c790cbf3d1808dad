//! Which proxy a probe goes through: none, unless the user asks.
//!
//! The variables have no standard; this reads them as curl does.

use std::net::IpAddr;

use dial::{Proxy, ProxyError};
use ipnet::IpNet;
use model::TargetUrl;
use url::Host;

use crate::exit;

/// A proxy that cannot be used; nothing of its text is shown, which may have a password.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {problem}")]
pub(crate) struct BadProxy {
    /// The flag or the variable.
    field: String,
    problem: ProxyError,
}

impl BadProxy {
    pub(crate) fn exit_code(&self) -> u8 {
        if self.field.starts_with("--") {
            exit::USAGE
        } else {
            exit::CONFIG
        }
    }
}

/// The proxy for `target`: `none`, `env` or a URL.
pub(crate) fn choose(
    asked: &str,
    target: &TargetUrl,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, BadProxy> {
    let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let (field, text) = match asked {
        "none" | "" => return Ok(None),
        "env" => {
            let except = set("no_proxy").or_else(|| set("NO_PROXY"));
            if except.is_some_and(|list| is_excepted(&list, target)) {
                return Ok(None);
            }
            let names = variables(target.is_https());
            let found = names.iter().find_map(|name| Some((*name, set(name)?)));
            match found {
                Some((name, text)) => (name.to_owned(), text),
                None => return Ok(None),
            }
        }
        url => ("--proxy".to_owned(), url.to_owned()),
    };
    let parsed: Result<Proxy, ProxyError> = text.parse();
    parsed
        .map(Some)
        .map_err(|problem| BadProxy { field, problem })
}

/// In which order they are asked. `HTTP_PROXY` is not: under CGI it is a header of a stranger
/// (httpoxy, CVE-2016-5385).
const fn variables(is_https: bool) -> &'static [&'static str] {
    if is_https {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    }
}

/// Whether `NO_PROXY` names the target: `*`, a host with all that is below it, an address, a
/// network; each perhaps with a port. Names are not resolved for it.
fn is_excepted(list: &str, target: &TargetUrl) -> bool {
    let entries = list.split([',', ' ', '\t', '\n']);
    entries
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry == "*" || names(entry, target))
}

fn names(entry: &str, target: &TargetUrl) -> bool {
    let (host, port) = split_port(entry);
    if port.is_some_and(|port| port != target.port()) {
        return false;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match target.as_url().host() {
        Some(Host::Domain(name)) => {
            let host = host.strip_prefix('*').unwrap_or(host);
            let host = host.trim_matches('.').to_ascii_lowercase();
            let rest = name.trim_end_matches('.').strip_suffix(&host);
            !host.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
        Some(Host::Ipv4(ip)) => covers(host, ip.into()),
        Some(Host::Ipv6(ip)) => covers(host, ip.into()),
        None => false,
    }
}

fn covers(text: &str, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let single = text.parse::<IpAddr>().map(|one| one.to_canonical() == ip);
    single.unwrap_or_else(|_| text.parse::<IpNet>().is_ok_and(|net| net.contains(&ip)))
}

/// Host and port of an entry. The colons of a bare IPv6 address are not before a port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let is_bare_v6 = !entry.contains(']') && entry.matches(':').count() > 1;
    let split = entry.rsplit_once(':').filter(|_| !is_bare_v6);
    match split.map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host, Some(port)),
        Some((_, Err(_))) | None => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(asked: &str, target: &str, set: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = choose(asked, &target.parse().unwrap(), variable);
        let shown = proxy.map_err(|error| format!("{}: {error}", error.exit_code()))?;
        Ok(shown.map(|proxy| proxy.to_string()))
    }

    #[test]
    fn variables_are_read_only_when_asked_and_by_scheme() {
        let set = [
            ("HTTPS_PROXY", "http://s:1"),
            ("http_proxy", "http://h:2"),
            ("HTTP_PROXY", "http://stranger:3"),
            ("ALL_PROXY", "http://a:4"),
        ];
        let (https, http) = ("https://x.example/mcp", "http://x.example/mcp");
        let table = [
            ("none", https, &set[..], None),
            ("env", https, &set[..], Some("s:1")),
            ("env", http, &set[..], Some("h:2")),
            ("env", http, &set[2..], Some("a:4")),
            ("env", http, &set[2..3], None),
            ("env", https, &[("https_proxy", " "), set[3]], Some("a:4")),
            (
                "env",
                https,
                &[("https_proxy", "http://l:5"), set[0]],
                Some("l:5"),
            ),
            ("env", https, &[], None),
            ("http://u:p@own:9", https, &set[..], Some("own:9")),
        ];
        for (asked, target, set, proxy) in table {
            let found = chosen(asked, target, set);
            assert_eq!(found, Ok(proxy.map(str::to_owned)), "{asked} {target}");
        }
    }

    #[test]
    fn no_proxy_names_hosts_and_networks() {
        let table = [
            ("*", "https://x.example/", true),
            ("example", "https://x.example/", true),
            (".x.example", "https://x.example/", true),
            ("*.x.example", "https://a.x.example/", true),
            ("a, X.Example ,b", "https://y.x.example/", true),
            ("x.example.", "https://x.example./", true),
            ("x.example", "https://notx.example/", false),
            ("y.x.example", "https://x.example/", false),
            ("x.example:443", "https://x.example/", true),
            ("x.example:8443", "https://x.example/", false),
            (".", "https://x.example/", false),
            (",,", "https://x.example/", false),
            ("localhost", "http://localhost:3000/", true),
            ("10.1.2.3", "http://10.1.2.3/", true),
            ("10.1.0.0/16", "http://10.1.2.3/", true),
            ("10.1.0.0/16:8443", "http://10.1.2.3:8443/", true),
            ("10.2.0.0/16", "http://10.1.2.3/", false),
            ("2.3", "http://10.1.2.3/", false),
            ("::1", "http://[::1]:3000/", true),
            ("[::1]:3000", "http://[::1]:3000/", true),
            ("[::1]:3001", "http://[::1]:3000/", false),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("10.0.0.0/8", "http://[::ffff:10.0.0.1]/", true),
        ];
        for (list, target, excepted) in table {
            let set = [("all_proxy", "http://p:1"), ("NO_PROXY", list)];
            let found = chosen("env", target, &set).unwrap();
            assert_eq!(found.is_none(), excepted, "{list} {target}");
        }
        // It is for the variables: whoever names a proxy means it.
        let found = chosen("http://p:1", "https://x.example/", &[("no_proxy", "*")]);
        assert_eq!(found, Ok(Some("p:1".to_owned())));
    }

    #[test]
    fn a_bad_proxy_names_its_field_and_shows_no_password() {
        let target = "https://x.example/";
        let table = [
            ("https://u:hunter2@p:1", "2: --proxy: https:// proxies"),
            ("socks5://u:hunter2@p:1", "2: --proxy: SOCKS proxies"),
            ("u:hunter2@p:1/x", "2: --proxy: is no proxy: something"),
        ];
        for (text, message) in table {
            let said = chosen(text, target, &[]).unwrap_err();
            assert!(said.starts_with(message), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
            let said = chosen("env", target, &[("ALL_PROXY", text)]).unwrap_err();
            let message = message.replace("2: --proxy", "7: ALL_PROXY");
            assert!(said.starts_with(&message), "{said}");
        }
    }
}
