//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
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
