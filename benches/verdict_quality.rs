//! Replays recorded worlds through the engine, and writes what it says, one file a world, for a
//! scorer that knows what was true.
//!
//! ```text
//! cargo run -p benches --release --bin verdict-quality -- SCENARIOS OUT [NAME-PREFIX]
//! ```
//!
//! A world is `NAME.jsonl.gz`, what a coordinator received, and `NAME.oracle.jsonl.gz`, what a probe
//! on demand would have found. The format is that of the verdict benchmark that the engine's model
//! came with.

mod verdict_quality {
    pub(crate) mod replay;
    pub(crate) mod world;
}

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use verdict_quality::replay::Replay;
use verdict_quality::world::World;

fn main() -> anyhow::Result<()> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to, rest @ ..] = &args[..] else {
        anyhow::bail!("usage: verdict-quality SCENARIOS OUT [NAME-PREFIX]");
    };
    let prefix = rest
        .first()
        .and_then(|prefix| prefix.to_str())
        .unwrap_or("");
    std::fs::create_dir_all(to).with_context(|| format!("{}", to.display()))?;
    for name in names(from)?.iter().filter(|name| name.starts_with(prefix)) {
        let world = World::read(from, name)?;
        let mut replay = Replay::new(&world);
        let lines = replay.run();
        let path = to.join(format!("{name}.verdicts.jsonl"));
        std::fs::write(&path, lines.join("\n") + "\n")?;
        writeln!(
            std::io::stdout(),
            "{name}: {} changes, {} confirmations",
            lines.len(),
            replay.confirmations()
        )?;
    }
    Ok(())
}

/// The worlds of a folder.
fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
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
