//! Which era a server speaks: the negotiation rule (2026-07-28 basic/versioning and
//! transports/streamable-http, "Backward Compatibility").

use model::{Era, Revision};
use serde_json::Value;

use crate::jsonrpc::RpcError;
use crate::reply::Reply;

/// What an answer to `server/discover` says about the era.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Discovered {
    /// A valid result that lists a modern revision we know.
    Modern(Revision),
    /// -32022 that lists a modern revision we know: ask again with it, once.
    AskAgain(Revision),
    /// Modern, but our request was altered on the way or is not welcome: no fallback.
    ModernRefused,
    /// Modern, with no revision that we know.
    ModernUnknown,
    /// Evidence of a legacy server; the revision to offer it.
    Legacy(Revision),
    /// The answer came from something before MCP: no evidence of any era.
    Silent,
    /// The server failed on the question: some legacy servers do.
    Unclear,
}

/// Reads the answer to `server/discover`.
pub(crate) fn of_discover(reply: &Reply) -> Discovered {
    if let Some(error) = rpc_error(reply) {
        match error.code {
            Some(-32022) => return of_unsupported(error),
            Some(-32020 | -32021) => return Discovered::ModernRefused,
            _ => {}
        }
    }
    match reply.head.status.as_u16() {
        401 | 403 | 429 | 300..=399 => Discovered::Silent,
        503 if reply.head.header("retry-after").is_some() => Discovered::Silent,
        500.. => Discovered::Unclear,
        200..=299 => of_result(reply),
        _ => Discovered::Legacy(Revision::NEWEST_LEGACY),
    }
}

/// What to do when `initialize` was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server is modern after all.
    SwitchToModern,
    /// The server named an older revision instead of negotiating: offer it, once.
    Offer(Revision),
    /// Perhaps the 2024-11-05 transport: look for its stream.
    TryStream,
    /// It is what it is.
    Final,
}

/// Reads a refusal of `initialize` that offered `offered`.
pub(crate) fn of_initialize(reply: &Reply, offered: Revision) -> Refused {
    if let Some(error) = rpc_error(reply) {
        let listed = revisions(error.data.get("supported"));
        if error.code == Some(-32022) && listed.iter().any(|r| r.era() == Era::Modern) {
            return Refused::SwitchToModern;
        }
        if matches!(error.code, Some(-32020)) {
            return Refused::SwitchToModern;
        }
        let other = |revisions: Vec<Revision>| {
            newest_legacy(revisions.into_iter().filter(|r| *r != offered))
        };
        let named = other(listed).or_else(|| other(named_in(&error.message)));
        let is_elsewhere = matches!(reply.head.status.as_u16(), 404 | 405);
        return match named {
            Some(revision) => Refused::Offer(revision),
            None if is_elsewhere => Refused::TryStream,
            None => Refused::Final,
        };
    }
    match reply.head.status.as_u16() {
        400 | 404 | 405 | 406 | 415 => Refused::TryStream,
        _ => Refused::Final,
    }
}

fn of_unsupported(error: &RpcError) -> Discovered {
    let listed = revisions(error.data.get("supported"));
    let modern = listed
        .iter()
        .copied()
        .filter(|r| r.era() == Era::Modern)
        .max();
    let unknown = error.data["supported"]
        .as_array()
        .is_some_and(|all| all.len() > listed.len());
    match (modern, newest_legacy(listed.iter().copied())) {
        (Some(revision), _) => Discovered::AskAgain(revision),
        (None, Some(legacy)) if !unknown => Discovered::Legacy(legacy),
        (None, _) => Discovered::ModernUnknown,
    }
}

fn of_result(reply: &Reply) -> Discovered {
    let legacy = Discovered::Legacy(Revision::NEWEST_LEGACY);
    let Some(Ok(result)) = reply.response.as_ref().map(|r| &r.outcome) else {
        return legacy;
    };
    let Some(all) = result.get("supportedVersions").and_then(Value::as_array) else {
        return legacy;
    };
    let listed = revisions(result.get("supportedVersions"));
    let modern = listed
        .iter()
        .copied()
        .filter(|r| r.era() == Era::Modern)
        .max();
    match (modern, newest_legacy(listed.iter().copied())) {
        (Some(revision), _) => Discovered::Modern(revision),
        (None, Some(legacy)) if all.len() == listed.len() => Discovered::Legacy(legacy),
        (None, _) => Discovered::ModernUnknown,
    }
}

fn rpc_error(reply: &Reply) -> Option<&RpcError> {
    reply
        .response
        .as_ref()
        .and_then(|r| r.outcome.as_ref().err())
}

