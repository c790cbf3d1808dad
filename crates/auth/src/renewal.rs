//! When the token of a credential is renewed, and what must be durable before it is used: a state
//! machine without clock, socket and randomness.
//!
//! ```text
//! resting ─ due ─► Ask ─► token ─► Keep ─► kept ─► resting, and the token may be used
//!                   └► refusal ─► Keep, or a pause that doubles
//! ```
//!
//! One question is under way at a time, and none while something is not durable. So a refresh token
//! that was answered with another one is never sent again, as authorization servers take that for
//! theft (RFC 9700 §4.14.2). An answer that is lost on its way (the process is killed in the very
//! moment, the connection breaks, time runs out before it is here) cannot be had again: then the old
//! token is tried, and the refusal is a finding.

mod record;

use model::Reason;
use model::credential::CredentialState;

use crate::secret::Secret;
use crate::token::{Refusal, Token};
pub use record::{Access, Record, Refused};

/// Milliseconds since the Unix epoch.
pub type Ms = u64;

/// How long before its end a token is renewed at most; short ones a quarter of their life before.
const MARGIN: Ms = 30 * 60 * 1000;
/// What a token's life is taken to be where nobody says.
const ASSUMED_LIFE: Ms = 300 * 1000;
/// The first pause after an exchange that failed, each further one is twice as long; and the least
/// time that a token is used, however short its life is.
const FIRST_PAUSE: Ms = 10 * 1000;
/// The longest pause.
const LONGEST_PAUSE: Ms = 15 * 60 * 1000;
/// The pause after a refusal that may be taken back: a client that was locked, a scope that was
/// withdrawn.
const REFUSED_PAUSE: Ms = 3600 * 1000;
/// The youngest token that is renewed because the target did not accept it; twice that after each
/// one in a row, up to [`REFUSED_PAUSE`]: a target that accepts none is not helped by another.
const REJECTED_AFTER: Ms = 60 * 1000;
/// The pause after the store failed when the end is near.
const LEAVING_PAUSE: Ms = 500;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask the authorization server for a token, with this refresh token where the credential is a
    /// user's; then [`Renewal::handle_token`] or [`Renewal::handle_refusal`].
    Ask(Option<Secret>),
    /// Make this durable; then [`Renewal::handle_kept`] or [`Renewal::handle_not_kept`].
    Keep(Record),
}

/// Why a token is not renewed at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Why.
    pub reason: Reason,
    /// What happened, escaped.
    pub detail: String,
    /// Since when.
    pub since: Ms,
}

#[derive(Debug)]
enum Phase {
    /// Nothing to do until then, or ever.
    Resting(Option<Ms>),
    /// A question is under way.
    Asking,
    /// This must be durable, and the store is asked at `due`; none while it is.
    Keeping {
        record: Box<Record>,
        due: Option<Ms>,
    },
}

/// The renewal of one credential.
#[derive(Debug)]
pub struct Renewal {
    is_user: bool,
    salt: u64,
    /// What is durable.
    record: Record,
    phase: Phase,
    trouble: Option<Trouble>,
    /// Exchanges that failed in a row.
    failures: u32,
    /// How often the store failed in a row.
    unkept: u32,
    /// When the token came that the target did not accept last.
    rejected: Option<Ms>,
    /// Tokens in a row that were renewed because the target did not accept them.
    rejections: u32,
    /// Nothing is asked any more.
    is_leaving: bool,
}

impl Renewal {
    /// For a credential whose `record` is durable. `salt` spreads renewals that would fall together;
    /// `is_user` says that the credential is a user's tokens, and not a client's own.
    #[must_use]
    pub fn new(record: Record, is_user: bool, salt: u64, now: Ms) -> Self {
        let mut renewal = Self {
            is_user,
            salt,
            record,
            phase: Phase::Resting(None),
            trouble: None,
            failures: 0,
            unkept: 0,
            rejected: None,
            rejections: 0,
            is_leaving: false,
        };
        renewal.rest(now);
        renewal
    }

    /// What is durable.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The token to use: one that is durable, good or not.
    #[must_use]
    pub const fn access(&self) -> Option<&Access> {
        self.record.access.as_ref()
    }

