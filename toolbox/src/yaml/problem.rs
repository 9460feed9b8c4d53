//! What is wrong with a file, and the place where problems are collected.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Location, Node};

/// One thing wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The key path, such as `services.web.ports[0]`; empty where there is none.
    pub path: String,
    /// What is wrong: lowercase, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of a file as a whole.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            column: None,
            path: String::new(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All that is wrong, in the order of the files; never empty when it stands in an `Err`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// Collects problems (and warnings) while a file is read.
#[derive(Debug, Default)]
pub struct Sink {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Places whose value is known to be wrong.
    spoiled: RefCell<Vec<Problem>>,
}

impl Sink {
    /// Adds a problem, unless its place is spoiled.
    pub fn push(&self, problem: Problem) {
        let same_place = |other: &Problem| {
            (other.line, other.column, &other.path) == (problem.line, problem.column, &problem.path)
                && other.file == problem.file
        };
        if !self.spoiled.borrow().iter().any(same_place) {
            self.problems.borrow_mut().push(problem);
        }
    }

    /// Adds a problem that leaves the place without a usable value: what is said about it later only follows from
    /// this and is dropped.
    pub fn spoil(&self, problem: Problem) {
        self.push(problem.clone());
        self.spoiled.borrow_mut().push(problem);
    }

    /// Adds a problem of a node.
    pub fn report(&self, node: &Node, message: impl Into<String>) {
        self.push(node.problem(message));
    }

    /// Adds a problem of a node, with a hint.
    pub fn report_hint(&self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        self.push(node.problem(message).with_hint(hint));
    }

    /// Adds a problem at a place.
    pub fn report_at(&self, at: &Location, path: String, message: impl Into<String>) {
        self.push(at.problem(path, message));
    }

    /// Adds a warning.
    pub fn warn(&self, warning: Problem) {
        self.warnings.borrow_mut().push(warning);
    }

    /// Whether a problem was reported.
    pub fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// The warnings, sorted by place, without repetitions.
    pub fn take_warnings(&self) -> Vec<String> {
        let warnings = sorted(self.warnings.take());
        warnings.iter().map(ToString::to_string).collect()
    }

    /// Gives everything that was reported to another sink.
    pub fn pass_on(&self, to: &Sink) {
        self.warnings.take().into_iter().for_each(|warning| to.warn(warning));
        self.problems.take().into_iter().for_each(|problem| to.push(problem));
    }

    /// `value` when nothing was reported.
    ///
    /// # Errors
    /// All problems, sorted by place, without repetitions (an alias would repeat them).
    pub fn finish<T>(&self, value: Option<T>) -> Result<T, Problems> {
        let problems = sorted(self.problems.take());
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(Problems(problems)),
        }
    }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| (&a.file, a.line, a.column, &a.path).cmp(&(&b.file, b.line, b.column, &b.path)));
    problems.dedup();
    problems
}
