//! How a monitor's credential stands, and the wall that it opens.

crate::closed_words! {
    /// How a monitor's credential stands.
    pub enum CredentialState ("credential state") {
        /// It is good, as far as is known.
        Ok = "ok",
        /// It ends within 14 days, or its token cannot be renewed at the moment.
        Expiring = "expiring",
        /// It has ended.
        Expired = "expired",
        /// The authorization server does not accept it.
        Refused = "refused",
        /// There is no token yet.
        NotYet = "not_yet",
    }
}

crate::closed_words! {
    /// How urgent the end of a credential is: the margins of the check `auth.expiry`.
    pub enum ExpiryWarning ("expiry warning") {
        /// It is less than 14 days ahead.
        Note = "note",
        /// It is less than 72 hours ahead, or past.
        Degrade = "degrade",
    }
}

/// Seconds ahead of a credential's end at which it is a note: 14 days.
pub const NOTE_SECONDS: i64 = 14 * 24 * 3600;
/// Seconds ahead of a credential's end at which it degrades: 72 hours.
pub const DEGRADE_SECONDS: i64 = 72 * 3600;

impl ExpiryWarning {
    /// The warning about an end, both in seconds since the Unix epoch.
    #[must_use]
    pub const fn about(ends_at: i64, now: i64) -> Option<Self> {
        match ends_at.saturating_sub(now) {
            ..DEGRADE_SECONDS => Some(Self::Degrade),
            DEGRADE_SECONDS..NOTE_SECONDS => Some(Self::Note),
            _ => None,
        }
    }
}

crate::closed_words! {
    /// What somebody without a credential meets at a target.
    pub enum WallState ("wall state") {
        /// A wall that says how to get in: challenge and metadata are right.
        Healthy = "healthy",
        /// A wall that does not say how to get in, or says it wrongly.
        Malformed = "malformed",
        /// No wall: strangers are served.
        Open = "open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_warned_of_fourteen_days_and_seventy_two_hours_ahead() {
        let day = 24 * 3600;
        for (left, warning) in [
            (14 * day, None),
            (14 * day - 1, Some(ExpiryWarning::Note)),
            (3 * day, Some(ExpiryWarning::Note)),
            (3 * day - 1, Some(ExpiryWarning::Degrade)),
            (0, Some(ExpiryWarning::Degrade)),
            (-day, Some(ExpiryWarning::Degrade)),
        ] {
            assert_eq!(ExpiryWarning::about(1_000_000 + left, 1_000_000), warning);
        }
    }
}
