//! The agent's file: tables, opening, and what is found in it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition,
};
use vault::Key;

use crate::spool::Lane;

/// Lane and sequence → record.
pub(super) const RECORDS: TableDefinition<'_, (u16, u64), &[u8]> = TableDefinition::new("records");
/// Lane → oldest sequence that is held, and the one up to which everything was acknowledged.
pub(super) const LANES: TableDefinition<'_, u16, (u64, u64)> = TableDefinition::new("lanes");
/// Monitor → sealed item.
pub(super) const ITEMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("items");
/// Numbers with a name.
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// In [`NUMBERS`]: which spool this is.
pub(super) const EPOCH: &str = "epoch";
/// In [`NUMBERS`]: when the schedule stops to hold, milliseconds since the Unix epoch.
pub(super) const LEASE_ENDS: &str = "lease-ends-ms";
/// In [`NUMBERS`], before a canary's name: when it last answered, milliseconds since the Unix
/// epoch.
pub(super) const CANARY: &str = "canary ";
/// In [`NUMBERS`]: the layout of the tables.
const FORMAT: &str = "format";
/// The layout that this release writes and reads.
const THIS_FORMAT: u64 = 1;

/// Memory for pages; the library's default is a gigabyte.
const CACHE_BYTES: usize = 4 << 20;

