//! A small HTTP client for addresses on this machine: JSON, a connection a request.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer: the log of a monitor that changed for weeks.
const MAX_BODY: usize = 16 << 20;

/// A client of one server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    key: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// A body that is no JSON is a string.
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer that says that all went well.
    pub(crate) fn ok(self, what: &str) -> anyhow::Result<Value> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let detail = match (self.body.as_str(), self.body["errors"].as_array()) {
            (Some(text), _) => text.to_owned(),
            // The fields that are wrong say more than that some are.
            (None, Some(_)) => self.body["errors"].to_string(),
            (None, None) => self.body["detail"].as_str().unwrap_or_default().to_owned(),
        };
        anyhow::bail!("{what}: {} {detail}", self.status)
    }
}

impl Client {
    /// A client of the server at `address`, with a key if it wants one.
    pub(crate) const fn new(address: SocketAddr, key: Option<String>) -> Self {
        Self { address, key }
    }

    /// Asks, and takes the answer, whatever its status.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let named = || format!("{method} http://{}{path}", self.address);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::HOST, self.address.to_string());
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(body)?)
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes)).with_context(named)?;
        let answered = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        answered
            .map_err(|_| anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs()))
            .flatten()
            .with_context(named)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY);
            let body = body.collect().await.map_err(anyhow::Error::from_boxed)?;
            let bytes = body.to_bytes();
            let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
            Ok(Answer { status, body })
        };
        // The connection is driven as long as the exchange takes, and no longer.
        tokio::pin!(connection, exchange);
        let mut is_open = true;
        loop {
            tokio::select! {
                answer = &mut exchange => return answer,
                _ = &mut connection, if is_open => is_open = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::listen;

    #[tokio::test]
    async fn answers_are_taken_and_refusals_explained() {
        let echo = |headers: http::HeaderMap, body: Bytes| async move {
            let key = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
            format!("{{\"key\":\"{key}\",\"length\":{}}}", body.len())
        };
        let refuse = || async {
            let problem =
                json!({ "detail": "fields are wrong", "errors": [{ "pointer": "/url" }] });
            (StatusCode::UNPROCESSABLE_ENTITY, problem.to_string())
        };
        let router = axum::Router::new()
            .route("/echo", axum::routing::put(echo))
            .route("/refuse", axum::routing::get(refuse));
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let listening = listen::serve(bind, None, router).await.unwrap();
        let client = Client::new(listening.address, Some("plxk_1".to_owned()));
        let answer = client.call(Method::PUT, "/echo", Some(&json!({}))).await;
        let body = answer.unwrap().ok("echo").unwrap();
        assert_eq!(body, json!({ "key": "Bearer plxk_1", "length": 2 }));
        let answer = client.call(Method::GET, "/refuse", None).await.unwrap();
        let error = answer.ok("monitor").unwrap_err().to_string();
        assert!(error.starts_with("monitor: 422"), "{error}");
        assert!(error.contains("/url"), "{error}");
        drop(listening);
    }
}
