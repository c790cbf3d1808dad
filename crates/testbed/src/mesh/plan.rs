//! Which processes a mesh has, with which commands, in the order of their start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::folder::{Folder, argument};
use crate::world::layout::{self, AGENTS, Agent, Ports};

pub(crate) const WORLD: &str = "world";
pub(crate) const COORDINATOR: &str = "coordinator";

/// Where the parts of a mesh listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct Addresses {
    /// Where the coordinator serves API and metrics
    #[arg(long, default_value = Self::HTTP, value_name = "ADDRESS")]
    pub http: SocketAddr,
    /// Where agents connect
    #[arg(long, default_value = Self::GRPC, value_name = "ADDRESS")]
    pub grpc: SocketAddr,
    /// Where the world is told what to break
    #[arg(long, default_value = Self::CONTROL, value_name = "ADDRESS")]
    pub control: SocketAddr,
    /// Where targets and name servers listen
    #[command(flatten)]
    pub ports: Ports,
}

impl Addresses {
    /// Where the coordinator serves its API if nothing else is said.
    pub const HTTP: &str = "127.0.0.1:7080";
    /// Where agents connect if nothing else is said.
    pub const GRPC: &str = "127.0.0.1:7443";
    /// Where the world is told what to break if nothing else is said.
    pub const CONTROL: &str = "127.0.0.1:7090";
}

/// The names of all processes, in the order of their start.
pub(crate) fn names() -> impl DoubleEndedIterator<Item = &'static str> {
    let agents = AGENTS.iter().map(|agent| agent.name);
    [WORLD, COORDINATOR].into_iter().chain(agents)
}

/// Commands of the processes of a mesh.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) addresses: Addresses,
    binaries: PathBuf,
}

impl<'a> Plan<'a> {
    /// A plan with the binaries of a folder; by default of the one that this program is in.
    pub(crate) fn new(
        folder: &'a Folder,
        addresses: Addresses,
        binaries: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("where this program is")?;
        let named = binaries.or_else(|| own.parent()).context("no folder")?;
        let binaries = named
            .canonicalize()
            .with_context(|| format!("bin: {}", named.display()))?;
        for binary in ["parallax-agent", "parallax-coordinator", "parallax-testbed"] {
            anyhow::ensure!(
                binaries.join(binary).is_file(),
                "bin: there is no {binary} in {}; run `make build`, or name another folder",
                binaries.display()
            );
        }
        Ok(Self {
            folder,
            addresses,
            binaries,
        })
    }

    /// A binary, for people.
    pub(crate) fn binary(&self, name: &str) -> String {
        self.binaries.join(name).display().to_string()
    }

    /// The command of the process `name`.
    pub(crate) fn command(&self, name: &str) -> anyhow::Result<Vec<String>> {
        match name {
            WORLD => self.world(),
            COORDINATOR => self.coordinator(),
            _ => {
                let agent = AGENTS.iter().find(|agent| agent.name == name);
                self.agent(agent.with_context(|| format!("there is no agent {name}"))?)
            }
        }
    }

    fn world(&self) -> anyhow::Result<Vec<String>> {
        let Addresses {
            grpc,
            control,
            ports,
            ..
        } = self.addresses;
        let mut command = self.program("parallax-testbed")?;
        command.push("world".to_owned());
        command.extend(["--folder".to_owned(), self.folder.argument("")?]);
        command.extend(["--control".to_owned(), control.to_string()]);
        command.extend(["--coordinator".to_owned(), grpc.to_string()]);
        command.extend(["--port".to_owned(), ports.targets.to_string()]);
        command.extend(["--dns-port".to_owned(), ports.dns.to_string()]);
        Ok(command)
    }

    fn coordinator(&self) -> anyhow::Result<Vec<String>> {
        let Addresses { http, grpc, .. } = self.addresses;
        let mut command = self.program("parallax-coordinator")?;
        command.extend([
            "--data-dir".to_owned(),
            self.folder.argument("coordinator")?,
        ]);
        command.extend(["--grpc-listen".to_owned(), grpc.to_string()]);
        command.extend(["--http-listen".to_owned(), http.to_string()]);
        Ok(command)
    }

    fn agent(&self, agent: &Agent) -> anyhow::Result<Vec<String>> {
        let Addresses { grpc, ports, .. } = self.addresses;
        let inside = |folder: &str| self.folder.argument(&format!("{folder}/{}", agent.name));
        let mut command = self.program("parallax-agent")?;
        let link = agent.link(grpc.port()).to_string();
        command.extend(["--token-file".to_owned(), inside("tokens")?]);
        command.extend(["--state-dir".to_owned(), inside("agents")?]);
        command.extend([
            "--resolver".to_owned(),
            agent.resolver(ports.dns).to_string(),
        ]);
        command.extend(["--allow".to_owned(), "127.0.0.0/8".to_owned()]);
        command.extend(["--extra-roots".to_owned(), self.folder.argument("ca.pem")?]);
        command.extend(["--coordinator".to_owned(), link]);
        command.extend(["--canaries".to_owned(), layout::canaries(ports.targets)]);
        Ok(command)
    }

    fn program(&self, name: &str) -> anyhow::Result<Vec<String>> {
        Ok(vec![argument(&self.binaries.join(name))?])
    }
}