/// A state folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another agent has it.
    #[error("state-dir: {} is in use by another agent; give each a folder of its own", .0.display())]
    InUse(PathBuf),
    /// Another release wrote it.
    #[error("state-dir: {} has format {found}; this release knows {THIS_FORMAT}: run the release that wrote it", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What it has.
        found: u64,
    },
    /// The key of what is sealed is not usable.
    #[error("state-dir: {0}")]
    Key(#[from] vault::OpenError),
    /// The medium refuses.
    #[error("state-dir: {}: {problem}", path.display())]
    Medium {
        /// Which folder.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

impl OpenError {
    /// Whether the agent can do its work without the folder: its medium is broken, full or
    /// read-only. Anything else is a mistake that a person must see.
    pub(crate) fn is_of_medium(&self) -> bool {
        match self {
            Self::Medium { .. } | Self::Key(vault::OpenError::Io { .. }) => true,
            Self::Key(_) | Self::InUse(_) | Self::Format { .. } => false,
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) struct State {
    /// Which spool this is; 0 for a new one.
    pub(crate) epoch: u64,
    /// Its lanes.
    pub(crate) lanes: BTreeMap<u16, Lane>,
    /// Sequences that should be here and are not.
    pub(crate) damaged: Vec<(u16, delivery::Span)>,
    /// The schedule: monitors and their encoded items, as far as they can be opened.
    pub(crate) items: Vec<(String, Option<Vec<u8>>)>,
    /// When the schedule stops to hold, milliseconds since the Unix epoch.
    pub(crate) lease_ends_ms: u64,
    /// When canaries last answered, milliseconds since the Unix epoch.
    pub(crate) canaries: BTreeMap<String, u64>,
}

/// Opens the file of a folder and reads what is in it.
pub(super) fn open(folder: &Path) -> Result<(Database, Key, State), OpenError> {
    let medium = |problem: String| OpenError::Medium {
        path: folder.to_owned(),
        problem,
    };
    private_folder(folder).map_err(|error| medium(error.to_string()))?;
    let path = folder.join("state.redb");
    let opened = match whole(&path) {
        Err(error) if is_damage(&error) => {
            // What cannot be read cannot be handed in; probing goes on, and the file is kept.
            let aside = (1..100).map(|n| path.with_extension(format!("damaged-{n}")));
            let aside = aside.into_iter().find(|aside| !aside.exists());
            let aside = aside.ok_or_else(|| medium("too many damaged files".to_owned()))?;
            tracing::error!(%error, kept = %aside.display(), "the spool is damaged: a new one begins");
            std::fs::rename(&path, &aside).map_err(|error| medium(error.to_string()))?;
            whole(&path)
        }
        opened => opened,
    };
    match opened {
        Ok((database, THIS_FORMAT)) => {
            // After the database, whose lock keeps a second agent from making another key.
            let key = Key::open_or_create(&folder.join("state.key"))?;
            let state = read(&database, &key).map_err(|error| medium(error.to_string()))?;
            Ok((database, key, state))
        }
        Ok((_, found)) => Err(OpenError::Format { path, found }),
        Err(redb::Error::UpgradeRequired(found)) => Err(OpenError::Format {
            path,
            found: found.into(),
        }),
        Err(redb::Error::DatabaseAlreadyOpen) => Err(OpenError::InUse(path)),
        Err(error) => Err(medium(error.to_string())),
    }
}

/// Made where it is missing, and nobody else's to read.
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The database and its format, once all its records could be read.
fn whole(path: &Path) -> Result<(Database, u64), redb::Error> {
    let database = file(path)?;
    let format = prepare(&database)?;
    let read = database.begin_read()?;
    for row in read.open_table(RECORDS)?.iter()? {
        row?;
    }
    drop(read);
    Ok((database, format))
}

/// Whether the file itself is wrong, and not what it lies on.
fn is_damage(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    if let redb::Error::Io(error) = error {
        return matches!(error.kind(), InvalidData | UnexpectedEof);
    }
    matches!(error, redb::Error::Corrupted(_))
}

fn file(path: &Path) -> Result<Database, DatabaseError> {
    // Made here, so that nobody else may read it.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    drop(options.mode(0o600).open(path)?);
    Builder::new().set_cache_size(CACHE_BYTES).create(path)
}

/// Makes the tables of a new file; the format of the file.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let write = database.begin_write()?;
    let format = {
        write.open_table(RECORDS)?;
        write.open_table(LANES)?;
        write.open_table(ITEMS)?;
        let mut numbers = write.open_table(NUMBERS)?;
        let known = numbers.get(FORMAT)?.map(|format| format.value());
        if known.is_none() {
            numbers.insert(FORMAT, THIS_FORMAT)?;
        }
        known.unwrap_or(THIS_FORMAT)
    };
    write.commit()?;
    Ok(format)
}

fn read(database: &Database, key: &Key) -> Result<State, redb::Error> {
    let read = database.begin_read()?;
    let numbers = read.open_table(NUMBERS)?;
    let number = |name: &str| -> Result<u64, redb::Error> {
        Ok(numbers.get(name)?.map_or(0, |number| number.value()))
    };
    let mut lanes = BTreeMap::new();
    for row in read.open_table(LANES)?.iter()? {
        let (lane, state) = row?;
        let (first, released) = state.value();
        lanes.insert(lane.value(), Lane::found(released, first));
    }
    let mut damaged = Vec::new();
    for row in read.open_table(RECORDS)?.iter()? {
        let (at, record) = row?;
        let (lane, seq) = at.value();
        let held: &mut Lane = lanes.entry(lane).or_default();
        if seq < held.next() {
            continue; // trimmed, but for a crash between two files of another release
        }
        if held.next() < seq {
            damaged.push((
                lane,
                delivery::Span {
                    first: held.next(),
                    end: seq,
                },
            ));
            while held.next() < seq {
                held.find(0);
            }
        }
        held.find(record.value().len() as u64);
    }
    let mut items = Vec::new();
    for row in read.open_table(ITEMS)?.iter()? {
        let (monitor, sealed) = row?;
        let name = monitor.value().to_owned();
        let opened = key.open_sealed(name.as_bytes(), sealed.value());
        if let Err(error) = &opened {
            // The coordinator sends it again.
            tracing::warn!(monitor = %name, %error, "a kept item is of no use");
        }
        items.push((name, opened.ok()));
    }
    let mut canaries = BTreeMap::new();
    for row in numbers.range(CANARY..)? {
        let (name, answered) = row?;
        let Some(name) = name.value().strip_prefix(CANARY) else {
            break;
        };
        canaries.insert(name.to_owned(), answered.value());
    }
    Ok(State {
        epoch: number(EPOCH)?,
        lanes,
        damaged,
        items,
        lease_ends_ms: number(LEASE_ENDS)?,
        canaries,
    })
}