    /// Why the token is not renewed at the moment, if it is not.
    #[must_use]
    pub const fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Whether an answer is awaited, or is not durable yet.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Resting(_))
    }

    /// How the credential stands.
    #[must_use]
    pub fn state(&self, now: Ms) -> CredentialState {
        self.record.state(self.trouble.is_some(), now)
    }

    /// What to do now, if anything.
    pub fn poll_command(&mut self, now: Ms) -> Option<Command> {
        match &mut self.phase {
            Phase::Resting(Some(due)) if *due <= now && !self.is_leaving => {
                self.phase = Phase::Asking;
                if self.rejected.is_none() || self.rejected != self.got_at() {
                    self.rejections = 0; // this one was good
                }
                Some(Command::Ask(self.record.refresh.clone()))
            }
            Phase::Keeping { record, due } if due.is_some_and(|due| due <= now) => {
                *due = None;
                Some(Command::Keep((**record).clone()))
            }
            Phase::Resting(_) | Phase::Asking | Phase::Keeping { .. } => None,
        }
    }

    /// When there will be something to do.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Ms> {
        match &self.phase {
            Phase::Resting(_) if self.is_leaving => None,
            Phase::Resting(due) | Phase::Keeping { due, .. } => *due,
            Phase::Asking => None,
        }
    }

    /// A token came.
    pub fn handle_token(&mut self, token: Token, now: Ms) {
        let Phase::Asking = self.phase else {
            return; // an answer to nothing
        };
        (self.failures, self.trouble) = (0, None);
        // A token of no life at all would be none: whoever says so does not know.
        let life = token.life.map(millis).filter(|life| *life > 0);
        let access = Access {
            token: token.access,
            got_at: now,
            ends_at: life.map(|life| now.saturating_add(life)),
        };
        // RFC 6749 §6: without a new one, the old refresh token stays. A client's own credential has
        // none, whatever the server sends (§4.4.3).
        let refresh = token.refresh.filter(|_| self.is_user);
        self.keep(
            Record {
                refresh: refresh.or_else(|| self.record.refresh.clone()),
                access: Some(access),
                refused: None,
            },
            now,
        );
    }

    /// No token came.
    pub fn handle_refusal(&mut self, refusal: Refusal, now: Ms) {
        let Phase::Asking = self.phase else {
            return;
        };
        let mut record = self.record.clone();
        // The old one is used up by now, whatever else the answer was.
        let refresh = refusal.refresh.filter(|_| self.is_user);
        let is_rotated = refresh.is_some() && refresh != record.refresh;
        record.refresh = refresh.or(record.refresh);
        if refusal.reason != Reason::AuthCredentialRefused {
            self.failures = self.failures.saturating_add(1);
            let since = self.trouble.as_ref().map_or(now, |known| known.since);
            self.trouble = Some(Trouble {
                reason: refusal.reason,
                detail: refusal.detail,
                since,
            });
            if is_rotated {
                self.keep(record, now);
            } else {
                self.rest(now);
            }
            return;
        }
        (self.failures, self.trouble) = (0, None);
        let known = self.record.refused.as_ref();
        let refused = Refused {
            reason: refusal.reason,
            detail: refusal.detail,
            since: known.map_or(now, |known| known.since),
            // What the client itself may have is the operator's to change at any time.
            is_final: refusal.is_final && self.is_user && !is_rotated,
        };
        record.refused = Some(refused);
        if record == self.record {
            self.rest(now);
        } else {
            self.keep(record, now);
        }
    }

    /// What [`Command::Keep`] had is durable.
    pub fn handle_kept(&mut self, now: Ms) {
        let phase = std::mem::replace(&mut self.phase, Phase::Resting(None));
        if let Phase::Keeping { record, .. } = phase {
            self.record = *record;
            self.unkept = 0;
            self.rest(now);
        } else {
            self.phase = phase;
        }
    }

    /// What [`Command::Keep`] had is not durable: it is tried again.
    pub fn handle_not_kept(&mut self, now: Ms) {
        let pause = if self.is_leaving {
            LEAVING_PAUSE
        } else {
            self.pause(self.unkept.saturating_add(1))
        };
        if let Phase::Keeping { due, .. } = &mut self.phase {
            self.unkept = self.unkept.saturating_add(1);
            *due = Some(now.saturating_add(pause));
        }
    }

    /// The credential is another one: a token is asked for with it, while the old one is used.
    pub fn handle_replaced(&mut self, now: Ms) {
        if self.may_ask()
            && let Phase::Resting(due) = &mut self.phase
        {
            *due = Some(now);
        }
    }

    /// The target did not accept the token of a probe that began at `began`, although the token has
    /// not ended: a new one is asked for, once for each token.
    pub fn handle_rejected(&mut self, began: Ms, now: Ms) {
        let Some(got_at) = self.got_at() else {
            return;
        };
        // Who pauses already goes on pausing.
        let is_troubled = self.failures > 0 || self.record.refused.is_some();
        if began < got_at || is_troubled || !self.may_ask() {
            return;
        }
        self.rejected = Some(got_at);
        let least = (REJECTED_AFTER << self.rejections.min(16)).min(REFUSED_PAUSE);
        let is_young = began - got_at < least;
        if let Phase::Resting(due) = &mut self.phase
            && due.is_none_or(|due| due > now)
            && !is_young
        {
            self.rejections = self.rejections.saturating_add(1);
            *due = Some(now);
        }
    }

    /// The end is near: nothing is asked any more, and what is not durable is tried at once.
    pub fn handle_leaving(&mut self, now: Ms) {
        self.is_leaving = true;
        if let Phase::Keeping { due: Some(due), .. } = &mut self.phase {
            *due = now;
        }
    }

    fn got_at(&self) -> Option<Ms> {
        self.record.access.as_ref().map(|access| access.got_at)
    }

    /// Whether there is anything to ask with.
    fn may_ask(&self) -> bool {
        let refused = self.record.refused.as_ref();
        let is_over = refused.is_some_and(|refused| refused.is_final);
        !is_over && (!self.is_user || self.record.refresh.is_some())
    }

    fn keep(&mut self, record: Record, now: Ms) {
        self.phase = Phase::Keeping {
            record: Box::new(record),
            due: Some(now),
        };
    }

    fn rest(&mut self, now: Ms) {
        let due = if !self.may_ask() {
            None
        } else if self.failures > 0 {
            Some(now.saturating_add(self.pause(self.failures)))
        } else if self.record.refused.is_some() {
            Some(now.saturating_add(self.less(REFUSED_PAUSE)))
        } else {
            Some(
                self.record
                    .access
                    .as_ref()
                    .map_or(now, |access| self.due(access)),
            )
        };
        self.phase = Phase::Resting(due);
    }

    /// When to renew a token: ahead of its end, not all at once, and not again and again.
    fn due(&self, access: &Access) -> Ms {
        let assumed = access.got_at.saturating_add(ASSUMED_LIFE);
        let end = access.ends_at.unwrap_or(assumed);
        let margin = MARGIN.min(end.saturating_sub(access.got_at) / 4);
        let spread = self.part(margin / 2, access.got_at);
        let due = end.saturating_sub(margin + spread);
        if end <= access.got_at {
            return due; // it had ended when it was given
        }
        due.max(access.got_at.saturating_add(FIRST_PAUSE))
    }

    /// The pause after so many failures in a row.
    fn pause(&self, failures: u32) -> Ms {
        let doubled = failures.saturating_sub(1).min(16);
        let pause = FIRST_PAUSE << doubled;
        self.less(pause.min(LONGEST_PAUSE))
    }

    /// A time, up to a quarter less.
    fn less(&self, time: Ms) -> Ms {
        time - self.part(time / 4, u64::from(self.failures))
    }

    /// A part of a time, up to all of it: always the same for salt and number.
    fn part(&self, time: Ms, number: u64) -> Ms {
        // SplitMix64's finaliser: enough for what only has to be spread.
        let mut mixed = self.salt ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % time.saturating_add(1)
    }
}

fn millis(life: std::time::Duration) -> Ms {
    u64::try_from(life.as_millis()).unwrap_or(Ms::MAX)
}

#[cfg(test)]
mod tests;
