//! Processes that outlive the command which started them: their pid files, and how to be sure
//! that a pid is still theirs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::folder::Folder;

/// A log that is larger begins anew when its process does.
const MAX_LOG: u64 = 16 << 20;
/// How much of a log is shown when its process failed.
const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 16 << 10;

/// A process that was started, as its pid file keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pid: u32,
    /// When it started, in the kernel's ticks since `boot`: with it a pid is unique.
    started: u64,
    boot: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The length of its log before it began.
    log_from: u64,
}

/// What the kernel says of a pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    is_dead: bool,
    started: u64,
}

impl Process {
    /// Starts `command` in a process group of its own, with its output in the log `name`, and
    /// keeps its pid file.
    pub(crate) fn start(folder: &Folder, name: &str, command: &[String]) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().context("an empty command")?;
        let log = folder.path(&format!("logs/{name}.log"));
        let open = || {
            let log = OpenOptions::new().create(true).append(true).open(&log)?;
            if log.metadata()?.len() > MAX_LOG {
                log.set_len(0)?;
            }
            Ok::<File, io::Error>(log)
        };
        let log = open().with_context(|| format!("opening {}", log.display()))?;
        let log_from = log.metadata()?.len();
        let mut child = Command::new(program);
        child
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C at this terminal is not for it.
            .process_group(0);
        // The settings of the user's own agents and clients are not for this mesh.
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("PARALLAX_") && text != telemetry::logs::FILTER_VARIABLE {
                child.env_remove(&variable);
            }
        }
        let child = child
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let pid = child.id();
        let process = Self {
            pid,
            // One that ended already has no time; then it is dead to all who ask.
            started: stat(pid).map_or(0, |stat| stat.started),
            boot: boot()?,
            command: command.to_vec(),
            log_from,
        };
        let text = serde_json::to_string_pretty(&process)?;
        folder.write_private(&pid_file(name), &text)?;
        Ok(process)
    }

    /// The process that the pid file of `name` speaks of, if it lives.
    pub(crate) fn find(folder: &Folder, name: &str) -> Option<Self> {
        Self::record(folder, name).filter(Self::is_alive)
    }

    /// What the pid file of `name` says, of a process that may be dead.
    pub(crate) fn record(folder: &Folder, name: &str) -> Option<Self> {
        let text = fs::read_to_string(folder.path(&pid_file(name))).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Removes the pid file of `name`.
    pub(crate) fn forget(folder: &Folder, name: &str) -> anyhow::Result<()> {
        let path = folder.path(&pid_file(name));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the pid is still this process, and not one that came after it.
    pub(crate) fn is_alive(&self) -> bool {
        let is_same = |stat: Stat| !stat.is_dead && stat.started == self.started;
        stat(self.pid).is_some_and(is_same) && boot().is_ok_and(|boot| boot == self.boot)
    }

    /// Whether its program was built anew since it started.
    pub(crate) fn is_outdated(&self) -> bool {
        let link = fs::read_link(format!("/proc/{}/exe", self.pid));
        // proc_pid_exe(5): so the kernel shows a file that was replaced.
        link.is_ok_and(|path| path.as_os_str().as_encoded_bytes().ends_with(b" (deleted)"))
    }

    /// Asks the process to end, or ends it (`Signal::KILL`). One that is gone already is fine.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} is no pid", self.pid))?;
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            return Ok(());
        };
        // The handle stays with the process, so what is seen now holds when the signal is sent.
        if !self.is_alive() {
            return Ok(());
        }
        match pidfd_send_signal(&handle, signal) {
            Err(error) if error != rustix::io::Errno::SRCH => {
                Err(error).with_context(|| format!("signalling {}", self.pid))
            }
            _ => Ok(()),
        }
    }

    /// The value of a flag that it was started with.
    pub(crate) fn flag(&self, flag: &str) -> Option<&str> {
        let at = self.command.iter().position(|argument| argument == flag)?;
        self.command.get(at + 1).map(String::as_str)
    }

    /// The last lines that this process wrote, and where the rest is.
    pub(crate) fn last_words(&self, folder: &Folder, name: &str) -> String {
        let inner = format!("logs/{name}.log");
        let text = tail(&folder.path(&inner), self.log_from).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len().saturating_sub(TAIL_LINES);
        let mut words = format!("its log is {}", folder.shown(&inner));
        for line in &lines[last..] {
            words.push_str("\n  ");
            words.push_str(line);
        }
        words
    }
}

fn pid_file(name: &str) -> String {
    format!("pids/{name}")
}

fn tail(path: &std::path::Path, from: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let from = from.max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn boot() -> io::Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim().to_owned())
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 3 and 22 of `/proc/PID/stat` (`proc_pid_stat(5)`). The second one, the name, may hold
/// spaces and brackets.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    // A zombie is one whose parent has not asked yet.
    let is_dead = matches!(state, "Z" | "X" | "x");
    Some(Stat { is_dead, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read() {
        let rest = "S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 31 2";
        let zombie = rest.replacen('S', "Z", 1);
        let alive = Some(Stat {
            is_dead: false,
            started: 4711,
        });
        let dead = alive.map(|stat| Stat {
            is_dead: true,
            ..stat
        });
        let table = [
            (format!("12 (parallax-agent) {rest}"), alive),
            (format!("12 (a b) S (c) {rest}"), alive),
            (format!("12 (x) {zombie}"), dead),
            ("12 (x) S 1 2".to_owned(), None),
            ("12 x".to_owned(), None),
            (String::new(), None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_stat(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_pid_that_is_anothers_is_never_signalled() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::make(&outer.path().join("mesh")).unwrap();
        let command = ["/bin/sleep", "60"].map(str::to_owned);
        let process = Process::start(&folder, "sleeper", &command).unwrap();
        assert_eq!(Process::find(&folder, "sleeper"), Some(process.clone()));
        assert_eq!(process.flag("/bin/sleep"), Some("60"));
        assert!(!process.is_outdated());

        // The same pid at another time, in another life of the machine; and another process.
        let changes: [fn(&mut Process); 3] = [
            |other| other.started += 1,
            |other| other.boot = "another".to_owned(),
            |other| other.pid = 1,
        ];
        for change in changes {
            let mut other = process.clone();
            change(&mut other);
            assert!(!other.is_alive(), "{other:?}");
            other.signal(Signal::KILL).unwrap();
            let text = serde_json::to_string(&other).unwrap();
            folder.write_private("pids/other", &text).unwrap();
            assert_eq!(Process::find(&folder, "other"), None);
        }
        assert!(process.is_alive());
        process.signal(Signal::KILL).unwrap();
        while process.is_alive() {
            std::thread::yield_now();
        }
        process.signal(Signal::TERM).unwrap();
        Process::forget(&folder, "sleeper").unwrap();
        Process::forget(&folder, "sleeper").unwrap();
        folder.write_private("pids/broken", "{}").unwrap();
        assert_eq!(Process::find(&folder, "broken"), None);
    }

    #[test]
    fn a_process_that_ends_says_why() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::make(&outer.path().join("mesh")).unwrap();
        let script = "for n in $(seq 40); do echo line $n; done; echo 'the end' >&2";
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let process = Process::start(&folder, "talker", &command).unwrap();
        while process.is_alive() {
            std::thread::yield_now();
        }
        let words = process.last_words(&folder, "talker");
        assert!(words.contains("logs/talker.log"), "{words}");
        assert!(words.ends_with("line 40\n  the end"), "{words}");
        assert!(!words.contains("line 20\n"), "{words}");
    }
}
