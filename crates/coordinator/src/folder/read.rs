//! Reads the files of the folder, as they are at one moment.

use std::collections::BTreeMap;
use std::path::Path;

use model::file::{self, Format, MAX_FILE_BYTES, MonitorFile, Source};

/// Files of a folder, and what they have together: several times what the most monitors take.
const MAX_FILES: usize = 1000;
const MAX_BYTES: usize = 16 << 20;
/// How often it is tried to see the same twice.
const TRIES: usize = 3;

/// Names and texts.
pub(super) type Contents = BTreeMap<String, String>;

/// What the folder has. Files are read one after the other, and somebody may swap them meanwhile:
/// so they are read until they are twice the same.
pub(super) fn contents(folder: &Path) -> Result<Contents, String> {
    let mut before = once(folder)?;
    for _ in 0..TRIES {
        let now = once(folder)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err("changes while it is read; it will be read again".to_owned())
}

/// What the files say together.
pub(super) fn parsed(contents: &Contents) -> Result<MonitorFile, String> {
    let sources = contents.iter().filter_map(|(name, text)| {
        let format = Format::of_name(name)?;
        Some(Source { name, text, format })
    });
    let variable = |name: &str| std::env::var(name).ok();
    let parsed = file::parse_all(&sources.collect::<Vec<_>>(), &variable);
    parsed.map_err(|problems| problems.to_string())
}

/// Reads each file once. Links are followed: a ConfigMap is mounted as such.
fn once(folder: &Path) -> Result<Contents, String> {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut contents = Contents::new();
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(named)? {
        let entry = entry.map_err(named)?;
        let Some(name) = monitors_in(&entry.file_name()) else {
            continue;
        };
        let path = entry.path();
        let bad = |problem: String| format!("{}: {problem}", model::text::line(&name, 200));
        let about = std::fs::metadata(&path).map_err(|error| bad(error.to_string()))?;
        if !about.is_file() {
            return Err(bad("is no file".to_owned()));
        }
        if about.len() > MAX_FILE_BYTES as u64 {
            return Err(bad(format!("more than {MAX_FILE_BYTES} bytes; split it")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
        bytes += text.len();
        contents.insert(name, text);
        if contents.len() > MAX_FILES || bytes > MAX_BYTES {
            let most = format!("{MAX_FILES} files or {MAX_BYTES} bytes");
            return Err(format!("{}: more than {most}", folder.display()));
        }
    }
    Ok(contents)
}

/// The name of a file, if it is one of monitors. What begins with a dot belongs to others, such as
/// editors, and the volume itself.
fn monitors_in(name: &std::ffi::OsStr) -> Option<String> {
    let name = name.to_str()?;
    let is_ours = !name.starts_with('.') && Format::of_name(name).is_some();
    is_ours.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ConfigMap's volume: files are links into a folder that a link names, which is swapped.
    #[cfg(unix)]
    #[test]
    fn a_mounted_config_map_is_read_through_its_links() {
        use std::os::unix::fs::symlink;

        let volume = tempfile::tempdir().unwrap();
        let at = |name: &str| volume.path().join(name);
        for (revision, text) in [("..1", "monitors: []"), ("..2", "monitors: {}")] {
            std::fs::create_dir(at(revision)).unwrap();
            std::fs::write(at(revision).join("a.yaml"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        std::fs::write(at("README"), "no monitors").unwrap();
        std::fs::write(at(".a.yaml"), "an editor's").unwrap();
        let read = || contents(volume.path()).unwrap();
        let expected = |text: &str| Contents::from([("a.yaml".to_owned(), text.to_owned())]);
        assert_eq!(read(), expected("monitors: []"));
        symlink("..2", at("..new")).unwrap();
        std::fs::rename(at("..new"), at("..data")).unwrap();
        assert_eq!(read(), expected("monitors: {}"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = contents(&folder.path().join("none")).unwrap_err();
        assert!(missing.contains("none: No such file"), "{missing}");
        std::fs::write(folder.path().join("a.json"), [0xff]).unwrap();
        let binary = contents(folder.path()).unwrap_err();
        assert!(binary.starts_with("a.json: "), "{binary}");
        std::fs::write(folder.path().join("a.json"), "{}").unwrap();
        let problem = parsed(&contents(folder.path()).unwrap()).unwrap_err();
        assert!(problem.starts_with("a.json: has no monitors"), "{problem}");
        std::fs::create_dir(folder.path().join("b.toml")).unwrap();
        let folder = contents(folder.path()).unwrap_err();
        assert_eq!(folder, "b.toml: is no file");
    }
}
