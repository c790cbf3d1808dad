//! The command line.

use std::path::PathBuf;

use anyhow::Context as _;

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Folders of recorded worlds.
    pub(crate) folders: Vec<PathBuf>,
    /// Where verdict files go.
    pub(crate) out: Option<PathBuf>,
    /// Only worlds whose names begin so.
    pub(crate) only: String,
    /// Seeds of worlds of our own.
    pub(crate) seeds: std::ops::Range<u64>,
    /// Whether to fail below the thresholds.
    pub(crate) is_check: bool,
    /// Whether to try several spans.
    pub(crate) is_curve: bool,
    /// Whether to say what went wrong.
    pub(crate) has_remarks: bool,
    /// Whether to measure what it costs instead.
    pub(crate) is_cost: bool,
}

/// Seeds that are scored without a word of which.
const SEEDS: std::ops::Range<u64> = 1..5;

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut seeds = None;
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--out" => options.out = Some(value()?.into()),
                "--only" => options.only = value()?,
                "--seeds" => {
                    let text = value()?;
                    let (from, to) = text.split_once("..").context("--seeds wants FROM..TO")?;
                    seeds = Some(from.parse()?..to.parse()?);
                }
                "--check" => options.is_check = true,
                "--curve" => options.is_curve = true,
                "--remarks" => options.has_remarks = true,
                "--cost" => options.is_cost = true,
                _ if arg.starts_with('-') => anyhow::bail!("{arg} is no flag of this command"),
                _ => options.folders.push(arg.into()),
            }
        }
        let is_own = options.folders.is_empty();
        let default = if is_own { SEEDS } else { 0..0 };
        options.seeds = seeds.unwrap_or(default);
        if is_own {
            let more = std::env::var_os("PARALLAX_SCENARIOS");
            options.folders.extend(more.map(PathBuf::from));
        }
        Ok(options)
    }
}
