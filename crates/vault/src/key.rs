//! The key, its file, and what it seals.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// Bytes of a key.
const KEY_LEN: usize = 32;

/// A key that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read or made.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read the file.
    #[error("{}: others may read it (mode {mode:o}); run `chmod 600` on it", path.display())]
    Readable {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{}: holds {len} bytes and no key of {KEY_LEN}; restore it from a backup, or remove it together with the data beside it", path.display())]
    Length {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        len: usize,
    },
}

/// Something that could not be sealed or opened: another key, another context, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed with another key, or damaged")]
pub struct SealError;

/// A key of AES-256-GCM.
pub struct Key(RandomizedNonceKey);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The key of a file.
    ///
    /// # Errors
    /// The file cannot be read, others may read it, or it holds no key.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file = File::open(path).map_err(|error| OpenError::Io {
            path: path.to_owned(),
            error,
        })?;
        Self::read(path, file)
    }

    /// The key of a file; a new one where there is no file yet.
    ///
    /// # Errors
    /// As [`Self::open`], or the file cannot be made.
    pub fn open_or_create(path: &Path) -> Result<Self, OpenError> {
        if path.exists() {
            return Self::open(path);
        }
        Self::create(path).map_err(|error| OpenError::Io {
            path: path.to_owned(),
            error,
        })
    }

    fn read(path: &Path, mut file: File) -> Result<Self, OpenError> {
        let io = |error| OpenError::Io {
            path: path.to_owned(),
            error,
        };
        let mode = file.metadata().map_err(io)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(OpenError::Readable {
                path: path.to_owned(),
                mode,
            });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        Self::of(&bytes).ok_or_else(|| OpenError::Length {
            path: path.to_owned(),
            len: bytes.len(),
        })
    }

    /// Whole and on the medium before it is used, or not there: under another name first.
    fn create(path: &Path) -> io::Result<Self> {
        let mut bytes = [0; KEY_LEN];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
        let new = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            File::open(folder)?.sync_all()?;
        }
        Self::of(&bytes).ok_or_else(|| io::Error::other("no key"))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let exact = bytes.len() == KEY_LEN;
        let key = exact.then(|| RandomizedNonceKey::new(&AES_256_GCM, bytes));
        key?.ok().map(Self)
    }

    /// Seals `plain` for `context`.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(context), &mut sealed);
        let nonce = nonce.map_err(|_| SealError)?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        Ok(whole)
    }

    /// Opens what was sealed for `context`.
    ///
    /// # Errors
    /// It was sealed with another key or for another context, or was changed since.
    pub fn open_sealed(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut body = body.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(context), &mut body);
        plain.map(|plain| plain.to_vec()).map_err(|_| SealError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_context_only() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::open_or_create(&folder.path().join("a.key")).unwrap();
        let again = Key::open(&folder.path().join("a.key")).unwrap();
        let other = Key::open_or_create(&folder.path().join("b.key")).unwrap();
        let sealed = key.seal(b"docs", b"Bearer s3cret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
        assert_ne!(sealed, key.seal(b"docs", b"Bearer s3cret").unwrap());
        assert_eq!(
            again.open_sealed(b"docs", &sealed).unwrap(),
            b"Bearer s3cret"
        );
        assert_eq!(other.open_sealed(b"docs", &sealed), Err(SealError));
        assert_eq!(key.open_sealed(b"shop", &sealed), Err(SealError));
        let mut damaged = sealed;
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(key.open_sealed(b"docs", &damaged), Err(SealError));
        assert_eq!(key.open_sealed(b"docs", &damaged[..5]), Err(SealError));
    }

    #[test]
    fn a_key_file_is_private_and_whole_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.key");
        assert!(Key::open(&path).is_err(), "none is made unasked");
        Key::open_or_create(&path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = Key::open(&path).unwrap_err().to_string();
        assert!(error.contains("secrets.key: others may read it (mode 640)"));
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"short").unwrap();
        let error = Key::open(&path).unwrap_err().to_string();
        assert!(error.contains("holds 5 bytes and no key of 32"), "{error}");
        let nowhere = folder.path().join("no/such/folder.key");
        assert!(Key::open_or_create(&nowhere).is_err());
    }
}
