//! What is wrong with files of monitors: everything at once, and never with a value that may be a
//! secret.

use std::fmt;

use crate::monitor::FieldError;

/// Problems that are listed; of more only the number is told.
pub const MAX_PROBLEMS: usize = 200;

/// A place in a file, both counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The character of the line.
    pub column: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In which file.
    pub file: String,
    /// Where in it, if that is known.
    pub position: Option<Position>,
    /// Of which monitor: its name, or its place in the list.
    pub monitor: Option<String>,
    /// A JSON Pointer (RFC 6901) to the field of the monitor; empty for the whole.
    pub pointer: String,
    /// The problem and the way out.
    pub detail: String,
}

impl Problem {
    /// A problem of a file, to be said more exactly.
    pub(super) fn of(file: &str) -> Self {
        Self {
            file: crate::text::line(file, 200),
            position: None,
            monitor: None,
            pointer: String::new(),
            detail: String::new(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(at) = self.position {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        if let Some(monitor) = &self.monitor {
            write!(f, ": monitor {monitor}")?;
        }
        if !self.pointer.is_empty() {
            write!(f, ": {}", self.pointer)?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// Everything that is wrong with the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    /// At most [`MAX_PROBLEMS`].
    pub list: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl Problems {
    /// One problem of a file as a whole.
    #[must_use]
    pub fn of_file(file: &str, position: Option<Position>, detail: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.push(Problem {
            position,
            detail: detail.into(),
            ..Problem::of(file)
        });
        problems
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds what is wrong elsewhere.
    pub fn extend(&mut self, other: Self) {
        self.more += other.more;
        for problem in other.list {
            self.push(problem);
        }
    }

    pub(super) fn push(&mut self, problem: Problem) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Adds what is wrong with one monitor.
    pub(super) fn of_monitor(&mut self, file: &str, monitor: &str, errors: Vec<FieldError>) {
        for error in errors {
            self.push(Problem {
                monitor: Some(crate::text::line(monitor, 64)),
                pointer: error.pointer,
                detail: error.detail,
                ..Problem::of(file)
            });
        }
    }
}

/// One line for each.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.list.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
