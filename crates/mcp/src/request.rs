//! Builds the requests of each era.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::{Era, Revision, Step, Transport};
use serde_json::{Map, Value, json};
use url::Url;

use crate::exchange::Request;
use crate::header;
use crate::plan::ClientInfo;

pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";

pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// How messages are dressed right now.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    pub(crate) era: Era,
    pub(crate) transport: Transport,
    /// The revision of modern requests, or the one that `initialize` agreed on.
    pub(crate) revision: Option<Revision>,
    pub(crate) session: Option<HeaderValue>,
    /// Where messages go.
    pub(crate) endpoint: Url,
    pub(crate) client: ClientInfo,
    /// Whether questions of tools are answered: then the capability is declared.
    pub(crate) elicits: bool,
}

impl Dialect {
    /// A request or notification of `step`. `id` is absent for notifications.
    pub(crate) fn message(
        &self,
        step: Step,
        id: Option<i64>,
        mut params: Map<String, Value>,
    ) -> Request {
        let method = step.method().unwrap_or_default();
        let name = params
            .get("name")
            .and_then(Value::as_str)
            .map(header::encode);
        if self.era == Era::Modern {
            let mut meta = self.meta();
            if let (Value::Object(all), Some(Value::Object(own))) =
                (&mut meta, params.remove("_meta"))
            {
                all.extend(own);
            }
            params.insert("_meta".to_owned(), meta);
        }
        let mut body = json!({ "jsonrpc": "2.0", "method": method });
        if let Some(id) = id {
            body["id"] = id.into();
        }
        // A notification without params is sent without the member, as every SDK does.
        if !params.is_empty() || id.is_some_and(|_| step != Step::Ping) {
            body["params"] = params.into();
        }
        let mut request = self.post(&body);
        if self.era == Era::Modern {
            request
                .headers
                .insert(METHOD, HeaderValue::from_static(method));
            if let Some(name) = name.and_then(|name| HeaderValue::from_str(&name).ok()) {
                request.headers.insert(NAME, name);
            }
        }
        if step == Step::Initialize {
            // Neither header exists before the handshake; servers reject them there.
            request.headers.remove(PROTOCOL_VERSION);
            request.headers.remove(SESSION_ID);
        }
        request
    }

    /// Params of `initialize` that offer `revision`.
    pub(crate) fn initialize_params(&self, revision: Revision) -> Map<String, Value> {
        let mut params = Map::new();
        params.insert("protocolVersion".to_owned(), revision.as_str().into());
        params.insert("capabilities".to_owned(), json!({}));
        params.insert("clientInfo".to_owned(), self.client_info());
        params
    }

    /// The client's answer to a request of the server.
    pub(crate) fn answer(&self, id: &Value, method: &str) -> Request {
        let body = if method == "ping" {
            json!({ "jsonrpc": "2.0", "id": id, "result": {} })
        } else {
            json!({ "jsonrpc": "2.0", "id": id,
                "error": { "code": -32601, "message": "this client is a monitor and offers no such method" } })
        };
        self.post(&body)
    }

    /// A notification beside the sequence.
    pub(crate) fn notification(&self, method: &'static str, params: &Value) -> Request {
        self.post(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    }

    /// The stream on which a legacy server may send messages of its own (2025-11-25 transports,
    /// "Listening for Messages from the Server").
    pub(crate) fn listen(&self) -> Request {
        let mut headers = self.headers();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        Request {
            method: Method::GET,
            url: self.endpoint.clone(),
            headers,
            body: Vec::new(),
        }
    }

    /// The rest of an event stream that closed early, from the event after `last_id` on
    /// (2025-11-25 transports, "Resumability and Redelivery").
    pub(crate) fn resume(&self, last_id: HeaderValue) -> Request {
        let mut request = self.listen();
        request.headers.insert(LAST_EVENT_ID, last_id);
        request
    }

    /// The end of the session.
    pub(crate) fn delete(&self) -> Request {
        Request {
            method: Method::DELETE,
            url: self.endpoint.clone(),
            headers: self.headers(),
            body: Vec::new(),
        }
    }

    /// The 2024-11-05 event stream.
    pub(crate) fn stream(&self) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        Request {
            method: Method::GET,
            url: self.endpoint.clone(),
            headers,
            body: Vec::new(),
        }
    }

