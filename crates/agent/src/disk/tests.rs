use super::*;
use std::collections::BTreeMap;
use tokio::sync::mpsc::{Receiver, channel};

fn open(folder: &Path) -> (Disk, State, Receiver<DiskEvent>) {
    let (events, received) = channel(64);
    let (disk, state) = Disk::open(folder, events).unwrap();
    (disk, state, received)
}

fn put(lane: u16, seq: u64) -> Change {
    let record = v1::Record {
        other_boot_id: format!("{lane}/{seq}"),
        ..Default::default()
    };
    Change::Put {
        lane,
        seq,
        record: record.encode_to_vec(),
    }
}

/// The next event; the thread answers.
fn next(events: &mut Receiver<DiskEvent>) -> DiskEvent {
    events.blocking_recv().unwrap()
}

fn until_durable(events: &mut Receiver<DiskEvent>, ticket: Ticket) {
    loop {
        match next(events) {
            DiskEvent::Durable(durable) if durable >= ticket => return,
            DiskEvent::Durable(_) | DiskEvent::EpochKept(_) => {}
            DiskEvent::Loaded { .. } | DiskEvent::Failed(_) => panic!("nothing was asked for"),
        }
    }
}

fn lanes(state: &State) -> BTreeMap<u16, (u64, u64, u64)> {
    let lanes = state.lanes.iter();
    lanes
        .map(|(lane, held)| (*lane, (held.released, held.first, held.next())))
        .collect()
}

#[test]
fn what_was_kept_is_found_again_and_what_was_trimmed_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, state, mut events) = open(folder.path());
    assert_eq!((state.epoch, state.lanes.len()), (0, 0));
    disk.epoch(77);
    for seq in 0..600 {
        disk.change(seq + 1, put(3, seq), false);
    }
    let trim = Change::Trim {
        lane: 3,
        first: 40,
        released: 30,
    };
    disk.change(601, trim, false);
    disk.change(602, put(9, 0), false);
    let empty = Change::Trim {
        lane: 9,
        first: 1,
        released: 1,
    };
    disk.change(603, empty, true);
    until_durable(&mut events, 603);
    drop(disk);

    let (disk, state, mut events) = open(folder.path());
    assert_eq!(state.epoch, 77);
    let wanted = BTreeMap::from([(3, (30, 40, 600)), (9, (1, 1, 1))]);
    assert_eq!(lanes(&state), wanted, "an empty lane goes on where it was");
    assert!(state.damaged.is_empty());
    disk.load(
        (5, 1),
        3,
        Span {
            first: 50,
            end: 999,
        },
    );
    let DiskEvent::Loaded { id, first, records } = next(&mut events) else {
        panic!("records are due");
    };
    assert_eq!((id, first, records.len()), ((5, 1), 50, 256));
    assert_eq!(records[0].other_boot_id, "3/50");
}

#[test]
fn items_are_sealed_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _, _events) = open(folder.path());
    disk.item("docs", Some(b"Bearer s3cret".to_vec()));
    disk.item("shop", Some(b"other".to_vec()));
    disk.item("shop", None);
    disk.lease_ends(12_345);
    drop(disk);
    let bytes = std::fs::read(folder.path().join("state.redb")).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"s3cret"));
    let (_disk, state, _) = open(folder.path());
    assert_eq!(
        state.items,
        [("docs".to_owned(), Some(b"Bearer s3cret".to_vec()))]
    );
    assert_eq!(state.lease_ends_ms, 12_345);
    for name in ["state.redb", "state.key"] {
        use std::os::unix::fs::MetadataExt as _;
        let mode = folder.path().join(name).metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn canaries_that_answered_are_known_again() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, state, _events) = open(folder.path());
    assert!(state.canaries.is_empty());
    disk.canary("a:443", Some(5));
    disk.canary("a:443", Some(7));
    disk.canary("b:443", Some(8));
    disk.canary("b:443", None);
    disk.lease_ends(12_345);
    drop(disk);
    let (_disk, state, _) = open(folder.path());
    assert_eq!(state.canaries, BTreeMap::from([("a:443".to_owned(), 7)]));
}

