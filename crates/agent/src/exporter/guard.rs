//! Who may ask.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};

use super::Served;

/// Lets those pass who have the token; and where there is none, nobody who asks for a web page: a
/// browser on this host reaches loopback for every page that it shows.
pub(super) async fn guard(
    State(served): State<Arc<Served>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let settings = served.settings();
    let Some(token) = &settings.http.probe_token else {
        if let Some(sentence) = of_a_page(headers, settings.http.is_loopback()) {
            return served.refuse(StatusCode::FORBIDDEN, sentence);
        }
        return next.run(request).await;
    };
    let sent = headers
        .get(header::AUTHORIZATION)
        .map(http::HeaderValue::as_bytes);
    let sent = sent.and_then(|value| value.split_at_checked("Bearer ".len()));
    let is_it = sent.is_some_and(|(scheme, sent)| {
        let token = token.expose().as_bytes();
        scheme.eq_ignore_ascii_case(b"Bearer ") && verify_slices_are_equal(sent, token).is_ok()
    });
    if is_it {
        return next.run(request).await;
    }
    let sentence = "send the token of this agent's probe-token-file as Authorization: Bearer …";
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (challenge, served.refuse(StatusCode::UNAUTHORIZED, sentence)).into_response()
}

/// Why a request is taken for one of a web page: by what browsers say of themselves (Fetch
/// Metadata), and, because a name can be made to mean loopback (DNS rebinding), by the name.
fn of_a_page(headers: &HeaderMap, is_loopback: bool) -> Option<&'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_foreign =
        text("sec-fetch-site").is_some_and(|site| !matches!(site, "none" | "same-origin"));
    if is_foreign || text("origin").is_some() {
        return Some(
            "a web page asks; only scrapers and people may, or whoever has a token (probe-token-file)",
        );
    }
    let host = text("host").unwrap_or_default();
    (is_loopback && !is_this_host(host)).then_some(
        "the Host header is neither localhost nor an address; ask by address, or set probe-token-file",
    )
}

fn is_this_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    // HTTP/1.0 has none; no browser speaks it.
    host.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(lines: &[(&'static str, &str)], is_loopback: bool) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        of_a_page(&headers, is_loopback).is_some()
    }

    #[test]
    fn web_pages_may_not_ask() {
        for host in [
            "localhost:9116",
            "127.0.0.1:9116",
            "[::1]:9116",
            "10.0.0.7",
            "",
        ] {
            assert!(!refuses(&[("host", host)], true), "{host}");
        }
        // A name that somebody points at loopback.
        assert!(refuses(&[("host", "evil.example:9116")], true));
        assert!(!refuses(&[("host", "agent-1.internal:9116")], false));
        let host = ("host", "127.0.0.1:9116");
        assert!(refuses(&[host, ("sec-fetch-site", "cross-site")], true));
        assert!(refuses(&[host, ("sec-fetch-site", "same-site")], false));
        assert!(refuses(&[host, ("origin", "https://evil.example")], true));
        // Somebody types the address.
        assert!(!refuses(&[host, ("sec-fetch-site", "none")], true));
    }
}
