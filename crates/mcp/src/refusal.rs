//! What a status outside 2xx says, and what a JSON-RPC error says.

use http::StatusCode;
use model::{CheckId, Reason, Step};

use crate::challenge;
use crate::jsonrpc::RpcError;
use crate::reply::{Fault, Reply};

/// What the sequence knew when it was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) step: Step,
    pub(crate) has_credential: bool,
    pub(crate) has_session: bool,
}

/// The reason behind a reply whose status is not 2xx.
pub(crate) fn of_status(reply: &Reply, situation: Situation) -> Fault {
    let status = reply.head.status;
    let error = reply
        .response
        .as_ref()
        .and_then(|r| r.outcome.as_ref().err());
    let (reason, check) = match status.as_u16() {
        300..=399 => (Reason::HttpRedirect, CheckId::HttpRedirect),
        401 => unauthorized(reply, situation),
        403 => (forbidden(reply), CheckId::HttpStatus),
        429 => (Reason::RateLimited, CheckId::HttpStatus),
        503 if is_challenge(reply) => (Reason::WafChallenge, CheckId::HttpStatus),
        503 if reply.head.header("retry-after").is_some() => {
            (Reason::RateLimited, CheckId::HttpStatus)
        }
        502..=504 => (Reason::Upstream5xx, CheckId::HttpStatus),
        // A status beyond 599 is treated as a 5xx (RFC 9110 §15).
        500.. => (Reason::Server5xx, CheckId::HttpStatus),
        404 if situation.has_session => (Reason::McpSessionLost, CheckId::SessStable),
        _ => match error {
            Some(error) => (of_error(error, situation), CheckId::HttpStatus),
            None => (without_message(status, situation), CheckId::HttpStatus),
        },
    };
    Fault::new(reason, check, describe(reply, error))
}

/// The reason behind a JSON-RPC error.
pub(crate) fn of_error(error: &RpcError, situation: Situation) -> Reason {
    let about_session = error.message.to_ascii_lowercase().contains("session");
    match error.code {
        Some(-32020) => Reason::McpHeaderMismatch,
        Some(-32021) => Reason::McpCapabilityRequired,
        Some(-32022) => Reason::McpVersionUnsupported,
        _ if about_session && situation.has_session => Reason::McpSessionLost,
        _ if situation.step == Step::Initialize => Reason::McpInitRejected,
        _ if situation.step == Step::Initialized => Reason::McpNotifRejected,
        _ if about_session => Reason::McpSessionRequired,
        _ => Reason::McpRpcError,
    }
}

/// A JSON-RPC error in a few words.
pub(crate) fn describe_error(error: &RpcError) -> String {
    let code = error
        .code
        .map_or_else(|| "no code".to_owned(), |code| code.to_string());
    format!(
        "JSON-RPC error {code}: {}",
        model::text::line(&error.message, 120)
    )
}

fn describe(reply: &Reply, error: Option<&RpcError>) -> String {
    let status = reply.head.status;
    if let Some(location) = reply.head.header("location") {
        return format!(
            "{status}, redirects to {}",
            model::text::line(location, 160)
        );
    }
    if let Some(error) = error {
        return format!("{status}, {}", describe_error(error));
    }
    if status == StatusCode::UNAUTHORIZED {
        let challenge = reply.head.header("www-authenticate");
        return challenge.map_or_else(
            || format!("{status} without WWW-Authenticate"),
            |value| format!("{status}, {}", model::text::line(value, 160)),
        );
    }
    let media = reply
        .head
        .media_type()
        .map(|m| format!(", {}", model::text::line(&m, 40)));
    let excerpt = match reply.excerpt.as_str() {
        "" => String::new(),
        text => format!(": {}", model::text::line(text, 120)),
    };
    format!("{status}{}{excerpt}", media.unwrap_or_default())
}

fn unauthorized(reply: &Reply, situation: Situation) -> (Reason, CheckId) {
    let values = reply.head.headers.get_all("www-authenticate");
    let bearer = challenge::bearer(values.iter().filter_map(|value| value.to_str().ok()));
    let reason = match bearer {
        _ if situation.has_credential => Reason::AuthTokenRejected,
        Some(_) => Reason::AuthRequired,
        None => Reason::AuthMalformed,
    };
    (reason, CheckId::HttpStatus)
}

fn forbidden(reply: &Reply) -> Reason {
    let values = reply.head.headers.get_all("www-authenticate");
    let bearer = challenge::bearer(values.iter().filter_map(|value| value.to_str().ok()));
    if bearer.is_some_and(|b| b.param("error") == Some("insufficient_scope")) {
        Reason::AuthScope
    } else if is_challenge(reply) || reply.is_html {
        Reason::WafChallenge
    } else {
        Reason::Forbidden
    }
}

