//! A file with the tokens of a user: read, and replaced whole, so that nobody ever finds half of it, by
//! one command at a time.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use auth::TokenSet;
use tokio::time::Instant;

/// The largest file of tokens.
const MAX_FILE_BYTES: u64 = 256 << 10;
/// How long another command may take to renew the tokens: it asks for 15 s at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the lock is tried.
const AGAIN: Duration = Duration::from_millis(50);

/// A file of tokens that cannot be used. Nothing of it is shown.
#[derive(Debug, thiserror::Error)]
#[error("{option} {}: {problem}", path.display())]
pub(crate) struct BadFile {
    option: &'static str,
    path: PathBuf,
    problem: String,
}

/// The right to replace a file of tokens, until it is dropped or the process ends.
///
/// A refresh token may be good once: two commands that renew at once would spend the same one, and
/// authorization servers take that for a theft and end all tokens of the user (RFC 9700 section
/// 4.14.2). The lock is advisory and on a file of its own beside the tokens, because the file of the
/// tokens is replaced. It stays, empty: whoever removed it could remove one that another has locked.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held")] File);

/// Waits for the right to replace a file of tokens.
pub(crate) async fn lock(option: &'static str, path: &Path) -> Result<Lock, BadFile> {
    lock_within(option, path, PATIENCE).await
}

async fn lock_within(
    option: &'static str,
    path: &Path,
    patience: Duration,
) -> Result<Lock, BadFile> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let bad = |problem: String| BadFile {
        option,
        path: path.to_owned(),
        problem,
    };
    let shown = model::text::line(&beside.to_string_lossy(), 160);
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&beside);
    let file = opened.map_err(|error| bad(format!("its lock {shown}: {error}")))?;
    let end = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(TryLockError::WouldBlock) => {
                let seconds = patience.as_secs();
                return Err(bad(format!(
                    "another command has been renewing these tokens for {seconds} s (it holds \
                     {shown}); wait until it has ended, or end it, and try again"
                )));
            }
            Err(TryLockError::Error(error)) => {
                return Err(bad(format!("its lock {shown}: {error}")));
            }
        }
    }
}

/// Reads a file of tokens.
pub(crate) fn read(option: &'static str, path: &Path) -> Result<TokenSet, BadFile> {
    use std::io::Read as _;
    let bad = |problem: String| BadFile {
        option,
        path: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(|error| bad(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES).read_to_string(&mut text);
    read.map_err(|error| bad(error.to_string()))?;
    TokenSet::read(&text).map_err(|error| bad(error.to_string()))
}

/// Writes a file of tokens, mode 0600, in place of the old one.
pub(crate) fn write(
    option: &'static str,
    path: &Path,
    set: &TokenSet,
    _lock: &Lock,
) -> Result<(), BadFile> {
    let written = (|| {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        // One that a crash left behind may have another mode.
        let _ = std::fs::remove_file(&new);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(set.write().expose().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    })();
    written.map_err(|error| BadFile {
        option,
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_command_at_a_time_may_replace_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let held = lock("--token-set", &path).await.unwrap();
        let error = lock_within("--token-set", &path, Duration::ZERO).await;
        let said = error.unwrap_err().to_string();
        let begin = format!("--token-set {}: another command has been", path.display());
        assert!(said.starts_with(&begin), "{said}");
        assert!(said.contains("tokens.json.lock); wait until"), "{said}");
        let (waiting, ()) = tokio::join!(lock("--out", &path), async { drop(held) });
        drop(waiting.unwrap());
        let nowhere = folder.path().join("gone/tokens.json");
        let said = lock("--out", &nowhere).await.unwrap_err().to_string();
        assert!(
            said.contains("its lock") && said.contains("No such file"),
            "{said}"
        );
    }
}
