//! The folder of monitors that the coordinator follows, such as a ConfigMap that is mounted.
//!
//! It is looked at again and again, not watched: what a volume, a network file system or a swapped
//! link notifies differs. Files that are wrong in any way change nothing; the last good ones hold.

mod read;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::Store;

use crate::Hub;
use crate::registry::{self, Followed, NotFollowed};
use read::Contents;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// What is told of problems, in lines.
const MAX_LINES: usize = 20;

/// A folder that is followed.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// What holds now.
    good: Option<Contents>,
    problem: Option<String>,
    looked_at: jiff::Timestamp,
}

/// How the folder stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// `ok`, or `error`: then what held before holds.
    pub(crate) status: &'static str,
    pub(crate) problem: Option<String>,
    /// When it was last looked at.
    pub(crate) as_of: String,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            seen: Mutex::default(),
        }
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Standing {
        let seen = self.lock();
        Standing {
            status: if seen.problem.is_none() {
                "ok"
            } else {
                "error"
            },
            problem: seen.problem.clone(),
            as_of: seen.looked_at.to_string(),
        }
    }

    /// Whether what the files say is what holds.
    pub(crate) fn is_ok(&self) -> bool {
        self.lock().problem.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a look found; each problem is logged once.
    fn note(&self, found: Result<Option<(Contents, Followed)>, String>) {
        let mut seen = self.lock();
        seen.looked_at = telemetry::clock::wall();
        let folder = self.path.display();
        let problem = match found {
            Ok(None) => None,
            Ok(Some((contents, followed))) => {
                let files = contents.len();
                let Followed {
                    created,
                    changed,
                    removed,
                } = followed;
                tracing::info!(%folder, files, created, changed, removed, "monitors of files");
                seen.good = Some(contents);
                None
            }
            Err(problem) => Some(shortened(&problem)),
        };
        if problem == seen.problem {
            return;
        }
        match &problem {
            Some(problem) => tracing::error!(
                %folder, %problem, "monitors-dir: not followed; what held before holds"
            ),
            None => tracing::info!(%folder, "monitors-dir: followed again"),
        }
        seen.problem = problem;
    }
}

/// Looks at the folder again and again, until it is aborted.
pub(crate) async fn run<S: Store>(hub: Arc<Hub<S>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        look(&hub).await;
    }
}

/// Looks at the folder once, and follows it. That it cannot be followed is no failure of ours.
pub(crate) async fn look<S: Store>(hub: &Hub<S>) {
    if let Some(folder) = &hub.folder {
        let found = found(hub, folder).await;
        folder.note(found);
    }
}

/// What is new, and was done; none where nothing is.
async fn found<S: Store>(
    hub: &Hub<S>,
    folder: &Folder,
) -> Result<Option<(Contents, Followed)>, String> {
    let path = folder.path.clone();
    let contents = tokio::task::spawn_blocking(move || read::contents(&path)).await;
    let contents = contents.map_err(|error| error.to_string())??;
    if folder.lock().good.as_ref() == Some(&contents) {
        return Ok(None);
    }
    if contents.is_empty() {
        let marked = registry::of_files(&hub.store).await;
        if marked.is_ok_and(|marked| !marked.is_empty()) {
            // It looks the same as a volume that is not mounted.
            let way_out = "to remove all monitors, leave one that says `monitors: []`";
            return Err(format!("there is no file any more; {way_out}"));
        }
    }
    let file = read::parsed(&contents)?;
    match registry::follow(hub, &file.monitors).await {
        Ok(followed) => Ok(Some((contents, followed))),
        Err(error) => {
            if let NotFollowed::Store(_) = error {
                // It may have stopped half way: whatever is there next is followed anew.
                folder.lock().good = None;
            }
            Err(error.to_string())
        }
    }
}

/// The first lines.
fn shortened(problem: &str) -> String {
    let count = problem.lines().count();
    if count <= MAX_LINES {
        return problem.to_owned();
    }
    let lines: Vec<&str> = problem.lines().take(MAX_LINES).collect();
    format!("{}\nand {} lines more", lines.join("\n"), count - MAX_LINES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_stands_until_it_is_gone_and_is_not_long() {
        let folder = Folder::new("/none".into());
        assert!(folder.is_ok());
        folder.note(Err("line\n".repeat(50)));
        let standing = folder.standing();
        assert_eq!(standing.status, "error");
        let problem = standing.problem.unwrap();
        assert_eq!(problem.lines().count(), MAX_LINES + 1);
        assert!(problem.ends_with("and 30 lines more"));
        folder.note(Ok(None));
        assert!(folder.is_ok());
    }
}
