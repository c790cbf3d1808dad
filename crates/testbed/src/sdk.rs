//! A server on the official Rust SDK: an independent peer, whose parser and framing are not ours.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use crate::listen::{self, Listening};

/// A running server on the official SDK. Dropping it stops it.
#[derive(Debug)]
pub struct SdkServer {
    listening: Listening,
    scheme: &'static str,
}

impl SdkServer {
    /// Starts the server; it speaks both eras and has one tool, `echo`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(
        bind: SocketAddr,
        tls: Option<rustls::ServerConfig>,
    ) -> std::io::Result<Self> {
        // The SDK guards against DNS rebinding by the Host header; the testbed's names are many.
        let config = StreamableHttpServerConfig::default().disable_allowed_hosts();
        let sessions = Arc::new(LocalSessionManager::default());
        let service = StreamableHttpService::new(|| Ok(Echo), sessions, config);
        let router = Router::new().route_service("/mcp", service);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listening = listen::serve(bind, tls, router).await?;
        Ok(Self { listening, scheme })
    }

    /// Where the endpoint is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/mcp", self.scheme, self.listening.address)
    }
}

#[derive(Debug, Clone, Copy)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::default();
        info.capabilities = ServerCapabilities::builder().enable_tools().build();
        info.server_info = Implementation::new("parallax-testbed-sdk", "1");
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, rmcp::ErrorData> {
        let mut schema = serde_json::Map::new();
        schema.insert("type".to_owned(), "object".into());
        let echo = Tool::new("echo", "Says what it is given", Arc::new(schema));
        Ok(ListToolsResult::with_all_items(vec![echo]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, rmcp::ErrorData> {
        if request.name != "echo" {
            return Err(rmcp::ErrorData::invalid_params("unknown tool", None));
        }
        let text = serde_json::to_string(&request.arguments).unwrap_or_default();
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
