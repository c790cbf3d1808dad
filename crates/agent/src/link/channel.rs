//! A channel to a coordinator.

use std::sync::Arc;
use std::time::Duration;

use dial::{Alpn, Dialer, Endpoint, Origin};
use hyper_util::rt::TokioIo;
use model::TargetUrl;
use rpc::limits;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::transport::{Channel, Uri};

/// How long connecting may take.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// A channel whose connections end in `dial`, as every outgoing connection does, and speak TLS of
/// the mesh.
pub(crate) async fn connect(
    dialer: &Dialer,
    coordinator: &str,
    tls: &Arc<ClientConfig>,
) -> Result<Channel, Status> {
    let invalid = |problem: String| Status::invalid_argument(format!("coordinator: {problem}"));
    let target: Result<TargetUrl, _> = format!("http://{coordinator}/").parse();
    let target = target.map_err(|error| invalid(error.to_string()))?;
    let endpoint = Endpoint::of(&target).ok_or_else(|| invalid("no host".to_owned()))?;
    let (dialer, tls) = (dialer.clone(), TlsConnector::from(Arc::clone(tls)));
    let connector = tower::service_fn(move |_: Uri| {
        let (dialer, endpoint, tls) = (dialer.clone(), endpoint.clone(), tls.clone());
        async move {
            // The operator's own setting, or the token, names the coordinator.
            let dialed = dialer
                .dial(&endpoint, Origin::Operator, Alpn::Any, &[], &|_| {})
                .await;
            let failed = |text: String| std::io::Error::other(text);
            let connection =
                dialed.map_err(|error| failed(format!("{}: {}", error.reason, error.detail)))?;
            let name =
                ServerName::try_from(rpc::COORDINATOR_NAME).map_err(std::io::Error::other)?;
            let shaken = tls.connect(name, connection.io).await;
            shaken
                .map(TokioIo::new)
                .map_err(|error| failed(format!("TLS: {error}")))
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
