//! Real MCP servers and tools that nobody here wrote, installed from their registries into a
//! cache by `tests/fixtures/install.sh`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where `install.sh` put them; `None`, with a printed reason, where they are not installed.
///
/// # Panics
/// Where `PARALLAX_REQUIRE_REAL=1` forbids to go without.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skip is said aloud")]
pub fn installed() -> Option<PathBuf> {
    let cache = std::env::var_os("PARALLAX_REAL_DIR")
        .map(PathBuf::from)
        .or_else(|| {
            std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/parallax/real"))
        });
    let complete = cache.filter(|cache| cache.join("complete").exists());
    if complete.is_none() {
        let required = std::env::var("PARALLAX_REQUIRE_REAL").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "real servers are required; run tests/fixtures/install.sh"
        );
        eprintln!("skipped: real servers are not installed; run tests/fixtures/install.sh");
    }
    complete
}

/// A server process, killed when dropped.
pub struct RealServer {
    child: Child,
    address: SocketAddr,
}

impl RealServer {
    /// Starts `command` with `PORT` and its `{port}` arguments set, and waits until it listens.
    ///
    /// # Panics
    /// Where the server does not listen within half a minute.
    #[must_use]
    pub fn start(command: Command, args: &[&str]) -> Self {
        Self::start_at(free_address(), command, args)
    }

    /// The same at a chosen address, for a server that must know what stands in front of it.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_at(address: SocketAddr, mut command: Command, args: &[&str]) -> Self {
        let port = address.port().to_string();
        command.args(args.iter().map(|arg| arg.replace("{port}", &port)));
        let mut child = command
            .env("PORT", &port)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        for _ in 0..600 {
            if TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok() {
                return Self { child, address };
            }
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the server ended with {status}: {command:?}");
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let _ = child.kill();
        panic!("the server does not listen on {address}: {command:?}");
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of loopback that nobody listens on now.
#[must_use]
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// `node` of the installed version, with every server bound to loopback.
#[must_use]
pub fn node(real: &std::path::Path) -> Command {
    let mut command = Command::new(real.join("node/node_modules/.bin/node"));
    command.arg("--import").arg(fixture("loopback.mjs"));
    command
}

/// `python` of the installed environment.
#[must_use]
pub fn python(real: &std::path::Path) -> Command {
    Command::new(real.join("python/bin/python"))
}

/// A file of `tests/fixtures`.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}