fn is_challenge(reply: &Reply) -> bool {
    reply.head.header("cf-mitigated") == Some("challenge")
}

fn without_message(status: StatusCode, situation: Situation) -> Reason {
    match status.as_u16() {
        404 | 405 | 410 => Reason::NotFound,
        _ if situation.step == Step::Initialized => Reason::McpNotifRejected,
        _ => Reason::Client4xx,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Head;
    use crate::jsonrpc::Response;

    fn reply(
        status: u16,
        headers: &[(&'static str, &str)],
        code: Option<i64>,
        text: &str,
    ) -> Reply {
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Reply {
            head: Head {
                status: StatusCode::from_u16(status).unwrap(),
                headers: map,
            },
            response: code.map(|code| Response {
                id: None,
                outcome: Err(RpcError {
                    code: Some(code),
                    message: text.to_owned(),
                    data: serde_json::Value::Null,
                }),
                bent: None,
            }),
            excerpt: text.to_owned(),
            is_html: text.starts_with("<html"),
        }
    }

    /// Status and body on the left, one reason on the right.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn every_refusal_has_one_reason() {
        let bearer = (
            "www-authenticate",
            "Bearer resource_metadata=\"https://h/x\"",
        );
        let scope = (
            "www-authenticate",
            "Bearer error=\"insufficient_scope\", scope=\"a\"",
        );
        let open = Situation {
            step: Step::ToolsList,
            has_credential: false,
            has_session: false,
        };
        let session = Situation {
            has_session: true,
            ..open
        };
        let keyed = Situation {
            has_credential: true,
            ..open
        };
        let init = Situation {
            step: Step::Initialize,
            ..open
        };
        let table = [
            (
                reply(307, &[("location", "/mcp")], None, ""),
                open,
                Reason::HttpRedirect,
            ),
            (reply(401, &[bearer], None, ""), open, Reason::AuthRequired),
            (reply(401, &[], None, ""), open, Reason::AuthMalformed),
            (
                reply(401, &[("www-authenticate", "Basic")], None, ""),
                open,
                Reason::AuthMalformed,
            ),
            (
                reply(401, &[bearer], None, ""),
                keyed,
                Reason::AuthTokenRejected,
            ),
            (reply(403, &[scope], None, ""), keyed, Reason::AuthScope),
            (
                reply(403, &[("cf-mitigated", "challenge")], None, ""),
                open,
                Reason::WafChallenge,
            ),
            (
                reply(403, &[], None, "<html>denied"),
                open,
                Reason::WafChallenge,
            ),
            (
                reply(403, &[], None, "Invalid Origin"),
                open,
                Reason::Forbidden,
            ),
            (
                reply(429, &[], Some(-32004), "slow"),
                open,
                Reason::RateLimited,
            ),
            (
                reply(503, &[("retry-after", "9")], None, ""),
                open,
                Reason::RateLimited,
            ),
            (reply(503, &[], None, ""), open, Reason::Upstream5xx),
            (reply(502, &[], None, "<html>"), open, Reason::Upstream5xx),
            (
                reply(500, &[], Some(-32603), "Internal"),
                open,
                Reason::Server5xx,
            ),
            (reply(999, &[], None, "Denied"), open, Reason::Server5xx),
            (reply(404, &[], None, "<html>"), open, Reason::NotFound),
            (reply(405, &[], None, ""), open, Reason::NotFound),
            (
                reply(404, &[], Some(-32601), "Method not found"),
                open,
                Reason::McpRpcError,
            ),
            (
                reply(404, &[], Some(-32600), "Session not found"),
                session,
                Reason::McpSessionLost,
            ),
            (reply(404, &[], None, ""), session, Reason::McpSessionLost),
            (
                reply(400, &[], Some(-32000), "No valid session ID"),
                session,
                Reason::McpSessionLost,
            ),
            (
                reply(400, &[], Some(-32600), "Missing session ID"),
                open,
                Reason::McpSessionRequired,
            ),
            (
                reply(400, &[], Some(-32020), "Header mismatch"),
                open,
                Reason::McpHeaderMismatch,
            ),
            (
                reply(400, &[], Some(-32021), ""),
                open,
                Reason::McpCapabilityRequired,
            ),
            (
                reply(400, &[], Some(-32022), ""),
                open,
                Reason::McpVersionUnsupported,
            ),
            (
                reply(400, &[], Some(-32602), "bad"),
                init,
                Reason::McpInitRejected,
            ),
            (
                reply(406, &[], None, "Not Acceptable"),
                open,
                Reason::Client4xx,
            ),
        ];
        for (reply, situation, reason) in table {
            let fault = of_status(&reply, situation);
            assert_eq!(fault.reason, reason, "{}", fault.detail);
        }
    }
}
