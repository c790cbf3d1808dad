//! The thread that keeps the agent's state on disk: what waits together is committed together.
//!
//! It alone touches the file, so that a slow disk delays acknowledgements and no slot.

mod layout;

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use delivery::Span;
use prost::Message as _;
use redb::{Database, ReadableDatabase as _};
use rpc::v1;
use vault::Key;

use crate::frames::LoadId;
use crate::spool::{Change, Ticket};
use layout::{CANARY, EPOCH, ITEMS, LANES, LEASE_ENDS, NUMBERS, RECORDS};
pub(crate) use layout::{OpenError, State, private_folder};

/// How long changes may wait for each other, so that a commit takes many.
const GROUP: Duration = Duration::from_millis(100);
/// Changes of one commit.
const MOST: usize = 4096;
/// Records that are read at once.
pub(crate) const LOAD_RECORDS: u64 = 256;

/// What the disk says.
#[derive(Debug)]
pub(crate) enum DiskEvent {
    /// Everything up to this change would survive.
    Durable(Ticket),
    /// The spool's epoch is kept.
    EpochKept(u64),
    /// Records that were asked for.
    Loaded {
        id: LoadId,
        first: u64,
        records: Vec<v1::Record>,
    },
    /// The disk takes no more.
    Failed(String),
}

/// What the disk is asked for. What waits is bounded by those who ask: records by
/// [`crate::spool::WITH_DISK`], reading to one span at a time, items by the schedule, numbers by
/// how seldom they are kept.
enum Ask {
    Change(Ticket, Change),
    Epoch(u64),
    Item {
        monitor: String,
        item: Option<Vec<u8>>,
    },
    Number {
        name: String,
        number: Option<u64>,
    },
    Load {
        id: LoadId,
        lane: u16,
        span: Span,
    },
}

/// The disk, from the outside.
pub(crate) struct Disk {
    asks: Option<mpsc::Sender<(Ask, bool)>>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Opens the file of a folder. Events go to `events`.
    pub(crate) fn open(
        folder: &Path,
        events: tokio::sync::mpsc::Sender<DiskEvent>,
    ) -> Result<(Self, State), OpenError> {
        let (database, key, state) = layout::open(folder)?;
        Ok((Self::start(database, key, events), state))
    }

    fn start(database: Database, key: Key, events: tokio::sync::mpsc::Sender<DiskEvent>) -> Self {
        let (asks, queue) = mpsc::channel();
        let worker = Worker {
            database,
            key,
            events,
        };
        let thread = std::thread::Builder::new().name("disk".to_owned());
        // Without a thread nothing gets durable: the core sees that, and leaves the disk.
        let thread = thread.spawn(move || worker.run(&queue)).ok();
        Self {
            asks: Some(asks),
            thread,
        }
    }

    /// Keeps a change of the spool; at once where it is urgent.
    pub(crate) fn change(&self, ticket: Ticket, change: Change, urgent: bool) {
        self.ask(Ask::Change(ticket, change), urgent);
    }

    /// Keeps the spool's epoch.
    pub(crate) fn epoch(&self, epoch: u64) {
        self.ask(Ask::Epoch(epoch), true);
    }

    /// Keeps an item of the schedule, or forgets it.
    pub(crate) fn item(&self, monitor: &str, item: Option<Vec<u8>>) {
        let monitor = monitor.to_owned();
        self.ask(Ask::Item { monitor, item }, false);
    }

    /// Keeps how long the schedule holds, milliseconds since the Unix epoch.
    pub(crate) fn lease_ends(&self, wall_ms: u64) {
        let (name, number) = (LEASE_ENDS.to_owned(), Some(wall_ms));
        self.ask(Ask::Number { name, number }, false);
    }

    /// Keeps when a canary last answered, milliseconds since the Unix epoch, or forgets it.
    pub(crate) fn canary(&self, canary: &str, wall_ms: Option<u64>) {
        let (name, number) = (format!("{CANARY}{canary}"), wall_ms);
        self.ask(Ask::Number { name, number }, false);
    }

    /// Reads records that may be sent.
    pub(crate) fn load(&self, id: LoadId, lane: u16, span: Span) {
        self.ask(Ask::Load { id, lane, span }, true);
    }

    /// Lets the disk do what it was asked for, and close; not waited for here, because it may hang.
    /// The thread that may be waited for.
    pub(crate) fn finish(mut self) -> Option<JoinHandle<()>> {
        self.asks = None;
        self.thread.take()
    }

    fn ask(&self, ask: Ask, urgent: bool) {
        if let Some(asks) = &self.asks {
            // A thread that has ended has said so.
            let _ = asks.send((ask, urgent));
        }
    }
}

