//! How true the phases of a report are: known delays are put into each phase of an exchange, and
//! what `parallax probe`, `curl -w` and `blackbox_exporter` say of it is held against the packets.
//!
//! ```text
//! make build && cargo run -p benches --profile ci --bin timing-truth [-- SAMPLES]
//! ```
//!
//! As root, with `tshark`, `curl` and `prometheus-blackbox-exporter` (packages of Debian). It goes into a
//! network of its own (`unshare`): nobody else's packets are captured, port 53 is free, and loopback has the
//! MTU of an Ethernet.

mod timing_truth {
    pub(crate) mod capture;
    pub(crate) mod peers;
    pub(crate) mod server;
    pub(crate) mod table;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;
use testbed::ca::{Ca, Flaw};
use testbed::dns::NameServer;
use timing_truth::capture::Capture;
use timing_truth::peers::{self, Exporters, Peer, Sample};
use timing_truth::server::{Delays, Server};
use timing_truth::table::{self, Row};

/// The name of the server, which only the bench's name server knows.
const NAME: &str = "mcp.timing.example";
/// Samples of each delay where the command line says nothing.
const SAMPLES: usize = 20;
/// What the kernel takes of a request before the server has read it: least, at first, at most.
const SEND_BUFFER: &str = "4096 16384 16384";
/// What tells a process that it is in a network of its own.
const INSIDE: &str = "--inside";
/// Lets the kernel hand over what it captured last.
const DRAIN: Duration = Duration::from_millis(500);

/// A phase, and the delay that is put into it.
const INJECTED: [(&str, u64); 12] = [
    ("nothing", 0),
    ("dns", 20),
    ("dns", 200),
    ("connect", 1000),
    ("tls", 20),
    ("tls", 200),
    ("send", 20),
    ("send", 200),
    ("wait", 20),
    ("wait", 200),
    ("receive", 20),
    ("receive", 200),
];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = &args[..]
        && first == INSIDE
    {
        return inside(rest);
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private"]);
    command.arg(std::env::current_exe()?).arg(INSIDE).args(args);
    ran(command.status().context("unshare")?)
}

fn ran(status: ExitStatus) -> anyhow::Result<()> {
    anyhow::ensure!(status.success(), "{status}");
    Ok(())
}

#[tokio::main(worker_threads = 2)]
async fn inside(args: &[String]) -> anyhow::Result<()> {
    let samples = match args {
        [] => SAMPLES,
        [number] => number.parse().context("SAMPLES")?,
        _ => anyhow::bail!("usage: timing-truth [SAMPLES]"),
    };
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    network(folder)?;
    let here: IpAddr = Ipv4Addr::LOCALHOST.into();
    let names = NameServer::start_at(SocketAddr::new(here, 53), &[(NAME, &[here])], 60).await?;
    let ca = Ca::new()?;
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, ca.pem())?;
    let server = Server::start(ca.server(&[NAME], Flaw::None)?)?;
    let _exporters = Exporters::start(folder, &ca_file)?;
    let mut capture = Capture::start(&folder.join("truth.pcapng")).await?;
    let mut said: Vec<(&str, u64, Sample)> = Vec::new();
    for (phase, millis) in INJECTED {
        names.late(if phase == "dns" { millis } else { 0 });
        let delays = Delays::of(phase, Duration::from_millis(millis));
        // The kernel waits a second before it tries to connect again.
        let samples = if phase == "connect" {
            samples.div_ceil(4)
        } else {
            samples
        };
        for _ in 0..samples {
            for peer in peers::ALL {
                let is_big = phase == "send";
                if is_big && peer == Peer::Agent {
                    continue; // its modules have no header that large
                }
                let port = server.expect(delays).await?;
                let sample = peers::run(peer, (NAME, port), &ca_file, is_big).await;
                said.push((
                    phase,
                    millis,
                    sample.with_context(|| format!("{phase} {millis}"))?,
                ));
            }
        }
    }
    tokio::time::sleep(DRAIN).await;
    let exchanges = capture.finish()?;
    let mut rows = Vec::new();
    for (phase, millis, sample) in said {
        let truth = exchanges.of(&sample);
        let truth = truth.with_context(|| format!("no packets of {sample:?}"))?;
        rows.push(Row {
            injected: (phase, millis),
            peer: sample.peer,
            said: sample.phases,
            truth,
        });
    }
    table::print(&rows)
}

/// Loopback like an Ethernet, and a resolver that is the bench's own.
fn network(folder: &Path) -> anyhow::Result<()> {
    let up = ["link", "set", "lo", "up", "mtu", "1500"];
    ran(Command::new("ip").args(up).status().context("ip")?)?;
    let resolver = folder.join("resolv.conf");
    std::fs::write(&resolver, "nameserver 127.0.0.1\n")?;
    // What a large request does to `send` shows only where the kernel does not take all of it at once.
    std::fs::write("/proc/sys/net/ipv4/tcp_wmem", SEND_BUFFER).context("tcp_wmem")?;
    let mut mount = Command::new("mount");
    mount.arg("--bind").arg(&resolver).arg("/etc/resolv.conf");
    ran(mount.status().context("mount")?)
}
