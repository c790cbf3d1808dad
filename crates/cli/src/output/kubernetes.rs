//! The termination message of a pod: `kubectl describe` shows why a hook's job failed.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Where kubelet reads it, unless the container has another `terminationMessagePath`.
const DEFAULT_PATH: &str = "/dev/termination-log";
/// Names another path.
const VARIABLE: &str = "PARALLAX_TERMINATION_LOG";
/// Kubelet takes 4096 bytes of a container; a character may have four.
const MAX_CHARS: usize = 1000;

/// Writes a verdict where this is a pod. A pod without such a file has none, and that is all.
pub(crate) fn tell(line: &str) {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return;
    }
    let path = std::env::var_os(VARIABLE).unwrap_or_else(|| DEFAULT_PATH.into());
    if let Err(error) = write(Path::new(&path), line) {
        tracing::debug!(%error, "no termination message");
    }
}

fn write(path: &Path, line: &str) -> std::io::Result<()> {
    // Opening a pipe would wait for its reader.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("no file"));
    }
    let mut file = File::options().write(true).truncate(true).open(path)?;
    writeln!(file, "{}", model::text::line(line, MAX_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_one_short_line_in_a_file_that_is_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "what was there before, and longer than the new one",
        )
        .unwrap();
        write(file.path(), "unhealthy: two\nlines").unwrap();
        let said = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(said, "unhealthy: two lines\n");
        write(file.path(), &"\u{1f980}".repeat(5000)).unwrap();
        assert!(std::fs::metadata(file.path()).unwrap().len() <= 4096);
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), "x").is_err());
        let absent = folder.path().join("absent");
        assert!(write(&absent, "x").is_err() && !absent.exists());
    }
}
