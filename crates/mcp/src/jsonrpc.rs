//! JSON-RPC 2.0 messages as a prober meets them.

use serde_json::{Map, Value};

use model::json;

/// A message, or what passes for one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// An answer.
    Response(Response),
    /// A request of the server, which a client must answer.
    Request { id: Value, method: String },
    /// A notification of the server.
    Notification { method: String, params: Value },
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Response {
    /// The id; `None` where it is absent or null, as in answers to unreadable requests.
    pub(crate) id: Option<Value>,
    /// The result or the error.
    pub(crate) outcome: Result<Value, RpcError>,
    /// Rules of the envelope that the answer bends without becoming unreadable.
    pub(crate) bent: Option<&'static str>,
}

/// The error of a response.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RpcError {
    pub(crate) code: Option<i64>,
    pub(crate) message: String,
    pub(crate) data: Value,
}

/// Why bytes are no JSON-RPC message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// Not JSON at all, or nested deeper than 128 levels.
    Json,
    /// JSON with too many values to be an honest answer.
    TooLarge,
    /// JSON of something else than JSON-RPC 2.0; what is missing.
    Foreign(&'static str),
    /// It says that it is JSON-RPC 2.0, but is no message of it; what is wrong.
    Envelope(&'static str),
}

/// The messages of a body: one, or several where a server wrapped them in an array.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) messages: Vec<Message>,
    pub(crate) is_batch: bool,
    pub(crate) has_bom: bool,
}

/// Reads a body.
pub(crate) fn parse(bytes: &[u8]) -> Result<Body, Invalid> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf");
    let has_bom = text.is_some();
    let value = json::parse(text.unwrap_or(bytes)).map_err(|refused| match refused {
        json::Refused::Syntax => Invalid::Json,
        json::Refused::TooLarge => Invalid::TooLarge,
    })?;
    let is_batch = value.is_array();
    let items = if let Value::Array(items) = value {
        items
    } else {
        vec![value]
    };
    if items.is_empty() {
        return Err(Invalid::Foreign("an empty array"));
    }
    Ok(Body {
        messages: items.into_iter().map(message).collect::<Result<_, _>>()?,
        is_batch,
        has_bom,
    })
}

/// Classifies one JSON value.
pub(crate) fn message(value: Value) -> Result<Message, Invalid> {
    let Value::Object(mut object) = value else {
        return Err(Invalid::Foreign("not an object"));
    };
    if object.get("jsonrpc") != Some(&Value::from("2.0")) {
        return Err(Invalid::Foreign("no `jsonrpc: \"2.0\"`"));
    }
    let id = object.remove("id").filter(|id| !id.is_null());
    if let Some(Value::String(method)) = object.get("method") {
        let method = method.clone();
        return Ok(match id {
            Some(id) => Message::Request { id, method },
            None => Message::Notification {
                method,
                params: object.remove("params").unwrap_or_default(),
            },
        });
    }
    response(id, object)
}

fn response(id: Option<Value>, mut object: Map<String, Value>) -> Result<Message, Invalid> {
    let result = object.remove("result");
    let error = object.remove("error").filter(|error| !error.is_null());
    let (outcome, bent) = match (result, error) {
        (Some(Value::Null), Some(error)) => {
            let (error, _) = rpc_error(error);
            (Err(error), Some("`result: null` beside `error`"))
        }
        (Some(_), Some(_)) => return Err(Invalid::Envelope("both `result` and `error`")),
        (None, None) => return Err(Invalid::Envelope("neither `result` nor `error`")),
        (Some(result), None) => (Ok(result), None),
        (None, Some(error)) => {
            let (error, bent) = rpc_error(error);
            (Err(error), bent)
        }
    };
    Ok(Message::Response(Response { id, outcome, bent }))
}

fn rpc_error(error: Value) -> (RpcError, Option<&'static str>) {
    let code = error.get("code").and_then(Value::as_i64);
    let message = error.get("message").and_then(Value::as_str);
    let bent = match (code, message) {
        (None, _) => Some("the error has no integer `code`"),
        (_, None) => Some("the error has no `message`"),
        (Some(_), Some(_)) => None,
    };
    let error = RpcError {
        code,
        message: message.unwrap_or_default().to_owned(),
        data: error.get("data").cloned().unwrap_or_default(),
    };
    (error, bent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Result<Message, Invalid> {
        parse(text.as_bytes()).map(|body| body.messages.into_iter().next().expect("one message"))
    }

    #[test]
    fn messages_are_told_apart() {
        let ok = one(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        assert!(matches!(
            ok,
            Ok(Message::Response(Response {
                outcome: Ok(_),
                bent: None,
                ..
            }))
        ));
        let ping = one(r#"{"jsonrpc":"2.0","id":"s1","method":"ping"}"#);
        assert!(matches!(ping, Ok(Message::Request { method, .. }) if method == "ping"));
        let note = one(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#);
        assert!(
            matches!(note, Ok(Message::Notification { method, .. }) if method == "notifications/message")
        );
    }

    #[test]
    fn errors_keep_their_code_also_when_bent() {
        let text =
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no"},"result":null}"#;
        let Ok(Message::Response(response)) = one(text) else {
            panic!("a response")
        };
        assert_eq!(
            (response.id, response.bent),
            (None, Some("`result: null` beside `error`"))
        );
        assert_eq!(response.outcome.unwrap_err().code, Some(-32000));
        let text = r#"{"jsonrpc":"2.0","id":1,"error":{"code":"E1"}}"#;
        let Ok(Message::Response(response)) = one(text) else {
            panic!("a response")
        };
        assert_eq!(response.bent, Some("the error has no integer `code`"));
    }

    #[test]
    fn what_is_no_message_says_why() {
        let table = [
            ("<html>", Invalid::Json),
            ("[]", Invalid::Foreign("an empty array")),
            ("\"x\"", Invalid::Foreign("not an object")),
            (
                r#"{"id":1,"result":{}}"#,
                Invalid::Foreign("no `jsonrpc: \"2.0\"`"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1}"#,
                Invalid::Envelope("neither `result` nor `error`"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
                Invalid::Envelope("both `result` and `error`"),
            ),
        ];
        for (text, invalid) in table {
            assert_eq!(one(text), Err(invalid), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(one(&deep), Err(Invalid::Json));
    }

    #[test]
    fn batch_and_byte_order_mark_are_seen() {
        let body = parse(b"\xef\xbb\xbf[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}]").unwrap();
        assert!(body.is_batch && body.has_bom);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