    fn post(&self, body: &Value) -> Request {
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Request {
            method: Method::POST,
            url: self.endpoint.clone(),
            headers,
            body: body.to_string().into_bytes(),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // Both types, literally: many servers answer anything else with 406.
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        let has_header = self.revision.filter(|r| *r >= Revision::V2025_06_18);
        if let Some(revision) = has_header
            && self.transport == Transport::StreamableHttp
        {
            headers.insert(
                PROTOCOL_VERSION,
                HeaderValue::from_static(revision.as_str()),
            );
        }
        if let Some(session) = &self.session {
            headers.insert(SESSION_ID, session.clone());
        }
        headers
    }

    fn meta(&self) -> Value {
        let revision = self.revision.unwrap_or(Revision::NEWEST_MODERN);
        json!({
            META_VERSION: revision.as_str(),
            META_CAPABILITIES: if self.elicits { json!({ "elicitation": { "form": {} } }) } else { json!({}) },
            META_CLIENT: self.client_info(),
        })
    }

    fn client_info(&self) -> Value {
        json!({ "name": self.client.name, "version": self.client.version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(era: Era, revision: Option<Revision>) -> Dialect {
        Dialect {
            era,
            transport: Transport::StreamableHttp,
            revision,
            session: None,
            endpoint: "https://h/mcp".parse().unwrap(),
            client: ClientInfo {
                name: "c".into(),
                version: "1".into(),
            },
            elicits: false,
        }
    }

    /// 2026-07-28 transports/streamable-http: header equals `_meta`, Mcp-Method and Mcp-Name.
    #[test]
    fn a_modern_call_mirrors_its_body_in_headers() {
        let dialect = dialect(Era::Modern, Some(Revision::V2026_07_28));
        let params = json!({ "name": "größe", "arguments": {} });
        let request = dialect.message(
            Step::ToolsCall,
            Some(7),
            params.as_object().unwrap().clone(),
        );
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["params"]["_meta"][META_VERSION], "2026-07-28");
        assert_eq!(body["params"]["_meta"][META_CAPABILITIES], json!({}));
        assert_eq!(request.headers["mcp-protocol-version"], "2026-07-28");
        assert_eq!(request.headers["mcp-method"], "tools/call");
        assert_eq!(request.headers["mcp-name"], "=?base64?Z3LDtsOfZQ==?=");
        assert_eq!(
            request.headers["accept"],
            "application/json, text/event-stream"
        );
        assert!(!request.headers.contains_key("origin"));
    }

    /// 2025-11-25 lifecycle: `initialize` carries neither version header nor session; what follows
    /// carries both.
    #[test]
    fn the_legacy_handshake_has_no_headers_of_its_own() {
        let mut dialect = dialect(Era::Legacy, Some(Revision::V2025_11_25));
        dialect.session = Some(HeaderValue::from_static("s1"));
        let params = dialect.initialize_params(Revision::V2025_11_25);
        let request = dialect.message(Step::Initialize, Some(1), params);
        assert!(!request.headers.contains_key("mcp-protocol-version"));
        assert!(!request.headers.contains_key("mcp-session-id"));
        let request = dialect.message(Step::Initialized, None, Map::new());
        assert_eq!(request.headers["mcp-protocol-version"], "2025-11-25");
        assert_eq!(request.headers["mcp-session-id"], "s1");
        assert_eq!(
            serde_json::from_slice::<Value>(&request.body).unwrap(),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
        );
        assert_eq!(dialect.delete().headers["mcp-session-id"], "s1");
    }
}
