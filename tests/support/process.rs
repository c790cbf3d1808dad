//! The binaries, as processes that can be killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A binary that lies beside this test's own directory; cargo builds it for us.
///
/// # Panics
/// Where it was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.ancestors().nth(2).unwrap();
    let built = profile.join(name);
    assert!(built.exists(), "build it first: cargo build --bins");
    built
}

/// A running daemon. Dropping it kills it.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a binary; what it logs goes to the end of a file.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(name: &str, args: &[&str], log: &Path) -> Self {
        let mut command = Command::new(binary(name));
        command.args(args);
        Self::run(command, log)
    }

    /// Starts a command; what it logs goes to the end of a file.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn run(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .env_remove("PARALLAX_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it: no handler runs, nothing is flushed.
    ///
    /// # Panics
    /// Where it has ended on its own before.
    pub fn kill(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "ended on its own: {}", self.said());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has, for at most 15 s.
    ///
    /// # Panics
    /// Where it does not end.
    pub async fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.unwrap().success());
        for _ in 0..1500 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("does not end: {}", self.said());
    }

    /// What it has logged.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
