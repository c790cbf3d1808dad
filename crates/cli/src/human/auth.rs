//! What a wall looks like, and who opened it, in a line.

use model::Report;
use model::report::{Auth, AuthState};

use crate::style::{Canvas, Tone};

/// The line about authorization, if there is something to say.
pub(super) fn render(report: &Report, canvas: Canvas) -> String {
    let Some(auth) = &report.auth else {
        return String::new();
    };
    let (text, tone) = match auth.state {
        AuthState::Authorized => (authorized(auth), Tone::Dim),
        AuthState::WalledHealthy => (walled(auth), Tone::Good),
        AuthState::WalledMalformed => (
            "auth-walled, and clients cannot find out where to get a token".to_owned(),
            Tone::Bad,
        ),
        // The conclusion says it.
        AuthState::Refused => return String::new(),
    };
    super::wrap(&text, canvas.width.saturating_sub(4), |_, line| {
        format!("   {}\n", canvas.paint(tone, line))
    })
}

fn authorized(auth: &Auth) -> String {
    let issuer = auth.issuer.as_deref().unwrap_or("the token endpoint");
    let method = auth
        .client_authentication
        .map_or_else(String::new, |method| format!(" ({method})"));
    #[expect(clippy::cast_precision_loss, reason = "shown without digits")]
    let millis = auth.total_us as f64 / 1000.0;
    format!("token of {issuer}{method} in {millis:.0} ms, beside the probe")
}

fn walled(auth: &Auth) -> String {
    let issuer = auth.issuer.as_deref().unwrap_or_default();
    let scopes = match auth.scopes.as_slice() {
        [] => String::new(),
        scopes => format!(", for {}", scopes.join(" ")),
    };
    format!("auth-walled but healthy: tokens from {issuer}{scopes}")
}
