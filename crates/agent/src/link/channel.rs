//! A channel to a coordinator.

use std::sync::Arc;
use std::time::Duration;

use dial::{Alpn, Dialer, Endpoint, Io, Origin, Proxy};
use hyper_util::rt::TokioIo;
use model::{Reason, TargetUrl};
use rpc::limits;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::transport::{Channel, Uri};

/// How long connecting may take.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// How long the connection beneath TLS may take: less, so that what is missing can be named.
const DIAL: Duration = Duration::from_secs(8);

/// The way to the coordinators, which is not the one to targets.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) dialer: Dialer,
    /// The proxy that the settings name.
    pub(crate) proxy: Option<Proxy>,
}

/// A channel whose connections end in `dial`, as every outgoing connection does, and speak TLS of
/// the mesh.
pub(crate) async fn connect(
    route: &Route,
    coordinator: &str,
    tls: &Arc<ClientConfig>,
) -> Result<Channel, Status> {
    let invalid = |problem: String| Status::invalid_argument(format!("coordinator: {problem}"));
    let target: Result<TargetUrl, _> = format!("http://{coordinator}/").parse();
    let target = target.map_err(|error| invalid(error.to_string()))?;
    let endpoint = Endpoint::of(&target).ok_or_else(|| invalid("no host".to_owned()))?;
    let endpoint = endpoint.through(route.proxy.clone());
    let (dialer, tls) = (route.dialer.clone(), TlsConnector::from(Arc::clone(tls)));
    let connector = tower::service_fn(move |_: Uri| {
        let (dialer, endpoint, tls) = (dialer.clone(), endpoint.clone(), tls.clone());
        async move {
            let stream = open(&dialer, &endpoint).await;
            let stream = stream.map_err(std::io::Error::other)?;
            let name =
                ServerName::try_from(rpc::COORDINATOR_NAME).map_err(std::io::Error::other)?;
            let shaken = tls.connect(name, stream).await;
            shaken
                .map(TokioIo::new)
                .map_err(|error| std::io::Error::other(format!("TLS: {error}")))
        }
    });
    let channel = Channel::from_static("http://coordinator");
    channel
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(limits::KEEPALIVE)
        .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
        .map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Status::unavailable(cause.unwrap_or_else(|| error.to_string()))
        })
}

/// The connection beneath TLS; why there is none.
async fn open(dialer: &Dialer, endpoint: &Endpoint) -> Result<Io, String> {
    // The operator's own setting, or the token, names the coordinator.
    let dialing = dialer.dial(endpoint, Origin::Operator, Alpn::Any, &[], &|_| {});
    match (tokio::time::timeout(DIAL, dialing).await, endpoint.proxy()) {
        (Ok(Ok(connection)), _) => Ok(connection.io),
        (Ok(Err(error)), _) => Err(format!("{}: {}", error.reason, error.detail)),
        (Err(_), None) => Err(format!("no connection within {DIAL:?}")),
        (Err(_), Some(proxy)) => Err(format!(
            "{}: proxy {proxy}: opened no tunnel within {DIAL:?}",
            Reason::ProxyFailed
        )),
    }
}
