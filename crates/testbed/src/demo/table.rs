//! The table at the end: what was expected, what was seen, and how long it took.

use std::time::Duration;

use super::step::{Step, StepName};
use crate::mesh::progress::{line, seconds};

/// One step of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) step: StepName,
    expected: String,
    pub(crate) seen: String,
    /// From the break to the verdict.
    pub(crate) took: Option<Duration>,
    /// Everything that was wrong.
    pub(crate) problems: Vec<String>,
}

impl Row {
    pub(crate) fn new(step: &Step) -> Self {
        Self {
            step: step.name,
            expected: step.expects(),
            seen: String::new(),
            took: None,
            problems: Vec::new(),
        }
    }

    /// A step that could not begin.
    pub(crate) fn left_out(step: &Step) -> Self {
        let mut row = Self::new(step);
        "left out".clone_into(&mut row.seen);
        let problem = "left out: not everything was up again after the step before";
        row.problems.push(problem.to_owned());
        row
    }
}

/// Writes the table, and below it what was wrong.
pub(crate) fn print(rows: &[Row]) {
    for text in lines(rows) {
        line(&text);
    }
}

fn lines(rows: &[Row]) -> Vec<String> {
    let width = |text: fn(&Row) -> &str, title: &str| {
        let widths = rows.iter().map(|row| text(row).chars().count());
        widths.max().unwrap_or_default().max(title.len())
    };
    let expected = width(|row| &row.expected, "expected");
    let seen = width(|row| &row.seen, "seen");
    let text = |mark: &str, step: &str, first: &str, second: &str, took: &str| {
        let text = format!(" {mark} {step:<9} {first:<expected$}  {second:<seen$}  {took:>8}");
        text.trim_end().to_owned()
    };
    let mut lines = vec![text(" ", "step", "expected", "seen", "after")];
    for row in rows {
        let mark = if row.problems.is_empty() {
            "✔"
        } else {
            "✘"
        };
        let took = row.took.map(seconds).unwrap_or_default();
        lines.push(text(mark, row.step.word(), &row.expected, &row.seen, &took));
    }
    for row in rows {
        for problem in &row.problems {
            lines.push(format!(" ✘ {:<9} {problem}", row.step.word()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::step;
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let steps = step::all(false);
        let mut good = Row::new(&steps[0]);
        "docs regional (region:eu)".clone_into(&mut good.seen);
        good.took = Some(Duration::from_millis(12_340));
        let bad = Row::left_out(&steps[1]);
        let lines = lines(&[good, bad]);
        assert_eq!(lines.len(), 4);
        assert!(lines[1].starts_with(" ✔ region    docs regional (region:eu)"));
        assert!(lines[1].ends_with("12.3 s"), "{}", lines[1]);
        let column = |line: &str, text: &str| {
            let at = line.rfind(text).unwrap();
            line[..at].chars().count()
        };
        assert_eq!(column(&lines[0], "seen"), column(&lines[2], "left out"));
        assert!(lines[3].contains("not everything was up again"));
    }
}