#[cfg(test)]
impl Drop for Disk {
    /// Tests open the file again.
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

struct Worker {
    database: Database,
    key: Key,
    events: tokio::sync::mpsc::Sender<DiskEvent>,
}

impl Worker {
    /// Works until nobody asks any more, or the disk fails.
    fn run(self, asks: &mpsc::Receiver<(Ask, bool)>) {
        while let Ok(first) = asks.recv() {
            let group = collect(first, asks);
            if let Err(error) = self.work(group) {
                // The core leaves the disk when it hears this.
                let _ = self
                    .events
                    .blocking_send(DiskEvent::Failed(error.to_string()));
                return;
            }
        }
    }

    fn work(&self, group: Vec<Ask>) -> Result<(), redb::Error> {
        let (loads, writes): (Vec<Ask>, Vec<Ask>) = group
            .into_iter()
            .partition(|ask| matches!(ask, Ask::Load { .. }));
        for event in self.commit(writes)? {
            self.tell(event);
        }
        for load in loads {
            if let Ask::Load { id, lane, span } = load {
                let (first, records) = self.load(lane, span)?;
                self.tell(DiskEvent::Loaded { id, first, records });
            }
        }
        Ok(())
    }

    fn tell(&self, event: DiskEvent) {
        // An agent that stops listens no more.
        let _ = self.events.blocking_send(event);
    }

    /// One transaction; durable when it is committed.
    fn commit(&self, writes: Vec<Ask>) -> Result<Vec<DiskEvent>, redb::Error> {
        let mut durable = None;
        let mut events = Vec::new();
        if writes.is_empty() {
            return Ok(events);
        }
        let write = self.database.begin_write()?;
        {
            let mut records = write.open_table(RECORDS)?;
            let mut lanes = write.open_table(LANES)?;
            let mut items = write.open_table(ITEMS)?;
            let mut numbers = write.open_table(NUMBERS)?;
            for ask in writes {
                match ask {
                    Ask::Change(ticket, change) => {
                        durable = Some(ticket);
                        match change {
                            Change::Put { lane, seq, record } => {
                                records.insert((lane, seq), &record[..])?;
                            }
                            Change::Trim {
                                lane,
                                first,
                                released,
                            } => {
                                records.retain_in((lane, 0)..(lane, first), |_, _| false)?;
                                lanes.insert(lane, (first, released))?;
                            }
                        }
                    }
                    Ask::Epoch(epoch) => {
                        numbers.insert(EPOCH, epoch)?;
                        events.push(DiskEvent::EpochKept(epoch));
                    }
                    Ask::Item { monitor, item } => {
                        let sealed = item
                            .map(|item| self.key.seal(monitor.as_bytes(), &item))
                            .transpose();
                        match sealed {
                            Ok(Some(sealed)) => {
                                items.insert(&monitor[..], &sealed[..])?;
                            }
                            Ok(None) => {
                                items.remove(&monitor[..])?;
                            }
                            Err(error) => {
                                tracing::warn!(%monitor, %error, "an item cannot be kept");
                            }
                        }
                    }
                    Ask::Number { name, number } => {
                        match number {
                            Some(number) => numbers.insert(&name[..], number)?,
                            None => numbers.remove(&name[..])?,
                        };
                    }
                    Ask::Load { .. } => {}
                }
            }
        }
        write.commit()?;
        events.extend(durable.map(DiskEvent::Durable));
        Ok(events)
    }

    /// Records from `span.first` on, without a hole.
    fn load(&self, lane: u16, span: Span) -> Result<(u64, Vec<v1::Record>), redb::Error> {
        let end = span.end.min(span.first.saturating_add(LOAD_RECORDS));
        let read = self.database.begin_read()?;
        let table = read.open_table(RECORDS)?;
        let mut first = span.first;
        let mut records = Vec::new();
        for row in table.range((lane, span.first)..(lane, end))? {
            let (at, bytes) = row?;
            let (_, seq) = at.value();
            if records.is_empty() {
                first = seq;
            }
            if seq != first + records.len() as u64 {
                break;
            }
            // A record that cannot be read any more takes its place all the same.
            let record = v1::Record::decode(bytes.value());
            records.push(record.unwrap_or_default());
        }
        Ok((first, records))
    }
}

/// What comes within the time of a group; at once where something is urgent.
fn collect(first: (Ask, bool), asks: &mpsc::Receiver<(Ask, bool)>) -> Vec<Ask> {
    let deadline = tokio::time::Instant::now().into_std() + GROUP;
    let (ask, mut urgent) = first;
    let mut group = vec![ask];
    while group.len() < MOST {
        let now = tokio::time::Instant::now().into_std();
        let wait = if urgent {
            Duration::ZERO
        } else {
            deadline.saturating_duration_since(now)
        };
        match asks.recv_timeout(wait) {
            Ok((ask, is_urgent)) => {
                group.push(ask);
                urgent |= is_urgent;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    group
}

#[cfg(test)]
mod tests;
