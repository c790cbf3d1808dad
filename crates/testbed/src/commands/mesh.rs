//! `world`, `up`, `down`, `demo`: a mesh on one machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use parallax_testbed::demo::{self, StepName};
use parallax_testbed::up::{self, Addresses};
use parallax_testbed::world::layout::Ports;
use parallax_testbed::{down, world};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(crate) struct World {
    /// Where ca.pem is written
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Where it is told what to break; on loopback
    #[arg(long, default_value = Addresses::CONTROL, value_name = "ADDRESS")]
    control: SocketAddr,
    /// Where the agents' links lead
    #[arg(long, default_value = Addresses::GRPC, value_name = "ADDRESS")]
    coordinator: SocketAddr,
    /// How many agents get paths of their own, 1 to 8
    #[arg(long, default_value_t = 8)]
    agents: usize,
    #[command(flatten)]
    ports: Ports,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where everything is kept: data, keys, logs
    #[arg(long, default_value = ".parallax", value_name = "DIR")]
    folder: PathBuf,
    /// Where the binaries are; by default beside this one
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
    /// A URL to watch beside the servers of the world. Repeatable
    #[arg(long = "target", value_name = "URL")]
    targets: Vec<String>,
    #[command(flatten)]
    addresses: Addresses,
}

#[derive(Debug, Args)]
pub(crate) struct Down {
    /// The folder that `up` was given
    #[arg(long, default_value = ".parallax", value_name = "DIR")]
    folder: PathBuf,
    /// Remove data, keys and logs too
    #[arg(long)]
    purge: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The folder that `up` was given
    #[arg(long, default_value = ".parallax", value_name = "DIR")]
    folder: PathBuf,
    /// The coordinator's API; by default where `up` started it
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// The world's control; by default where `up` started it
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
    /// Only this step
    #[arg(long, value_enum, value_name = "STEP")]
    only: Option<StepName>,
    /// In the step `egress`, cut the agents' links to the coordinator too: a minute more
    #[arg(long)]
    link_silence: bool,
}

impl World {
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let options = world::Options {
            folder: self.folder,
            control: self.control,
            coordinator: self.coordinator,
            agents: self.agents,
            ports: self.ports,
        };
        world::run(options, shutdown).await
    }
}

impl Up {
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let options = up::Options {
            folder: self.folder,
            binaries: self.bin,
            targets: self.targets,
            addresses: self.addresses,
        };
        let interrupted = "interrupted; what runs goes on, and `up` or `down` takes it from there";
        tokio::select! {
            ran = up::run(options) => ran,
            () = shutdown.cancelled() => Err(anyhow::anyhow!(interrupted)),
        }
    }
}

impl Down {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        down::run(&self.folder, self.purge).await
    }
}

impl Demo {
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let options = demo::Options {
            folder: self.folder,
            http: self.http,
            control: self.control,
            only: self.only,
            link_silence: self.link_silence,
        };
        demo::run(options, shutdown).await
    }
}
