//! Surfaces on their way in, part by part.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;

use rpc::v1;

/// Surfaces that come in parts at the same time; the one that began first makes room, and is asked for
/// again.
pub(super) const MAX_COMING: usize = 32;

/// Which surface, of which monitor, and who hands it in because it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) monitor: String,
    pub(crate) fingerprint: String,
    pub(crate) agent: String,
}

/// A surface that comes in parts.
#[derive(Debug)]
pub(super) struct Coming {
    from: Place,
    parts: Vec<Option<Vec<u8>>>,
}

/// A surface that has come, unread.
#[derive(Debug)]
pub(crate) struct Come {
    pub(crate) from: Place,
    pub(crate) packed: Vec<u8>,
}

/// What waits for `contracts`.
#[derive(Debug, Default)]
pub(in crate::board) struct Contracts {
    pub(super) changed: BTreeSet<String>,
    /// The monitor that was looked after last: those after it are next.
    last: String,
    /// One of a monitor: that which was asked for last.
    pub(super) coming: VecDeque<Coming>,
    pub(super) come: VecDeque<Come>,
}

impl Contracts {
    /// The next monitor that is to be looked after. Each has its turn, however often another changes.
    pub(super) fn next_changed(&mut self) -> Option<String> {
        let after = (Bound::Excluded(&self.last), Bound::Unbounded);
        let mut next = self.changed.range::<String, _>(after);
        let next = next.next().or_else(|| self.changed.first()).cloned()?;
        self.changed.remove(&next);
        self.last.clone_from(&next);
        Some(next)
    }

    /// Takes a part; whether it was the last that was missing.
    pub(super) fn take(
        &mut self,
        from: Place,
        record: v1::SurfacePart,
        whole: usize,
        part: usize,
    ) -> bool {
        // One that says another number of parts begins anew.
        let is_it = |coming: &Coming| coming.from == from && coming.parts.len() == whole;
        let at = self.coming.iter().position(is_it).unwrap_or_else(|| {
            self.coming
                .retain(|coming| coming.from.monitor != from.monitor);
            if self.coming.len() >= MAX_COMING {
                self.coming.pop_front();
            }
            self.coming.push_back(Coming {
                from,
                parts: vec![None; whole],
            });
            self.coming.len() - 1
        });
        let Some(coming) = self.coming.get_mut(at) else {
            return false;
        };
        if let Some(place) = coming.parts.get_mut(part) {
            *place = Some(record.data);
        }
        if coming.parts.iter().any(Option::is_none) {
            return false;
        }
        let Some(coming) = self.coming.remove(at) else {
            return false;
        };
        if self.come.len() >= MAX_COMING {
            self.come.pop_front();
        }
        self.come.push_back(Come {
            from: coming.from,
            packed: coming.parts.into_iter().flatten().flatten().collect(),
        });
        true
    }

    /// A monitor is gone.
    pub(in crate::board) fn remove(&mut self, monitor: &str) {
        self.changed.remove(monitor);
        self.coming.retain(|coming| coming.from.monitor != monitor);
        self.come.retain(|come| come.from.monitor != monitor);
    }
}
