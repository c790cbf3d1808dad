//! `demo`: breaks a mesh in six ways, and sees that each verdict is right, that everything is up
//! again after it was mended, and that in between nothing else was said of any monitor.
//!
//! [`step`] says what is broken and what is expected, as data; `rules` judges the logs; `stage`
//! breaks, waits and mends.

mod rules;
mod stage;
pub mod step;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::mesh::api::Api;
use crate::mesh::folder::Folder;
use crate::mesh::plan::{Addresses, COORDINATOR, WORLD};
use crate::mesh::process::Process;
use crate::mesh::progress::line;
use crate::mesh::world::World;
use stage::Stage;
use table::Row;

pub use step::StepName;

/// What is shown, and on which mesh.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that `up` was given.
    pub folder: PathBuf,
    /// The coordinator's API; by default where `up` started it.
    pub http: Option<SocketAddr>,
    /// The world's control; by default where `up` started it.
    pub control: Option<SocketAddr>,
    /// Only this step.
    pub only: Option<StepName>,
    /// In the step `egress`, cut the agents' links too.
    pub link_silence: bool,
}

/// Runs the steps on a mesh that is up. Everything is mended at the end, whatever happened.
///
/// # Errors
/// No mesh is up in the folder, a verdict was wrong, or `shutdown` fired.
pub async fn run(options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let folder = Folder::open(&options.folder)?;
    let address = |given: Option<SocketAddr>, name: &str, flag: &str, default: &str| {
        let process = Process::find(&folder, name);
        let process = process.with_context(|| {
            let shown = options.folder.display();
            format!("{name}: does not run in {shown}; run `parallax-testbed up` first")
        })?;
        let started = process.flag(flag).unwrap_or(default).parse();
        given.map_or_else(|| started.context(flag.to_owned()), Ok)
    };
    let http = address(options.http, COORDINATOR, "--http-listen", Addresses::HTTP)?;
    let control = address(options.control, WORLD, "--control", Addresses::CONTROL)?;
    let key = folder.key("read");
    let key = key.context("read.key: is missing; run `parallax-testbed up` again")?;
    let stage = Stage {
        api: Api::new(http, Some(key)),
        world: World::new(control),
        folder: &folder,
    };
    let ran = tokio::select! {
        ran = steps(&stage, &options) => ran,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    // After a failure that is no verdict, too.
    let mended = stage.mend_all().await.context("mending");
    let rows = ran.and_then(|rows| mended.map(|()| rows))?;
    line("");
    table::print(&rows);
    let wrong: Vec<&str> = rows
        .iter()
        .filter(|row| !row.problems.is_empty())
        .map(|row| row.step.word())
        .collect();
    anyhow::ensure!(wrong.is_empty(), "wrong in: {}", wrong.join(", "));
    Ok(())
}

async fn steps(stage: &Stage<'_>, options: &Options) -> anyhow::Result<Vec<Row>> {
    line(" · everything is mended, and must be up, before the first step");
    stage.mend_all().await?;
    let recovered = stage.recover().await?;
    anyhow::ensure!(
        recovered.problem.is_none(),
        "before the first step: {}",
        recovered.problem.unwrap_or_default()
    );
    let wanted = |step: &step::Step| options.only.is_none_or(|only| only == step.name);
    let steps = step::all(options.link_silence).into_iter().filter(wanted);
    let mut rows: Vec<Row> = Vec::new();
    let mut is_well = true;
    for step in steps {
        if !is_well {
            rows.push(Row::left_out(&step));
            continue;
        }
        let (row, recovered) = stage.play(&step).await?;
        is_well = recovered;
        rows.push(row);
    }
    Ok(rows)
}
