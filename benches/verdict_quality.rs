//! How good verdicts are: replays worlds through the engine, and scores what it says by what was
//! true, beside rules that others use.
//!
//! ```text
//! verdict_quality [DIR] [--out OUT] [--only PREFIX] [--seeds FROM..TO] [--check] [--curve]
//!                 [--remarks] [--cost]
//! ```
//!
//! A recorded world is `NAME.jsonl.gz`, what a coordinator received, `NAME.oracle.jsonl.gz`, what a
//! probe on demand would have found, and `NAME.labels.jsonl.gz`, what was true. Without a folder worlds
//! of its own are made from seeds; `PARALLAX_SCENARIOS=DIR` adds the worlds of a folder to them.

mod verdict_quality {
    pub(crate) mod baseline;
    pub(crate) mod clock;
    pub(crate) mod cost;
    pub(crate) mod dice;
    pub(crate) mod options;
    pub(crate) mod plot;
    pub(crate) mod read;
    pub(crate) mod replay;
    pub(crate) mod score;
    pub(crate) mod sim;
    pub(crate) mod suite;
    pub(crate) mod table;
    pub(crate) mod world;
}

use std::process::ExitCode;

use verdict_quality::options::Options;
use verdict_quality::{cost, suite};

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse(std::env::args().skip(1))?;
    if options.is_cost {
        return cost::run().map(|()| ExitCode::SUCCESS);
    }
    let is_good = suite::run(&options)?;
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
