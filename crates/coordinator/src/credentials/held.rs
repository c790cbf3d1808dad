//! One credential, and where its renewal stands.

use auth::renewal::{Ms, Renewal};
use aws_lc_rs::digest::{SHA256, digest};
use model::Monitor;

use super::entry::Entry;
use super::means::{self, Lacking, Means};
use super::view::Seen;

/// A credential, and where its renewal stands.
pub(super) struct Held {
    pub(super) monitor: Monitor,
    pub(super) entry: Entry,
    /// What the store has.
    pub(super) bytes: Option<Vec<u8>>,
    /// What tokens are asked for with, where that was given and can be used.
    pub(super) means: Option<Means>,
    /// What cannot be used, and since when.
    unfit: Option<(String, Ms)>,
    pub(super) renewal: Renewal,
    /// Tells answers of this credential from those of the one before.
    pub(super) life: u64,
}

impl Held {
    /// For a monitor, with what is kept of its credential.
    pub(super) fn new(
        monitor: Monitor,
        entry: Entry,
        bytes: Option<Vec<u8>>,
        life: u64,
        at: Ms,
    ) -> Self {
        let authorization = monitor.spec.authorization.as_ref();
        let whole = authorization.map(|authorization| entry.given.over(authorization));
        let read = match &whole {
            Some(whole) => means::read(whole, &monitor.spec.url),
            None => Err(Lacking::NotGiven),
        };
        let (means, unfit) = match read {
            Ok(means) => (Some(means), None),
            Err(Lacking::NotGiven) => (None, None),
            Err(Lacking::Unfit(field, problem)) => {
                (None, Some((format!("authorization.{field} {problem}"), at)))
            }
        };
        let of_means = || means.as_ref().map(|means| means.record(at));
        let record = entry.record.clone().or_else(of_means).unwrap_or_default();
        // Without anything to ask with, it rests like a user who has not signed in.
        let is_user = means.as_ref().is_none_or(Means::is_user);
        let renewal = Renewal::new(record, is_user, salt(monitor.id.as_str()), at);
        Self {
            monitor,
            entry,
            bytes,
            means,
            unfit,
            renewal,
            life,
        }
    }

    /// How it stands.
    pub(super) fn seen(&self) -> Option<Seen> {
        let authorization = self.monitor.spec.authorization.as_ref()?;
        Some(Seen {
            grant: authorization.grant,
            unfit: self.unfit.clone(),
            record: self.renewal.record().clone(),
            trouble: self.renewal.trouble().cloned(),
            secret_ends_at: self.means.as_ref().and_then(Means::secret_ends_at),
        })
    }
}

/// Spreads renewals: the same for a name, whoever asks.
fn salt(name: &str) -> u64 {
    let digest = digest(&SHA256, name.as_bytes());
    let first = digest.as_ref().first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}
