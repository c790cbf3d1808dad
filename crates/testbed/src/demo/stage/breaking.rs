//! How things are broken, and mended again.

use anyhow::Context as _;
use rustix::process::Signal;

use super::super::step::Break;
use super::Stage;
use crate::mesh::process::Process;
use crate::proxy::Fault;
use crate::server::script::Script;
use crate::world::layout::AGENTS;

impl Stage<'_> {
    pub(super) async fn make(&self, broken: &Break) -> anyhow::Result<()> {
        match broken {
            Break::Path(name, fault) => self.world.break_path(name, *fault).await,
            Break::Script(server, script) => self.world.script(server, script).await,
            Break::Down(server) => self.world.run(server, false).await,
            Break::Kill(agent) => {
                let process = Process::find(self.folder, agent);
                let process = process.with_context(|| format!("{agent} does not run"))?;
                process.signal(Signal::KILL)
            }
        }
    }

    pub(super) async fn mend(&self, broken: &Break) -> anyhow::Result<()> {
        match broken {
            Break::Path(name, _) => self.world.break_path(name, Fault::None).await,
            Break::Script(server, _) => self.world.script(server, &Script::default()).await,
            Break::Down(server) => self.world.run(server, true).await,
            Break::Kill(agent) => self.start_again(agent),
        }
    }

    /// Mends everything that any step may have broken.
    pub(crate) async fn mend_all(&self) -> anyhow::Result<()> {
        self.world.mend().await?;
        for agent in &AGENTS {
            self.start_again(agent.name)?;
        }
        Ok(())
    }

    /// Starts an agent that died, with the command that it had.
    fn start_again(&self, agent: &str) -> anyhow::Result<()> {
        let process = Process::record(self.folder, agent);
        let way_out = "run `parallax-testbed up` again";
        let process = process.with_context(|| format!("{agent}: no pid file; {way_out}"))?;
        if !process.is_alive() {
            Process::start(self.folder, agent, &process.command)?;
        }
        Ok(())
    }
}
