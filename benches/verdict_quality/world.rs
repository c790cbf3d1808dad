//! A recorded world.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

/// What a probe on demand finds: of a time, or in general.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Answer {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) ok: bool,
    pub(crate) ms: u64,
    pub(crate) step: Option<String>,
    pub(crate) err: Option<String>,
}

/// What becomes of an agent for a time.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Fate {
    pub(crate) from: u64,
    pub(crate) to: u64,
    #[serde(default)]
    pub(crate) mode: String,
    #[serde(default, rename = "ref")]
    pub(crate) references: String,
    #[serde(default)]
    pub(crate) lag: u64,
}

/// Everything of one world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) meta: Value,
    pub(crate) events: Vec<Value>,
    pub(crate) usual: BTreeMap<(String, String), u64>,
    pub(crate) answers: BTreeMap<(String, String), Vec<Answer>>,
    pub(crate) fates: BTreeMap<String, Vec<Fate>>,
    pub(crate) tests: BTreeMap<String, Vec<Fate>>,
}

impl World {
    pub(crate) fn read(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let mut events = lines(&folder.join(format!("{name}.jsonl.gz")))?;
        anyhow::ensure!(!events.is_empty(), "{name}: is empty");
        let meta = events.remove(0);
        let mut world = Self {
            meta,
            events,
            usual: BTreeMap::new(),
            answers: BTreeMap::new(),
            fates: BTreeMap::new(),
            tests: BTreeMap::new(),
        };
        for line in lines(&folder.join(format!("{name}.oracle.jsonl.gz")))? {
            let agent = text(&line["a"]);
            let path = (agent.clone(), text(&line["x"]));
            match line["k"].as_str() {
                Some("ob") => {
                    world.usual.insert(path, line["ms"].as_u64().unwrap_or(100));
                }
                Some("o") => {
                    let answer = serde_json::from_value(line)?;
                    world.answers.entry(path).or_default().push(answer);
                }
                Some("oa") => {
                    let fate = serde_json::from_value(line)?;
                    world.fates.entry(agent).or_default().push(fate);
                }
                Some("os") => {
                    let test = serde_json::from_value(line)?;
                    world.tests.entry(agent).or_default().push(test);
                }
                _ => {}
            }
        }
        Ok(world)
    }
}

pub(crate) fn text(value: &Value) -> String {
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
