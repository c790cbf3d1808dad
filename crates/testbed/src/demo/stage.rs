//! Plays a step: breaks, waits for what is expected, mends, waits until everything is up again,
//! and has the logs judged.

mod breaking;

use std::collections::BTreeMap;
use std::time::Duration;

use super::rules::{Log, judge};
use super::step::{Expected, Scene, Step, Verdict};
use super::table::Row;
use crate::mesh::api::{Api, Region, Status, UP};
use crate::mesh::folder::Folder;
use crate::mesh::progress::{Waiting, line, seconds};
use crate::mesh::wait_for;
use crate::mesh::world::World;
use crate::world::layout::{AGENTS, TARGETS};

/// How long it may take until everything is up again.
const RECOVERY: Duration = Duration::from_secs(120);
/// The state of an agent that has a say.
const HEALTHY: &str = "healthy";

/// A mesh that is played on.
pub(crate) struct Stage<'a> {
    pub(crate) api: Api,
    pub(crate) world: World,
    pub(crate) folder: &'a Folder,
}

/// What came of a wait.
pub(crate) struct Waited {
    /// What was seen last.
    seen: String,
    took: Duration,
    /// Why it is not what was waited for.
    pub(crate) problem: Option<String>,
}

impl Stage<'_> {
    /// Plays one step. Its row, and whether everything is up again.
    pub(crate) async fn play(&self, step: &Step) -> anyhow::Result<(Row, bool)> {
        line(&format!("\n {} · {}", step.name.word(), step.title));
        let marks = self.marks().await?;
        let mut row = Row::new(step);
        for scene in &step.scenes {
            let waited = self.scene(scene).await?;
            row.took = Some(waited.took);
            row.problems.extend(waited.problem);
            row.seen = waited.seen;
            if !row.problems.is_empty() {
                break;
            }
        }
        if let Some(verdict) = step.verdict() {
            self.look_closer(step, verdict, &mut row).await?;
        }
        let mended_after = self.marks().await?;
        for scene in &step.scenes {
            for broken in scene.breaks.iter().rev() {
                self.mend(broken).await?;
            }
        }
        line("     mend");
        let recovered = self.recover().await?;
        let is_well = recovered.problem.is_none();
        if is_well {
            let took = seconds(recovered.took);
            line(&format!("     seen     {} after {took}", recovered.seen));
        }
        row.problems.extend(recovered.problem);
        let logs = self.logs(&marks, &mended_after).await?;
        row.problems.extend(judge(&logs, step.verdict()));
        for problem in &row.problems {
            line(&format!("   ✘ {problem}"));
        }
        if row.problems.is_empty() {
            let text = "right, and nothing else was said of any monitor";
            line(&format!("   ✔ {text}"));
        }
        Ok((row, is_well))
    }

    /// Breaks what a scene breaks, and waits for what it expects.
    async fn scene(&self, scene: &Scene) -> anyhow::Result<Waited> {
        for shown in scene.shown() {
            line(&format!("     break    {shown}"));
        }
        for broken in &scene.breaks {
            self.make(broken).await?;
        }
        let expected = &scene.expected;
        let mut waited = wait(scene.within, async || self.meets(expected).await).await?;
        if waited.problem.is_some() {
            return Ok(waited);
        }
        let took = seconds(waited.took);
        line(&format!("     seen     {} after {took}", waited.seen));
        if !scene.holds.is_zero() {
            let held = seconds(scene.holds);
            line(&format!(
                "     hold     for {held}, so that a wrong verdict had time to come"
            ));
            tokio::time::sleep(scene.holds).await;
            let (is_still, seen) = self.meets(expected).await?;
            waited.problem = (!is_still).then(|| format!("did not stay: {seen}"));
        }
        Ok(waited)
    }

    /// Whether it is as expected, and what is seen.
    async fn meets(&self, expected: &Expected) -> anyhow::Result<(bool, String)> {
        match expected {
            Expected::Verdict(expected) => {
                let status = self.api.status(expected.monitor).await?;
                let is_met = status.verdict == expected.verdict
                    && status.scope.as_deref() == Some(expected.scope);
                Ok((is_met, format!("{} {}", expected.monitor, status.short())))
            }
            Expected::Fault { agents, fault } => {
                let members = self.api.members().await?;
                let mut texts = Vec::new();
                let mut is_met = true;
                for name in agents {
                    let member = members.iter().find(|member| member.id == *name);
                    let seen = member.and_then(|member| member.fault.as_deref());
                    is_met &= seen == Some(*fault);
                    texts.push(format!("{name} {}", seen.unwrap_or(HEALTHY)));
                }
                Ok((is_met, texts.join(", ")))
            }
        }
    }

    /// Waits until all monitors are up and all agents have a say.
    pub(crate) async fn recover(&self) -> anyhow::Result<Waited> {
        wait(RECOVERY, async || {
            let mut left = Vec::new();
            for target in &TARGETS {
                let status = self.api.status(target.name).await?;
                if status.verdict != UP {
                    left.push(format!("{} {}", target.name, status.short()));
                }
            }
            let members = self.api.members().await?;
            for agent in &AGENTS {
                let member = members.iter().find(|member| member.id == agent.name);
                let state = member.and_then(|member| member.state.as_deref());
                if state != Some(HEALTHY) {
                    left.push(format!("{} {}", agent.name, state.unwrap_or("away")));
                }
            }
            let is_well = left.is_empty();
            if is_well {
                left.push("all up, all agents healthy".to_owned());
            }
            Ok((is_well, left.join(", ")))
        })
        .await
    }

    /// What else a verdict is to show: its sentence, its commands, and the reason of the regions.
    async fn look_closer(
        &self,
        step: &Step,
        verdict: &Verdict,
        row: &mut Row,
    ) -> anyhow::Result<()> {
        let status: Status = self.api.status(verdict.monitor).await?;
        if let Some(reason) = verdict.reason {
            let failing = status
                .regions
                .iter()
                .filter(|region| region.state == "failing");
            let failing: Vec<_> = failing.collect();
            let is_it = |region: &&Region| region.reason.as_deref() == Some(reason);
            for region in failing.iter().filter(|region| !is_it(region)) {
                let found = region.reason.as_deref().unwrap_or("none");
                let region = &region.region;
                row.problems
                    .push(format!("{region}: the reason is {found}, not {reason}"));
            }
            if failing.is_empty() {
                row.problems.push(format!("no region fails with {reason}"));
            } else {
                let count = failing.len();
                line(&format!(
                    "     reason   {reason} in {count} regions: the steps before the call are green"
                ));
            }
        }
        if step.explains {
            let header = self.folder.shown("read.header");
            let path = format!("{}/api/v1/monitors/{}", self.api.address(), verdict.monitor);
            line(&format!("     why      {}", status.why.unwrap_or_default()));
            line(&format!("     status   curl -s -H @{header} {path}/status"));
            line(&format!(
                "     log      curl -s -H @{header} {path}/transitions"
            ));
        }
        Ok(())
    }

    /// The last `seq` of every monitor.
    async fn marks(&self) -> anyhow::Result<BTreeMap<&'static str, u64>> {
        let mut marks = BTreeMap::new();
        for target in &TARGETS {
            let log = self.api.transitions(target.name).await?;
            marks.insert(target.name, log.last().map_or(0, |entry| entry.seq));
        }
        Ok(marks)
    }

    /// What was said since `marks`.
    async fn logs(
        &self,
        marks: &BTreeMap<&'static str, u64>,
        mended_after: &BTreeMap<&'static str, u64>,
    ) -> anyhow::Result<BTreeMap<String, Log>> {
        let mark = |marks: &BTreeMap<&str, u64>, name| marks.get(name).copied().unwrap_or(0);
        let mut logs = BTreeMap::new();
        for target in &TARGETS {
            let mut entries = self.api.transitions(target.name).await?;
            entries.retain(|entry| entry.seq > mark(marks, target.name));
            let mended_after = mark(mended_after, target.name);
            let log = Log {
                entries,
                mended_after,
            };
            logs.insert(target.name.to_owned(), log);
        }
        Ok(logs)
    }
}

/// Looks until it is as wanted, and tells what is seen.
async fn wait(
    bound: Duration,
    look: impl AsyncFn() -> anyhow::Result<(bool, String)>,
) -> anyhow::Result<Waited> {
    let mut waiting = Waiting::new();
    let mut last = String::new();
    let met = wait_for(bound, async || {
        let (is_met, seen) = look().await?;
        if !is_met {
            waiting.tell(&seen);
        }
        last.clone_from(&seen);
        Ok(is_met.then_some(()))
    })
    .await;
    let took = waiting.elapsed();
    waiting.clear();
    let is_late = met?.is_none();
    let problem = is_late.then(|| format!("not so within {} s: {last}", bound.as_secs()));
    Ok(Waited {
        seen: last,
        took,
        problem,
    })
}
