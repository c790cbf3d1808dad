//! What is known of a credential: what must survive a crash.

use model::Reason;
use model::credential::CredentialState;

use super::Ms;
use crate::secret::Secret;

/// An access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The token.
    pub token: Secret,
    /// When it came.
    pub got_at: Ms,
    /// When it ends, where that is known.
    pub ends_at: Option<Ms>,
}

/// That the authorization server does not accept the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why, of class `refused`.
    pub reason: Reason,
    /// What it said, escaped.
    pub detail: String,
    /// Since when.
    pub since: Ms,
    /// Whether asking again is of no use.
    pub is_final: bool,
}

/// What must survive a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The token to renew with, of a user's credential.
    pub refresh: Option<Secret>,
    /// The token that is in use.
    pub access: Option<Access>,
    /// Whether there will be no other.
    pub refused: Option<Refused>,
}

impl Record {
    /// How a credential stands of which this is known, and whether renewing it is in trouble.
    #[must_use]
    pub fn state(&self, is_troubled: bool, now: Ms) -> CredentialState {
        if self.refused.is_some() {
            return CredentialState::Refused;
        }
        let Some(access) = &self.access else {
            return CredentialState::NotYet;
        };
        if access.ends_at.is_some_and(|end| end <= now) {
            CredentialState::Expired
        } else if is_troubled {
            CredentialState::Expiring
        } else {
            CredentialState::Ok
        }
    }
}
