//! Asks a canary: a public reference that an agent should reach whatever its targets do.
//!
//! That is a name, a TCP connection and a TLS handshake whose certificate is verified; nothing is
//! sent.

use std::time::Duration;

use dial::{Alpn, Dialer, Endpoint, Origin};
use model::TargetUrl;

/// A canary that has not answered by then failed: time for one lost packet.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Asks one, `host:port`; why it did not answer.
pub(crate) async fn ask(dialer: &Dialer, canary: &str) -> Result<(), String> {
    let target: Result<TargetUrl, _> = format!("https://{canary}/").parse();
    let target = target.map_err(|error| error.to_string())?;
    let endpoint = Endpoint::of(&target).ok_or("it has no host")?;
    // The operator's own setting names it.
    let dialing = dialer.dial(&endpoint, Origin::Operator, Alpn::Http1, &[], &|_| {});
    match tokio::time::timeout(PATIENCE, dialing).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{}: {}", error.reason, error.detail)),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use dial::{AddressPolicy, DialerOptions, Family, TlsOptions};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use std::io::Write as _;
    use std::sync::Arc;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    fn dialer(roots: Option<&str>) -> Dialer {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(roots.unwrap_or_default().as_bytes())
            .unwrap();
        let extra_roots = roots.map(|_| file.path().to_owned());
        let options = DialerOptions {
            name_servers: vec!["127.0.0.1:9".parse().unwrap()],
            family: Family::Any,
            tls: TlsOptions {
                extra_roots: extra_roots.into_iter().collect(),
                ..TlsOptions::default()
            },
            policy: AddressPolicy::default(),
        };
        Dialer::new(options).unwrap()
    }

    /// A server that shakes hands: its address, and its own certificate.
    pub(crate) async fn server() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // A client that does not trust it ends the handshake.
                tokio::spawn(async move { drop(acceptor.accept(stream).await) });
            }
        });
        (address, made.cert.pem())
    }

    /// A certificate is asked for, and it must be of somebody who is trusted.
    #[tokio::test]
    async fn a_canary_answers_with_a_certificate_that_holds() {
        let (address, certificate) = server().await;
        assert_eq!(ask(&dialer(Some(&certificate)), &address).await, Ok(()));
        let problem = ask(&dialer(None), &address).await.unwrap_err();
        assert!(problem.starts_with("tls_cert_untrusted: "), "{problem}");
    }

    #[tokio::test]
    async fn what_does_not_answer_is_told_with_its_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = listener.local_addr().unwrap().to_string();
        drop(listener);
        let problem = ask(&dialer(None), &closed).await.unwrap_err();
        assert!(problem.starts_with("tcp_refused: "), "{problem}");
        let problem = ask(&dialer(None), "no host:1").await.unwrap_err();
        assert!(problem.starts_with("url: "), "{problem}");
    }
}
