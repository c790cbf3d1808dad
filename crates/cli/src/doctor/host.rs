//! What the host itself has: authorities and a disk.

use std::io::Write as _;
use std::path::Path;

use super::{Line, What};

/// Room that a data folder should have: twice what an agent's spool takes by default (256 MiB).
const MIN_FREE_BYTES: u64 = 512 << 20;

pub(super) fn tls_roots() -> Line {
    let roots = dial::system_roots();
    let what = What::TlsRoots;
    let apt = "install the system's: apt install ca-certificates";
    match (roots.usable, roots.problem) {
        (0, Some(problem)) => Line::fail(
            what,
            format!("the system's store cannot be read: {problem}"),
            format!("check SSL_CERT_FILE and SSL_CERT_DIR, or {apt}"),
        ),
        (0, None) => Line::skipped(
            what,
            "the system has none; those of this build (Mozilla's) are used",
            format!("to follow the system's, {apt}"),
        ),
        (usable, _) => Line::pass(what, format!("{usable} authorities of the system")),
    }
}

/// Whether a folder can be written, durably, and has room.
pub(super) fn disk(folder: Option<&Path>) -> Line {
    let what = What::Disk;
    let Some(folder) = folder else {
        return Line::skipped(what, "no folder was named", "give --state-dir FOLDER");
    };
    let shown = folder.display();
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(b"parallax doctor\n")?;
        file.as_file().sync_all()
    });
    if let Err(error) = written {
        let cure = format!("as the user that will run it: mkdir -p {shown} && touch {shown}/test");
        return Line::fail(what, format!("{shown}: {error}"), cure);
    }
    match rustix::fs::statvfs(folder) {
        Ok(volume) => room(
            &shown.to_string(),
            volume.f_bavail.saturating_mul(volume.f_frsize),
        ),
        Err(error) => {
            let cure = "is the volume still mounted?";
            Line::fail(what, format!("{shown}: {error}"), cure)
        }
    }
}

fn room(folder: &str, free: u64) -> Line {
    let mib = free >> 20;
    let detail = format!("{folder} can be written, {mib} MiB free");
    if free < MIN_FREE_BYTES {
        let wanted = MIN_FREE_BYTES >> 20;
        let cure =
            format!("make room: an agent's spool takes up to 256 MiB, and {wanted} MiB leave some");
        return Line::fail(What::Disk, detail, cure);
    }
    Line::pass(What::Disk, detail)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_folder_must_be_there_and_have_room() {
        let folder = tempfile::tempdir().unwrap();
        let absent = disk(Some(&folder.path().join("absent")));
        assert_eq!(absent.result, Verdict::Fail);
        assert!(absent.cure.contains("mkdir -p"), "{}", absent.cure);
        assert_eq!(disk(None).result, Verdict::Skipped);
        assert_eq!(room("/x", MIN_FREE_BYTES - 1).result, Verdict::Fail);
        assert_eq!(room("/x", MIN_FREE_BYTES).result, Verdict::Pass);
        disk(Some(folder.path()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
