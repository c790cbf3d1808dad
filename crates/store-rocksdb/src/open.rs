//! Opening the folder.

use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamilyDescriptor, DB, DBCompressionType};
use vault::Key;

use crate::keys;

/// The layout that this release writes and reads. A new column family does not change it: it is
/// made in a folder that lacks it, and RocksDB itself refuses a folder that has one more than an
/// older release knows.
const FORMAT: u64 = 1;
/// All memtables together.
const MEMTABLES_BYTES: usize = 64 << 20;
/// The write-ahead log, before memtables are flushed to let it go.
const LOG_BYTES: u64 = 128 << 20;
/// Files that are open at once.
const OPEN_FILES: i32 = 256;

/// When a write counts as durable, and may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The operating system has it: it survives the death of the process.
    Process,
    /// The medium has it: it survives the death of the machine. Dearer.
    Power,
}

/// How to open a store.
#[derive(Debug)]
pub struct Options {
    /// When a write may be acknowledged.
    pub durability: Durability,
    /// Where the numbers of a *new* store begin. Agents and pipelines remember epochs and
    /// generations: those of a store that replaces a lost one must be others, so the seed grows
    /// with the wall clock.
    pub seed: u64,
}

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another coordinator has it.
    #[error("{}: is in use by another coordinator; give each a folder of its own", .0.display())]
    InUse(PathBuf),
    /// The folder, or the medium, fails.
    #[error("{}: {problem}", path.display())]
    Io {
        /// Which folder.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The key of what is sealed.
    #[error(transparent)]
    Key(#[from] vault::OpenError),
    /// Another release wrote it.
    #[error("{}: has format {found}; this release knows {FORMAT}: run the release that wrote it", path.display())]
    Format {
        /// Which folder.
        path: PathBuf,
        /// What it has.
        found: u64,
    },
}

/// Opens the database of a folder, and its key.
pub(crate) fn open(folder: &Path, seed: u64) -> Result<(DB, Key), OpenError> {
    let io = |problem: String| OpenError::Io {
        path: folder.to_owned(),
        problem,
    };
    private_folder(folder).map_err(|error| io(error.to_string()))?;
    let families = keys::ALL.map(|name| ColumnFamilyDescriptor::new(name, family(name)));
    let db = DB::open_cf_descriptors(&options(), folder.join("db"), families);
    let db = db.map_err(|error| {
        // RocksDB has no code of its own for this: its words are for another process, and for
        // this one.
        let text = error.to_string();
        if text.contains("While lock file") || text.contains("lock hold by current process") {
            OpenError::InUse(folder.to_owned())
        } else {
            io(error.to_string())
        }
    })?;
    let problem = |error: store::StoreError| io(error.to_string());
    let key_file = folder.join("secrets.key");
    let key = match crate::control::number(&db, keys::FORMAT).map_err(problem)? {
        // A store that exists has a key: another one would open nothing.
        Some(FORMAT) => Key::open(&key_file)?,
        Some(found) => {
            return Err(OpenError::Format {
                path: folder.to_owned(),
                found,
            });
        }
        None => {
            let key = Key::open_or_create(&key_file)?;
            crate::control::found(&db, FORMAT, seed).map_err(problem)?;
            key
        }
    };
    Ok((db, key))
}

/// Made where it is missing, and nobody else's to read.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)
}

fn options() -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(MEMTABLES_BYTES);
    options.set_max_total_wal_size(LOG_BYTES);
    options.set_max_open_files(OPEN_FILES);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options
}

fn family(name: &str) -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    options.set_compression_type(DBCompressionType::Lz4);
    if name == keys::EVIDENCE {
        // Written once, read seldom, dropped by the hour.
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
    }
    options
}
