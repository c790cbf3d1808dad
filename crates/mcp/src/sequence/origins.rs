//! Origins that must be let in or kept out (2026-07-28 transports/streamable-http, "Security
//! Warning"): the cheapest request of the era once more, with an `Origin`. The same request without
//! one was served before, so what becomes of it is the origin's doing.

use http::HeaderValue;
use http::header::ORIGIN;
use model::expect::WebOrigin;
use model::{CheckId, Transport};

use super::Sequence;
use super::strict::{Answer, Trial};

impl Sequence {
    /// One request for each origin.
    pub(super) fn prepare_origins(&mut self) {
        let demanded = self.plan.expect.origin.clone();
        let accepted = demanded.accepted.iter().map(|origin| (origin, true));
        let refused = demanded.refused.iter().map(|origin| (origin, false));
        let trials = accepted.chain(refused);
        self.trials = trials
            .filter_map(|(origin, is_wanted)| self.with_origin(origin, is_wanted))
            .collect();
    }

    fn with_origin(&mut self, origin: &WebOrigin, is_wanted: bool) -> Option<Trial> {
        let wanted = if is_wanted { "accepted" } else { "refused" };
        let what = format!("Origin {origin}, which must be {wanted}");
        let mut trial = self.good(CheckId::OriginExpected, what);
        let value = HeaderValue::from_str(origin.as_str()).ok()?;
        trial.request.headers.insert(ORIGIN, value);
        trial.is_right = if is_wanted { is_served } else { is_refused };
        // What breaks off is no proof that the origin was refused, and none that it was not.
        trial.needs_answer = is_wanted;
        if self.dialect.transport == Transport::HttpSse {
            // Whether the message is taken is all that there is to see; its answer is nobody's.
            trial.id = None;
        }
        Some(trial)
    }
}

/// Legacy servers need not know `ping`.
fn is_served(answer: &Answer<'_>) -> bool {
    (200..300).contains(&answer.status) && (!answer.is_error() || answer.has(-32601))
}

/// 403 is what the specification wants; older SDKs say 400 or 421.
fn is_refused(answer: &Answer<'_>) -> bool {
    (400..500).contains(&answer.status) && answer.status != 408
}
