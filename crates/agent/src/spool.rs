//! Records that wait to be acknowledged, with their sequence numbers.
//!
//! What is written to disk, and when it got there, is told by the disk's thread; this is the state
//! of it. A record may be sent once it is durable: then no restart gives its sequence to another.
//! The newest records are in memory too, the others are read from disk when their turn comes.

mod lane;
mod left;

use std::collections::{BTreeMap, VecDeque};

use delivery::Span;
use prost::Message as _;
use rpc::v1;

pub(crate) use lane::Lane;
pub(crate) use left::Left;

/// Records of which a copy is kept in memory, beside those that are not yet on disk.
const IN_MEMORY: usize = 4096;
/// Changes that the disk may have at once: what it had when it broke may be there or not.
pub(crate) const WITH_DISK: u64 = 1024;
/// The most that is held without a disk.
pub(crate) const MEMORY_BYTES: u64 = 32 << 20;

/// A change that belongs on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// A new record.
    Put {
        lane: u16,
        seq: u64,
        record: Vec<u8>,
    },
    /// The records below `first` are gone; those below `released` were acknowledged.
    Trim {
        lane: u16,
        first: u64,
        released: u64,
    },
}

/// A number for a change: changes reach the disk in this order.
pub(crate) type Ticket = u64;

/// Records that were dropped to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) lane: u16,
    pub(crate) span: Span,
}

/// What there is of a span.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// These records, and the first one's sequence.
    Here(u64, Vec<v1::Record>),
    /// This part of it must be read from disk first.
    OnDisk(Span),
}

/// A record that waits for the disk.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    lane: u16,
    end: u64,
    urgent: bool,
}

/// What became durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Durable {
    pub(crate) lane: u16,
    pub(crate) urgent: bool,
}

/// Records by lane.
#[derive(Debug)]
pub(crate) struct Spool {
    lanes: BTreeMap<u16, Lane>,
    has_disk: bool,
    most_bytes: u64,
    in_memory: usize,
    changes: VecDeque<(Ticket, Change, bool)>,
    waiting: VecDeque<Waiting>,
    ticket: Ticket,
    /// The last change that the disk was given, and the last that it has made durable.
    given: Ticket,
    done: Ticket,
    dropped: u64,
    /// The life of this process, for those who read the record in another.
    boot_id: String,
}

impl Spool {
    /// A spool without a disk: what waits is lost with the process, and the next one begins anew.
    pub(crate) fn in_memory(boot_id: &str, most_bytes: u64) -> Self {
        Self {
            lanes: BTreeMap::new(),
            has_disk: false,
            most_bytes: most_bytes.min(MEMORY_BYTES),
            in_memory: 0,
            changes: VecDeque::new(),
            waiting: VecDeque::new(),
            ticket: 0,
            given: 0,
            done: 0,
            dropped: 0,
            boot_id: boot_id.to_owned(),
        }
    }

    /// A spool with what was found on disk.
    pub(crate) fn on_disk(boot_id: &str, most_bytes: u64, lanes: BTreeMap<u16, Lane>) -> Self {
        Self {
            lanes,
            has_disk: true,
            most_bytes,
            ..Self::in_memory(boot_id, most_bytes)
        }
    }

    /// Whether what waits would survive the process.
    pub(crate) const fn has_disk(&self) -> bool {
        self.has_disk
    }

    /// The sequence after the last one of a lane that may be sent.
    pub(crate) fn end(&self, lane: u16) -> u64 {
        self.lanes.get(&lane).map_or(0, |lane| lane.durable)
    }

    /// The oldest record of a lane that is still here.
    pub(crate) fn oldest(&self, lane: u16) -> u64 {
        self.lanes.get(&lane).map_or(0, |lane| lane.first)
    }

    /// Whether a lane has ever held a record.
    pub(crate) fn knows(&self, lane: u16) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// Adds a record; its sequence.
    pub(crate) fn push(&mut self, lane: u16, record: v1::Record, urgent: bool) -> u64 {
        let bytes = self.stored(&record);
        let held = self.lanes.entry(lane).or_default();
        let seq = held.push(record, bytes.len() as u64);
        self.in_memory += 1;
        if self.has_disk {
            let put = Change::Put {
                lane,
                seq,
                record: bytes,
            };
            let ticket = self.change(put, urgent);
            self.waiting.push_back(Waiting {
                ticket,
                lane,
                end: seq + 1,
                urgent,
            });
        } else {
            held.durable = held.next();
        }
        seq
    }

    /// A record as another life of the agent will read it.
    fn stored(&self, record: &v1::Record) -> Vec<u8> {
        let mut stored = record.clone();
        if stored.other_boot_id.is_empty() {
            stored.other_boot_id.clone_from(&self.boot_id);
        }
        stored.encode_to_vec()
    }

    fn change(&mut self, change: Change, urgent: bool) -> Ticket {
        self.ticket += 1;
        if self.has_disk {
            self.changes.push_back((self.ticket, change, urgent));
        }
        self.ticket
    }

    /// The next change for the disk, and whether it is urgent; none while it has enough to do.
    pub(crate) fn poll_change(&mut self) -> Option<(Ticket, Change, bool)> {
        if self.given - self.done >= WITH_DISK {
            return None;
        }
        let change = self.changes.pop_front()?;
        self.given = change.0;
        Some(change)
    }

