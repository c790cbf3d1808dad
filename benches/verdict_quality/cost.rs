//! What a verdict costs: CPU time of a result, and memory of a monitor, with ten agents each.

use std::io::Write as _;

use anyhow::Context as _;
use verdict::{Judge, Mesh, Ms, Policy, Seen, Witness};

/// Agents that watch each monitor.
const AGENTS: usize = 10;
const INTERVAL: Ms = 60_000;
/// Monitors, and how often each agent probes each of them.
const SIZES: [(usize, usize); 3] = [(1000, 50), (20_000, 5), (200_000, 1)];

/// Measures, and prints a table.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| monitors × agents | results | CPU µs a result | results a CPU-second | KiB a monitor |"
    )?;
    writeln!(out, "|---|---|---|---|---|")?;
    for (monitors, rounds) in SIZES {
        let before = resident()?;
        let mut mesh = Mesh::default();
        let mut judges: Vec<Judge> = (0..monitors).map(|_| judge()).collect();
        // Everybody speaks once before anything is measured.
        results(&mut judges, &mut mesh, 0);
        let memory = resident()?.saturating_sub(before) / monitors as u64;
        let begun = cpu()?;
        for round in 1..=rounds {
            results(&mut judges, &mut mesh, round as u64);
        }
        let spent = cpu()?.saturating_sub(begun);
        let count = (monitors * AGENTS * rounds) as u64;
        let micros = spent as f64 / 1000.0 / count as f64;
        writeln!(
            out,
            "| {monitors} × {AGENTS} | {count} | {micros:.2} | {:.0} | {:.1} |",
            1e6 / micros,
            memory as f64 / 1024.0
        )?;
    }
    Ok(())
}

fn judge() -> Judge {
    let mut judge = Judge::new(Policy::new(INTERVAL, 10_000), 0);
    let witness = |n: usize| Witness {
        agent: format!("agent-{n}"),
        region: format!("region-{}", n % 6),
        provider: format!("provider-{}", n % 5),
        ..Witness::default()
    };
    judge.assign((0..AGENTS).map(witness).collect(), 0);
    judge
}

/// One good result of each agent on each monitor.
fn results(judges: &mut [Judge], mesh: &mut Mesh, round: u64) {
    for agent in 0..AGENTS as u64 {
        let now = round * INTERVAL + agent * INTERVAL / AGENTS as u64 + 1000;
        let name = format!("agent-{agent}");
        for judge in judges.iter_mut() {
            let seen = Seen {
                began: now - 300,
                seq: round,
                took: 200 + agent,
                ..Seen::default()
            };
            mesh.handle_heard(&name, now);
            judge.handle_outcome(&name, &seen, mesh, now);
            while judge.poll_stance().is_some() {}
            while judge.poll_transition().is_some() {}
        }
    }
}

/// Nanoseconds that this process ran on a CPU.
fn cpu() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let first = text
        .split_whitespace()
        .next()
        .context("schedstat is empty")?;
    Ok(first.parse()?)
}

/// Bytes that are resident.
fn resident() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(1).context("statm is empty")?;
    Ok(pages.parse::<u64>()? * 4096)
}
