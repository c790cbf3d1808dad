//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once. SIGHUP, where a
//! daemon has a use for it.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit status after SIGINT, as shells count it.
pub const INTERRUPTED: u8 = 130;

/// A token that is cancelled by the first SIGINT or SIGTERM. The second one ends the process.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn shutdown() -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let fired = token.clone();
    tokio::spawn(async move {
        let mut wait = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        wait().await;
        tracing::info!("shutting down; a second signal ends at once");
        fired.cancel();
        wait().await;
        #[expect(
            clippy::disallowed_methods,
            reason = "the second signal must not wait for anyone"
        )]
        std::process::exit(i32::from(INTERRUPTED));
    });
    Ok(token)
}

/// SIGHUP, which asks a daemon to read its files anew. Once there is one of these, it ends the process
/// no more.
#[derive(Debug)]
pub struct Hangup(Signal);

impl Hangup {
    /// Listens for the signal.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub fn listen() -> std::io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one; those that come together count once.
    pub async fn recv(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime delivers no more.
            std::future::pending::<()>().await;
        }
    }
}