#[test]
fn a_hole_is_told_and_what_is_after_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _, _events) = open(folder.path());
    for (ticket, seq) in [(1, 0), (2, 1), (3, 5), (4, 6)] {
        disk.change(ticket, put(3, seq), false);
    }
    drop(disk);
    let (disk, state, mut events) = open(folder.path());
    assert_eq!(lanes(&state), BTreeMap::from([(3, (0, 0, 7))]));
    assert_eq!(state.damaged, [(3, Span { first: 2, end: 5 })]);
    let mut loaded = Vec::new();
    for begin in [0, 2] {
        disk.load(
            (1, 1),
            3,
            Span {
                first: begin,
                end: 7,
            },
        );
        if let DiskEvent::Loaded { first, records, .. } = next(&mut events) {
            loaded.push((first, records.len()));
        }
    }
    assert_eq!(loaded, [(0, 2), (5, 2)]);
}

#[test]
fn a_second_agent_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_disk, _, _events) = open(folder.path());
    let (events, _received) = channel(64);
    let error = Disk::open(folder.path(), events).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(!error.is_of_medium());
}

/// A file that is none of ours, or was torn: it is kept aside, and a new spool begins.
#[test]
fn a_damaged_file_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _, _events) = open(folder.path());
    disk.epoch(77);
    drop(disk);
    let path = folder.path().join("state.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..64].fill(0xee);
    std::fs::write(&path, &bytes).unwrap();
    let (_disk, state, _) = open(folder.path());
    assert_eq!(state.epoch, 0);
    let aside = |n: u8| std::fs::read(folder.path().join(format!("state.damaged-{n}")));
    assert_eq!(aside(1).unwrap(), bytes);
    drop(_disk);
    std::fs::write(&path, b"nonsense").unwrap();
    drop(open(folder.path()));
    assert_eq!(aside(1).unwrap(), bytes, "the first is kept too");
    assert_eq!(aside(2).unwrap(), b"nonsense");
}

#[test]
fn a_folder_that_cannot_be_written_is_of_the_medium() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let (events, _received) = channel(64);
    let error = Disk::open(&file.join("state"), events)
        .map(|_| ())
        .unwrap_err();
    assert!(error.is_of_medium(), "{error}");
    assert!(error.to_string().starts_with("state-dir: "), "{error}");
}

/// A medium that takes writes for a while, then is full.
#[derive(Debug)]
struct Full {
    inner: redb::backends::InMemoryBackend,
    left: std::sync::atomic::AtomicI64,
}

impl redb::StorageBackend for Full {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        let len = i64::try_from(data.len()).unwrap();
        let left = self
            .left
            .fetch_sub(len, std::sync::atomic::Ordering::SeqCst);
        if left < len {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
        }
        self.inner.write(offset, data)
    }
}

#[test]
fn a_full_disk_is_told_once_and_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let full = Full {
        inner: redb::backends::InMemoryBackend::new(),
        left: 1_000_000.into(),
    };
    let database = Database::builder().create_with_backend(full).unwrap();
    let key = Key::open_or_create(&folder.path().join("k")).unwrap();
    let (events, mut received) = channel(64);
    let disk = Disk::start(database, key, events);
    for ticket in 1..100_000 {
        disk.change(ticket, put(3, ticket - 1), true);
    }
    let mut last = 0;
    let problem = loop {
        match next(&mut received) {
            DiskEvent::Durable(ticket) => last = ticket,
            DiskEvent::Failed(problem) => break problem,
            DiskEvent::EpochKept(_) | DiskEvent::Loaded { .. } => panic!("not asked for"),
        }
    };
    assert!(last < 99_999, "{last}: {problem}");
    disk.change(100_000, put(3, 0), true);
    drop(disk);
    assert!(received.blocking_recv().is_none());
}