    /// The disk has everything up to `ticket`: what may be sent now.
    pub(crate) fn handle_durable(&mut self, ticket: Ticket) -> Vec<Durable> {
        let mut durable = Vec::new();
        if !self.has_disk {
            return durable;
        }
        self.done = self.done.max(ticket);
        while let Some(waiting) = self.waiting.pop_front_if(|first| first.ticket <= ticket) {
            if let Some(lane) = self.lanes.get_mut(&waiting.lane) {
                lane.durable = lane.durable.max(waiting.end);
                lane.kept = lane.kept.max(waiting.end);
                durable.push(Durable {
                    lane: waiting.lane,
                    urgent: waiting.urgent,
                });
            }
        }
        self.evict();
        durable
    }

    /// Whether something waits for the disk.
    pub(crate) fn is_waiting(&self) -> bool {
        self.done < self.given || !self.changes.is_empty()
    }

    /// Keeps the copies in memory few.
    fn evict(&mut self) {
        if !self.has_disk {
            return;
        }
        while self.in_memory > IN_MEMORY {
            let longest = self.lanes.values_mut().max_by_key(|lane| lane.in_memory());
            let evicted = longest.map_or(0, |lane| lane.evict(lane.in_memory().div_ceil(2)));
            if evicted == 0 {
                return; // the rest waits for the disk
            }
            self.in_memory -= evicted;
        }
    }

    /// Drops the oldest records of the largest lane if there is too much. The caller records the
    /// gap.
    pub(crate) fn make_room(&mut self) -> Option<Dropped> {
        if self.bytes() <= self.most_bytes {
            return None;
        }
        let (&lane, largest) = self.lanes.iter_mut().max_by_key(|(_, lane)| lane.bytes())?;
        let before = largest.in_memory();
        // An eighth of the lane: a gap record for each record that comes would gain nothing.
        let goal = largest.bytes() - largest.bytes() / 8;
        while largest.bytes() > goal {
            self.dropped += largest.drop_chunk();
        }
        self.in_memory -= before - largest.in_memory();
        // From what was acknowledged: a gap that was dropped before it was told is in this one.
        let span = Span {
            first: largest.released,
            end: largest.first,
        };
        let (first, released) = (largest.first, largest.released);
        let trim = Change::Trim {
            lane,
            first,
            released,
        };
        self.change(trim, false);
        Some(Dropped { lane, span })
    }

    /// What there is of a span that may be sent.
    pub(crate) fn read(&self, lane: u16, span: Span) -> Found {
        let Some(held) = self.lanes.get(&lane) else {
            return Found::Here(span.first, Vec::new());
        };
        let first = span.first.max(held.first);
        let end = span.end.min(held.durable);
        if first < held.tail_first() && first < end {
            return Found::OnDisk(Span { first, end });
        }
        Found::Here(first, held.in_tail(first, end))
    }

    /// Forgets everything below `end`: it is acknowledged.
    pub(crate) fn release(&mut self, lane: u16, end: u64) {
        let Some(held) = self.lanes.get_mut(&lane) else {
            return;
        };
        let before = held.in_memory();
        let is_change = held.release(end) > 0;
        self.in_memory -= before - held.in_memory();
        let (first, released) = (held.first, held.released);
        if is_change {
            let trim = Change::Trim {
                lane,
                first,
                released,
            };
            self.change(trim, false);
        }
    }

    /// The disk is broken. What it was never given goes on in memory, under the sequences of a new
    /// spool; what it has is handed in by the next life of the agent. What it was given and did
    /// not answer for is left to it, so that nothing is handed in twice: how many records.
    pub(crate) fn leave_disk(&mut self) -> Left {
        let mut fresh = Self::in_memory(&self.boot_id, self.most_bytes);
        let (given, first) = (self.given, |lane: &Lane| lane.durable);
        let mut unsure: BTreeMap<u16, u64> = BTreeMap::new();
        for waiting in self
            .waiting
            .iter()
            .filter(|waiting| waiting.ticket <= given)
        {
            *unsure.entry(waiting.lane).or_default() += 1;
        }
        let mut left = Left::default();
        for (lane, mut held) in std::mem::take(&mut self.lanes) {
            // Those that were given came first.
            let given = unsure.get(&lane).copied().unwrap_or_default();
            let given = given.min(held.next() - first(&held));
            left.unsure += given;
            let begin = first(&held) + given;
            left.firsts.insert(lane, begin);
            let skip = usize::try_from(given).unwrap_or(usize::MAX);
            for mut record in held.take_undurable().into_iter().skip(skip) {
                left::renumber(&mut record, begin);
                fresh.push(lane, record, false);
            }
        }
        fresh.dropped = self.dropped + left.unsure;
        *self = fresh;
        left
    }

    /// Where a lane begins, as it may be told: what is below was acknowledged, or dropped *and*
    /// is known to the disk, so that no restart numbers other records so.
    pub(crate) fn begin(&self, lane: u16) -> u64 {
        let begin = |held: &Lane| match self.has_disk {
            true => held.first.min(held.kept.max(held.released)),
            false => held.first,
        };
        self.lanes.get(&lane).map_or(0, begin)
    }

    /// Lanes that ever held something.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = u16> {
        self.lanes.keys().copied()
    }

    /// How many records wait.
    pub(crate) fn len(&self) -> u64 {
        self.lanes.values().map(Lane::records).sum()
    }

    /// How much waits.
    pub(crate) fn bytes(&self) -> u64 {
        self.lanes.values().map(Lane::bytes).sum()
    }

    /// How many records were ever dropped.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests;
