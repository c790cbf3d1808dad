//! Records that wait to be acknowledged, with their sequence numbers.

use std::collections::{BTreeMap, VecDeque};

use delivery::Span;
use rpc::v1;

/// Records that wait in all; then the oldest of the fullest lane make room.
pub(crate) const MAX_RECORDS: usize = 100_000;

/// The records of one lane.
#[derive(Debug, Default)]
struct Lane {
    /// Everything below was acknowledged.
    released: u64,
    first: u64,
    records: VecDeque<v1::Record>,
}

/// Records by lane. In memory: what waits is lost with the process, and the next one begins a
/// new spool.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    lanes: BTreeMap<u16, Lane>,
    len: usize,
    dropped: u64,
}

/// Records that were dropped to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) lane: u16,
    pub(crate) span: Span,
}

impl Spool {
    /// The sequence that the next record of a lane will get.
    pub(crate) fn next(&self, lane: u16) -> u64 {
        self.lanes
            .get(&lane)
            .map_or(0, |lane| lane.first + lane.records.len() as u64)
    }

    /// The oldest record of a lane that is still here.
    pub(crate) fn oldest(&self, lane: u16) -> u64 {
        self.lanes.get(&lane).map_or(0, |lane| lane.first)
    }

    /// Adds a record; its sequence.
    pub(crate) fn push(&mut self, lane: u16, record: v1::Record) -> u64 {
        let lane = self.lanes.entry(lane).or_default();
        lane.records.push_back(record);
        self.len += 1;
        lane.first + lane.records.len() as u64 - 1
    }

    /// Drops the oldest half of the fullest lane if there is too much. The caller records the gap.
    pub(crate) fn make_room(&mut self, most: usize) -> Option<Dropped> {
        if self.len <= most {
            return None;
        }
        let (&lane, fullest) = self
            .lanes
            .iter_mut()
            .max_by_key(|(_, lane)| lane.records.len())?;
        let count = fullest.records.len().div_ceil(2);
        fullest.records.drain(..count);
        fullest.first += count as u64;
        self.len -= count;
        self.dropped += count as u64;
        // From what was acknowledged: a gap that was dropped before it was told is in this one.
        let span = Span {
            first: fullest.released,
            end: fullest.first,
        };
        Some(Dropped { lane, span })
    }

    /// The records of a span that are still here, with the first one's sequence.
    pub(crate) fn read(&self, lane: u16, span: Span) -> (u64, Vec<v1::Record>) {
        let Some(lane) = self.lanes.get(&lane) else {
            return (span.first, Vec::new());
        };
        let first = span.first.max(lane.first);
        let skip = usize::try_from(first - lane.first).unwrap_or(usize::MAX);
        let take = usize::try_from(span.end.saturating_sub(first)).unwrap_or(usize::MAX);
        (
            first,
            lane.records.iter().skip(skip).take(take).cloned().collect(),
        )
    }

    /// Forgets everything below `oldest`: it is acknowledged.
    pub(crate) fn release(&mut self, lane: u16, oldest: u64) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            let count = usize::try_from(oldest.saturating_sub(lane.first)).unwrap_or(usize::MAX);
            let count = count.min(lane.records.len());
            lane.records.drain(..count);
            lane.first += count as u64;
            lane.released = lane.released.max(oldest.min(lane.first));
            self.len -= count;
        }
    }

    /// Lanes that ever held something.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = u16> {
        self.lanes.keys().copied()
    }

    /// How many records wait.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many records were ever dropped.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(records: &[v1::Record]) -> Vec<u64> {
        let slot = |record: &v1::Record| match &record.kind {
            Some(v1::record::Kind::Missed(missed)) => missed.slot,
            _ => panic!("only missed slots are spooled here"),
        };
        records.iter().map(slot).collect()
    }

    fn record(slot: u64) -> v1::Record {
        let missed = v1::Missed {
            slot,
            ..Default::default()
        };
        v1::Record {
            kind: Some(v1::record::Kind::Missed(missed)),
            ..Default::default()
        }
    }

    #[test]
    fn sequences_are_given_once_and_survive_release() {
        let mut spool = Spool::default();
        for slot in 0..10 {
            assert_eq!(spool.push(3, record(slot)), slot);
        }
        spool.release(3, 4);
        assert_eq!((spool.oldest(3), spool.next(3), spool.len()), (4, 10, 6));
        let (first, records) = spool.read(3, Span { first: 0, end: 7 });
        assert_eq!((first, slots(&records)), (4, vec![4, 5, 6]));
        spool.release(3, 100);
        assert_eq!((spool.next(3), spool.len()), (10, 0));
        assert_eq!(spool.push(3, record(10)), 10);
    }

    #[test]
    fn the_fullest_lane_makes_room_and_says_what_is_gone() {
        let mut spool = Spool::default();
        for slot in 0..6 {
            spool.push(1, record(slot));
        }
        spool.push(2, record(0));
        assert_eq!(spool.make_room(7), None);
        let dropped = spool.make_room(6).unwrap();
        assert_eq!(
            dropped,
            Dropped {
                lane: 1,
                span: Span { first: 0, end: 3 }
            }
        );
        assert_eq!((spool.len(), spool.dropped(), spool.next(1)), (4, 3, 6));
        let (first, records) = spool.read(1, Span { first: 0, end: 6 });
        assert_eq!((first, slots(&records)), (3, vec![3, 4, 5]));
        // What is dropped next names everything since the last acknowledgement.
        let dropped = spool.make_room(1).unwrap();
        assert_eq!(dropped.span, Span { first: 0, end: 5 });
        spool.release(1, 6);
        for slot in 6..10 {
            spool.push(1, record(slot));
        }
        assert_eq!(spool.make_room(1).unwrap().span, Span { first: 6, end: 8 });
    }
}
