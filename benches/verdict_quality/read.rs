//! Reads a recorded world: `NAME.jsonl.gz`, `NAME.oracle.jsonl.gz`, `NAME.labels.jsonl.gz`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use super::world::{Event, Fate, Meta, Recorded, Sample, SelfTest};

impl Recorded {
    /// Reads a world of a folder. One without labels can be replayed, and not be scored.
    pub(crate) fn read(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = |ending: &str| folder.join(format!("{name}{ending}"));
        let mut events = lines(&path(".jsonl.gz"))?.into_iter();
        let head = events.next().with_context(|| format!("{name}: is empty"))?;
        let mut meta: Meta = serde_json::from_value(head).with_context(|| name.to_owned())?;
        meta.name = name.to_owned();
        anyhow::ensure!(meta.references < 64, "{name}: more than 63 references");
        let mut world = Self {
            meta,
            ..Self::default()
        };
        for line in events {
            let event = world
                .event(&line)
                .with_context(|| format!("{name}: {line}"))?;
            world.events.extend(event);
        }
        for line in lines(&path(".oracle.jsonl.gz"))? {
            world.truth(line).with_context(|| name.to_owned())?;
        }
        if path(".labels.jsonl.gz").exists() {
            let labels = lines(&path(".labels.jsonl.gz"))?.into_iter().skip(1);
            let labels = labels.map(serde_json::from_value);
            world.labels = labels.collect::<Result<_, _>>()?;
        }
        Ok(world)
    }

    fn agent(&self, line: &Value) -> anyhow::Result<usize> {
        let known = |agent: &super::world::Agent| line["a"] == agent.id.as_str();
        let at = self.meta.agents.iter().position(known);
        at.context("an agent that the head does not name")
    }

    fn target(&self, line: &Value) -> anyhow::Result<usize> {
        let known = |target: &super::world::Target| line["x"] == target.id.as_str();
        let at = self.meta.targets.iter().position(known);
        at.context("a target that the head does not name")
    }

    fn event(&self, line: &Value) -> anyhow::Result<Option<(u64, Event)>> {
        let at = number(&line["t"]);
        let sent = line["ts"].as_i64().unwrap_or_default();
        Ok(match line["k"].as_str() {
            Some("h") => Some((at, Event::Beat(self.agent(line)?, sent, self.test(line)))),
            Some("r") => {
                let sample = Sample {
                    agent: self.agent(line)?,
                    target: self.target(line)?,
                    sent,
                    ms: number(&line["ms"]),
                    failure: (line["ok"] != true)
                        .then(|| (text(&line["step"]), text(&line["err"]))),
                    edge: line["edge"].as_str().map(str::to_owned),
                    test: self.test(line),
                };
                Some((at, Event::Result(sample)))
            }
            _ => None,
        })
    }

    fn test(&self, line: &Value) -> SelfTest {
        let healthy = self.healthy();
        let Some(references) = line["ref"].as_str() else {
            return healthy;
        };
        let bits = references.bytes().take(63).enumerate();
        let answered = bits.filter(|(_, bit)| *bit == b'1');
        let peers = line["peer"].as_str().and_then(|peers| {
            let (ok, all) = peers.split_once('/')?;
            Some((ok.parse().ok()?, all.parse().ok()?))
        });
        SelfTest {
            references: answered.fold(0, |set, (bit, _)| set | 1 << bit),
            peers: peers.unwrap_or(healthy.peers),
            lag: number(&line["lag"]),
        }
    }

    fn truth(&mut self, line: Value) -> anyhow::Result<()> {
        match line["k"].as_str() {
            Some("ob") => {
                let path = (self.agent(&line)?, self.target(&line)?);
                self.usual.insert(path, line["ms"].as_u64().unwrap_or(100));
            }
            Some("o") => {
                let path = (self.agent(&line)?, self.target(&line)?);
                let answer = serde_json::from_value(line)?;
                self.answers.entry(path).or_default().push(answer);
            }
            Some("oa") => {
                let fate = Fate {
                    from: number(&line["from"]),
                    to: number(&line["to"]),
                    is_dead: line["mode"] == "dead",
                };
                self.fates.entry(self.agent(&line)?).or_default().push(fate);
            }
            Some("os") => {
                let (from, to) = (number(&line["from"]), number(&line["to"]));
                let test = (from, to, self.test(&line));
                self.tests.entry(self.agent(&line)?).or_default().push(test);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The worlds of a folder.
pub(crate) fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".oracle.jsonl.gz") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let shown = || format!("{}", path.display());
    let mut gzip = Command::new("gzip");
    let gzip = gzip.arg("-dc").arg(path).stdin(Stdio::null());
    let output = gzip.output().context("gzip")?;
    anyhow::ensure!(output.status.success(), "{}: gzip failed", shown());
    let text = String::from_utf8(output.stdout).with_context(shown)?;
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().with_context(shown)
}
