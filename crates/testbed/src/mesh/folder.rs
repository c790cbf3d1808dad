//! The folder of a mesh: what lies where, and who may work in it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Says that a folder is ours, for whoever wants to remove it.
const MARKER: &str = "made-by-parallax-testbed";
const LOCK: &str = "lock";
const FOLDERS: [&str; 5] = ["agents", "coordinator", "logs", "pids", "tokens"];
const FILES: [&str; 7] = [
    "admin.header",
    "admin.key",
    "ca.pem",
    "read.header",
    "read.key",
    LOCK,
    MARKER,
];

/// The folder of a mesh, which nobody else works in as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    shown: PathBuf,
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// The folder at `path`, made where it is missing.
    pub(crate) fn make(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("folder: {}", path.display());
        let mut builder = fs::DirBuilder::new();
        // Keys and tokens are in it.
        builder.recursive(true).mode(0o700);
        builder.create(path).with_context(named)?;
        let folder = Self::lock(path)?;
        for inner in FOLDERS {
            builder
                .create(folder.path.join(inner))
                .with_context(named)?;
        }
        fs::write(folder.path.join(MARKER), "").with_context(named)?;
        Ok(folder)
    }

    /// The folder at `path`, if a mesh was made there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(
            path.join(MARKER).is_file(),
            "folder: no mesh was made in {}; `parallax-testbed up` makes one",
            path.display()
        );
        Self::lock(path)
    }

    fn lock(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("folder: {}", path.display());
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join(LOCK))
            .with_context(named)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => anyhow::bail!(
                "folder: another up, down or demo is at work in {}; wait until it ends",
                path.display()
            ),
            Err(fs::TryLockError::Error(error)) => return Err(error).with_context(named),
        }
        Ok(Self {
            shown: path.to_owned(),
            path: path.canonicalize().with_context(named)?,
            _lock: lock,
        })
    }

    /// A path in the folder, whole, so that it is the same from everywhere.
    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.path.join(inner)
    }

    /// A path in the folder as an argument of a command.
    pub(crate) fn argument(&self, inner: &str) -> anyhow::Result<String> {
        argument(&self.path(inner))
    }

    /// A path in the folder as the user named it, for people.
    pub(crate) fn shown(&self, inner: &str) -> String {
        self.shown.join(inner).display().to_string()
    }

    /// The file of a key, of `read` or `admin`.
    pub(crate) fn key(&self, scope: &str) -> Option<String> {
        let key = fs::read_to_string(self.path(&format!("{scope}.key"))).ok()?;
        Some(key.trim().to_owned()).filter(|key| !key.is_empty())
    }

    /// Writes a key, and the header with it that curl takes as `-H @FILE`.
    pub(crate) fn write_key(&self, scope: &str, key: &str) -> anyhow::Result<()> {
        self.write_private(&format!("{scope}.key"), key)?;
        let header = format!("authorization: Bearer {key}\n");
        self.write_private(&format!("{scope}.header"), &header)
    }

    /// Writes a file that nobody else may read.
    pub(crate) fn write_private(&self, inner: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(inner);
        let write = || {
            let mut options = OpenOptions::new();
            options.create(true).truncate(true).write(true).mode(0o600);
            let mut file = options.open(&path)?;
            // One that was there keeps its mode otherwise.
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    /// Removes what a mesh made, and the folder if nothing else is in it. Whether it is gone.
    pub(crate) fn purge(self) -> anyhow::Result<bool> {
        let gone = |result: std::io::Result<()>, path: &Path| match result {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        };
        for inner in FOLDERS {
            let path = self.path(inner);
            gone(fs::remove_dir_all(&path), &path)?;
        }
        for inner in FILES {
            let path = self.path(inner);
            gone(fs::remove_file(&path), &path)?;
        }
        Ok(fs::remove_dir(&self.path).is_ok())
    }
}

/// A path as an argument of a command, which is kept as text.
pub(crate) fn argument(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| format!("{} is not UTF-8; use another folder", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_worked_in_once_and_purged_only_of_what_is_ours() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("mesh");
        assert!(Folder::open(&path).is_err(), "nothing was made yet");
        let folder = Folder::make(&path).unwrap();
        let error = Folder::open(&path).unwrap_err().to_string();
        assert!(error.contains("another up, down or demo"), "{error}");
        folder.write_key("read", "plxk_1").unwrap();
        assert_eq!(folder.key("read").as_deref(), Some("plxk_1"));
        let header = folder.path("read.header");
        assert_eq!(
            fs::read_to_string(&header).unwrap(),
            "authorization: Bearer plxk_1\n"
        );
        let mode = fs::metadata(&header).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(path.join("notes.txt"), "mine").unwrap();
        assert!(!folder.purge().unwrap(), "something else is in it");
        let left: Vec<_> = fs::read_dir(&path).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");

        fs::remove_file(path.join("notes.txt")).unwrap();
        assert!(Folder::make(&path).unwrap().purge().unwrap());
        assert!(!path.exists());
    }
}
