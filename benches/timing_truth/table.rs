//! What was said, beside what was on the wire.

use std::io::Write as _;

use super::peers::{ALL, Peer, Phases};

/// One exchange.
pub(crate) struct Row {
    pub(crate) injected: (&'static str, u64),
    pub(crate) peer: Peer,
    pub(crate) said: Phases,
    pub(crate) truth: Phases,
}

const PHASES: [&str; 7] = ["dns", "connect", "tls", "send", "wait", "answer", "receive"];

/// The budget of DESIGN: within 1 ms or 2 % of the capture.
fn is_true(said: f64, truth: f64) -> bool {
    (said - truth).abs() <= (truth * 0.02).max(1.0)
}

/// Prints both tables.
pub(crate) fn print(rows: &[Row]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| injected | phase | wire | agent | wire | command | wire | curl | wire | blackbox |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")?;
    let mut injected: Vec<_> = rows.iter().map(|row| row.injected).collect();
    injected.dedup();
    for delay @ (phase, millis) in injected {
        let name = if phase == "nothing" { "wait" } else { phase };
        write!(out, "| {millis} ms | {name} |")?;
        for peer in ALL {
            let of_peer = |row: &&Row| row.injected == delay && row.peer == peer;
            let of_peer: Vec<&Row> = rows.iter().filter(of_peer).collect();
            // Those who do not tell sending from waiting are held against both.
            let is_told = of_peer.iter().any(|row| row.said.contains_key(name));
            let name = if is_told { name } else { "answer" };
            let (wire, said) = (median(&of_peer, name, true), median(&of_peer, name, false));
            let shown =
                |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.2}"));
            write!(out, " {} | {} |", shown(wire), shown(said))?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "\n| phase | peer | exchanges | median error | p95 | largest | within |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for phase in PHASES {
        for peer in ALL {
            errors(&mut out, rows, phase, peer)?;
        }
    }
    Ok(())
}

fn median(rows: &[&Row], phase: &str, of_wire: bool) -> Option<f64> {
    let values = rows.iter().filter_map(|row| {
        let phases = if of_wire { &row.truth } else { &row.said };
        phases.get(phase).copied()
    });
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn errors(
    out: &mut impl std::io::Write,
    rows: &[Row],
    phase: &str,
    peer: Peer,
) -> std::io::Result<()> {
    let of_peer = rows.iter().filter(|row| row.peer == peer);
    let pairs = of_peer.filter_map(|row| Some((*row.said.get(phase)?, *row.truth.get(phase)?)));
    let pairs: Vec<(f64, f64)> = pairs.collect();
    if pairs.is_empty() {
        return Ok(());
    }
    let within = pairs
        .iter()
        .filter(|(said, truth)| is_true(*said, *truth))
        .count();
    let mut errors: Vec<f64> = pairs.iter().map(|(said, truth)| said - truth).collect();
    errors.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let at = |share: usize| errors[(errors.len() - 1) * share / 100];
    writeln!(
        out,
        "| {phase} | {peer:?} | {} | {:+.2} ms | {:+.2} ms | {:+.2} ms | {} % |",
        errors.len(),
        at(50),
        at(95),
        at(100),
        within * 100 / errors.len(),
    )
}
