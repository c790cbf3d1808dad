//! Surfaces on their way in, part by part.

use std::collections::{BTreeSet, VecDeque};

use rpc::v1;

/// Surfaces that come in parts at the same time; the one that began first makes room, and is asked for
/// again.
pub(super) const MAX_COMING: usize = 32;

/// A surface that comes in parts.
#[derive(Debug)]
pub(super) struct Coming {
    monitor: String,
    fingerprint: String,
    parts: Vec<Option<Vec<u8>>>,
}

/// A surface that has come, unread.
#[derive(Debug)]
pub(crate) struct Come {
    pub(crate) monitor: String,
    pub(crate) fingerprint: String,
    pub(crate) packed: Vec<u8>,
}

/// What waits for `contracts`.
#[derive(Debug, Default)]
pub(in crate::board) struct Contracts {
    pub(super) changed: BTreeSet<String>,
    pub(super) coming: VecDeque<Coming>,
    pub(super) come: VecDeque<Come>,
}

impl Contracts {
    /// Takes a part; whether it was the last that was missing.
    pub(super) fn take(
        &mut self,
        monitor: String,
        fingerprint: String,
        record: v1::SurfacePart,
        whole: usize,
        part: usize,
    ) -> bool {
        let is_it = |coming: &Coming| {
            let is_same = coming.monitor == monitor && coming.fingerprint == fingerprint;
            is_same && coming.parts.len() == whole
        };
        let at = self.coming.iter().position(is_it).unwrap_or_else(|| {
            if self.coming.len() >= MAX_COMING {
                self.coming.pop_front();
            }
            self.coming.push_back(Coming {
                monitor,
                fingerprint,
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
            monitor: coming.monitor,
            fingerprint: coming.fingerprint,
            packed: coming.parts.into_iter().flatten().flatten().collect(),
        });
        true
    }

    /// A monitor is gone.
    pub(in crate::board) fn remove(&mut self, monitor: &str) {
        self.changed.remove(monitor);
        self.coming.retain(|coming| coming.monitor != monitor);
        self.come.retain(|come| come.monitor != monitor);
    }
}
