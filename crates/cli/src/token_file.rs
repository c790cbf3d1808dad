//! A file with the tokens of a user: read, and replaced whole, so that nobody ever finds half of it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use auth::TokenSet;

/// The largest file of tokens.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// A file of tokens that cannot be used. Nothing of it is shown.
#[derive(Debug, thiserror::Error)]
#[error("{option} {}: {problem}", path.display())]
pub(crate) struct BadFile {
    option: &'static str,
    path: PathBuf,
    problem: String,
}

/// Reads a file of tokens.
pub(crate) fn read(option: &'static str, path: &Path) -> Result<TokenSet, BadFile> {
    use std::io::Read as _;
    let bad = |problem: String| BadFile {
        option,
        path: path.to_owned(),
        problem,
    };
    let file = std::fs::File::open(path).map_err(|error| bad(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES).read_to_string(&mut text);
    read.map_err(|error| bad(error.to_string()))?;
    TokenSet::read(&text).map_err(|error| bad(error.to_string()))
}

/// Writes a file of tokens, mode 0600, in place of the old one.
pub(crate) fn write(option: &'static str, path: &Path, set: &TokenSet) -> Result<(), BadFile> {
    let written = (|| {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        // One that a crash left behind may have another mode.
        let _ = std::fs::remove_file(&new);
        let mut file = std::fs::File::options()
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
