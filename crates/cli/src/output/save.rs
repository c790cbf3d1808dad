//! `--save`: the whole report in a file, at once or not at all, for nobody else to read.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("--save {}: {error}; name a file in a folder that exists and may be written", path.display())]
pub(crate) struct SaveError {
    path: PathBuf,
    error: std::io::Error,
}

/// A file that is to be written: opened before anything is probed, so that nothing is lost after.
#[derive(Debug)]
pub(crate) struct Evidence {
    path: PathBuf,
    file: NamedTempFile,
}

impl Evidence {
    /// Prepares a file beside `path`.
    pub(crate) fn prepare(path: &Path) -> Result<Self, SaveError> {
        let failed = |error| SaveError {
            path: path.to_owned(),
            error,
        };
        if path.is_dir() {
            return Err(failed(std::io::Error::other("this is a folder")));
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        // Mode 0600: a report names addresses and tools that not everybody should read.
        let file = tempfile::Builder::new()
            .prefix(".parallax-")
            .tempfile_in(folder)
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Writes it, and puts it in its place.
    pub(crate) fn keep(mut self, document: &impl serde::Serialize) -> Result<(), SaveError> {
        let json = super::pretty(document);
        let written = self.file.write_all(json.as_bytes());
        let written = written.and_then(|()| self.file.as_file().sync_all());
        let Self { path, file } = self;
        let kept = written.and_then(|()| {
            file.persist(&path)
                .map(drop)
                .map_err(|persist| persist.error)
        });
        kept.map_err(|error| SaveError { path, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_said_before_anything_is_probed() {
        let folder = tempfile::tempdir().unwrap();
        let error = Evidence::prepare(&folder.path().join("absent/evidence.json")).unwrap_err();
        assert!(error.to_string().starts_with("--save "), "{error}");
        assert!(Evidence::prepare(folder.path()).is_err());
        drop(Evidence::prepare(&folder.path().join("evidence.json")).unwrap());
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "what is not kept leaves nothing");
    }
}