fn revisions(list: Option<&Value>) -> Vec<Revision> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(Value::as_str)
        .filter_map(|text| text.parse().ok())
        .collect()
}

fn named_in(text: &str) -> Vec<Revision> {
    let known = Revision::ALL.iter().copied();
    known.filter(|r| text.contains(r.as_str())).collect()
}

fn newest_legacy(revisions: impl IntoIterator<Item = Revision>) -> Option<Revision> {
    let legacy = revisions.into_iter().filter(|r| r.era() == Era::Legacy);
    legacy.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Head;
    use crate::jsonrpc::{self, Message};
    use http::{HeaderMap, StatusCode};

    fn reply(status: u16, body: &str) -> Reply {
        let messages = jsonrpc::parse(body.as_bytes())
            .map(|b| b.messages)
            .unwrap_or_default();
        Reply {
            head: Head {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
            },
            response: messages.into_iter().find_map(|m| match m {
                Message::Response(response) => Some(response),
                Message::Request { .. } | Message::Notification { .. } => None,
            }),
            excerpt: String::new(),
            is_html: false,
        }
    }

    fn error(code: i64, data: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"m","data":{data}}}}}"#
        )
    }

    fn result(versions: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"supportedVersions":{versions}}}}}"#)
    }

    /// The table of the negotiation rule, row by row.
    #[test]
    fn discover() {
        use Discovered::{AskAgain, Legacy, Modern, ModernRefused, ModernUnknown, Silent, Unclear};
        let (modern, newest) = (Revision::V2026_07_28, Revision::V2025_11_25);
        let table = [
            (200, result(r#"["2026-07-28"]"#), Modern(modern)),
            (
                200,
                result(r#"["2024-11-05","2025-11-25","2026-07-28"]"#),
                Modern(modern),
            ),
            (
                200,
                result(r#"["2024-11-05","2025-06-18"]"#),
                Legacy(Revision::V2025_06_18),
            ),
            (200, result(r#"["2031-01-01"]"#), ModernUnknown),
            (
                200,
                r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.into(),
                Legacy(newest),
            ),
            (
                400,
                error(-32022, r#"{"supported":["2026-07-28"]}"#),
                AskAgain(modern),
            ),
            (
                400,
                error(-32022, r#"{"supported":["2031-01-01"]}"#),
                ModernUnknown,
            ),
            (
                400,
                error(-32022, r#"{"supported":["2025-03-26"]}"#),
                Legacy(Revision::V2025_03_26),
            ),
            (400, error(-32022, "null"), ModernUnknown),
            (400, error(-32020, "null"), ModernRefused),
            (400, error(-32021, "null"), ModernRefused),
            (200, error(-32601, "null"), Legacy(newest)),
            (400, error(-32000, "null"), Legacy(newest)),
            (404, error(-32601, "null"), Legacy(newest)),
            (400, error(-32602, "null"), Legacy(newest)),
            (404, "<html>".into(), Legacy(newest)),
            (405, String::new(), Legacy(newest)),
            (401, String::new(), Silent),
            (403, error(-32000, "null"), Silent),
            (429, String::new(), Silent),
            (307, String::new(), Silent),
            (500, error(-32603, "null"), Unclear),
            (502, "<html>".into(), Unclear),
            (999, String::new(), Unclear),
        ];
        for (status, body, expected) in table {
            assert_eq!(
                of_discover(&reply(status, &body)),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn initialize() {
        use Refused::{Final, Offer, SwitchToModern, TryStream};
        let named = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unsupported protocol version 2025-11-25 (supported: 2024-11-05, 2025-03-26)"}}"#;
        let table = [
            (
                400,
                error(-32022, r#"{"supported":["2026-07-28"]}"#),
                SwitchToModern,
            ),
            (400, error(-32020, "null"), SwitchToModern),
            (
                200,
                error(-32602, r#"{"supported":["2025-06-18"]}"#),
                Offer(Revision::V2025_06_18),
            ),
            (400, error(-32602, r#"{"supported":["2025-11-25"]}"#), Final),
            (400, error(-32600, "null"), Final),
            (404, "<html>".into(), TryStream),
            (404, error(-32601, "null"), TryStream),
            (405, String::new(), TryStream),
            (500, String::new(), Final),
            (401, String::new(), Final),
        ];
        for (status, body, expected) in table {
            let reply = reply(status, &body);
            assert_eq!(
                of_initialize(&reply, Revision::V2025_11_25),
                expected,
                "{status} {body}"
            );
        }
        // The text names the offered revision too; the newest other one is what is wanted.
        assert_eq!(
            of_initialize(&reply(200, named), Revision::V2025_11_25),
            Offer(Revision::V2025_03_26)
        );
    }
}
