//! The records of one lane: which are still held, which are on disk, which are in memory.

use std::collections::VecDeque;

use rpc::v1;

/// Records whose sizes are added up together.
const CHUNK: u64 = 256;

/// Neighbouring records, of which only their number and size is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk {
    records: u64,
    bytes: u64,
}

/// `released ≤ first ≤ tail ≤ next`, and `first ≤ durable ≤ next`.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Everything below was acknowledged.
    pub(crate) released: u64,
    /// The oldest record that is held.
    pub(crate) first: u64,
    /// What is below may be sent: no restart can give its sequences anew.
    pub(crate) durable: u64,
    /// What is below is, or was, on disk.
    pub(crate) kept: u64,
    /// The newest records, which are in memory.
    tail: VecDeque<v1::Record>,
    chunks: VecDeque<Chunk>,
    records: u64,
    bytes: u64,
}

impl Lane {
    /// A lane that was found on disk, without its records.
    pub(crate) fn found(released: u64, first: u64) -> Self {
        Self {
            released,
            first,
            durable: first,
            kept: first,
            ..Self::default()
        }
    }

    /// Another record that was found on disk.
    pub(crate) fn find(&mut self, bytes: u64) {
        self.add(bytes);
        self.durable = self.next();
        self.kept = self.durable;
    }

    /// The sequence that the next record will get.
    pub(crate) const fn next(&self) -> u64 {
        self.first + self.records
    }

    pub(crate) const fn records(&self) -> u64 {
        self.records
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn in_memory(&self) -> usize {
        self.tail.len()
    }

    /// The first record that is in memory.
    pub(crate) fn tail_first(&self) -> u64 {
        self.next() - self.tail.len() as u64
    }

    /// Adds a record; its sequence.
    pub(crate) fn push(&mut self, record: v1::Record, bytes: u64) -> u64 {
        self.add(bytes);
        self.tail.push_back(record);
        self.next() - 1
    }

    fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
        match self.chunks.back_mut() {
            Some(chunk) if chunk.records < CHUNK => {
                chunk.records += 1;
                chunk.bytes += bytes;
            }
            Some(_) | None => self.chunks.push_back(Chunk { records: 1, bytes }),
        }
    }

    /// Lets go of the oldest chunk; how many records it had.
    pub(crate) fn drop_chunk(&mut self) -> u64 {
        let Some(chunk) = self.chunks.pop_front() else {
            return 0;
        };
        self.forget(chunk.records, chunk.bytes);
        chunk.records
    }

    /// Lets go of everything below `end`; how many records.
    pub(crate) fn release(&mut self, end: u64) -> u64 {
        let count = end.min(self.next()).saturating_sub(self.first);
        let mut left = count;
        while left > 0 {
            let Some(chunk) = self.chunks.front_mut() else {
                break;
            };
            // A part of a chunk takes its share of the size.
            let part = left.min(chunk.records);
            let bytes = if part == chunk.records {
                chunk.bytes
            } else {
                chunk.bytes / chunk.records * part
            };
            chunk.records -= part;
            chunk.bytes -= bytes;
            if chunk.records == 0 {
                self.chunks.pop_front();
            }
            self.forget(part, bytes);
            left -= part;
        }
        self.released = self.released.max(end.min(self.first));
        count
    }

    /// The oldest `records` are gone.
    fn forget(&mut self, records: u64, bytes: u64) {
        let on_disk = self.tail_first() - self.first;
        let of_tail = usize::try_from(records.saturating_sub(on_disk)).unwrap_or(usize::MAX);
        self.tail.drain(..of_tail.min(self.tail.len()));
        self.first += records;
        self.records -= records;
        self.bytes -= bytes;
        self.durable = self.durable.max(self.first);
    }

    /// Forgets up to `most` of the oldest records in memory that are on disk too; how many.
    pub(crate) fn evict(&mut self, most: usize) -> usize {
        let durable = self.durable.saturating_sub(self.tail_first());
        let count = usize::try_from(durable).unwrap_or(usize::MAX).min(most);
        let count = count.min(self.tail.len());
        self.tail.drain(..count);
        count
    }

    /// Records in memory from `first` on, which is one of them, up to `end`.
    pub(crate) fn in_tail(&self, first: u64, end: u64) -> Vec<v1::Record> {
        let index = |seq: u64| {
            let index = usize::try_from(seq.saturating_sub(self.tail_first()));
            index.unwrap_or(usize::MAX).min(self.tail.len())
        };
        self.tail
            .range(index(first)..index(end).max(index(first)))
            .cloned()
            .collect()
    }

    /// Takes out the records that never reached the disk.
    pub(crate) fn take_undurable(&mut self) -> VecDeque<v1::Record> {
        let count = usize::try_from(self.next() - self.durable).unwrap_or(usize::MAX);
        let begin = self.tail.len().saturating_sub(count);
        self.tail.split_off(begin)
    }
}
