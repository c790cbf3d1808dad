//! What comes of asking for a token, also where we fail.

use std::panic::AssertUnwindSafe;

use auth::{Refusal, Token};
use futures_util::FutureExt as _;
use model::Reason;

/// It is nobody's fault but ours; it is tried again.
pub(super) const fn ours(detail: String) -> Refusal {
    Refusal {
        reason: Reason::ProberInternal,
        detail,
        is_final: false,
        refresh: None,
    }
}

/// What comes of asking. A panic would leave the renewal waiting for ever: it is a refusal instead.
pub(super) async fn survived(
    ask: impl Future<Output = Result<Token, Refusal>>,
) -> Result<Token, Refusal> {
    let answer = AssertUnwindSafe(ask).catch_unwind().await;
    answer.unwrap_or_else(|_| {
        tracing::error!("asking for a token panicked");
        Err(ours("asking for a token panicked".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_while_asking_is_tried_again() {
        let answer = survived(async { panic!("boom") }).await;
        let refusal = answer.unwrap_err();
        assert_eq!(refusal.reason, Reason::ProberInternal);
        assert!(!refusal.is_final);
    }
}
