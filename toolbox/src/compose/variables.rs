//! The variables of a project: the environment, then environment files, then the project's name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::dotenv;
use super::interpolate::{Fault, Variables, interpolate};
use crate::yaml::{Location, Node, Problem, Sink, Value, read_text};

/// The variables that the texts of a file see.
#[derive(Clone)]
pub(super) struct Scope {
    environment: Rc<BTreeMap<String, String>>,
    /// `.env` or what stands for it; an included file's own come after its includer's.
    files: Vec<BTreeMap<String, String>>,
    /// What `COMPOSE_PROJECT_NAME` is when nobody sets it.
    pub(super) project: Option<String>,
    unset: RefCell<BTreeSet<String>>,
}

impl Scope {
    /// Reads the environment files; `.env` of the directory, where there is one, if none is named.
    pub(super) fn read(
        environment: &BTreeMap<String, String>,
        named: &[PathBuf],
        directory: &Path,
        sink: &Sink,
    ) -> Self {
        let empty = Self {
            environment: Rc::new(environment.clone()),
            files: Vec::new(),
            project: None,
            unset: RefCell::default(),
        };
        empty.with_files(named, directory, sink, Problem::of_file)
    }

    /// These variables, and below them those of the files (later ones win); `.env` of the directory if none is named.
    pub(super) fn with_files(
        &self,
        named: &[PathBuf],
        directory: &Path,
        sink: &Sink,
        problem: impl Fn(&Path, String) -> Problem,
    ) -> Self {
        let default = [directory.join(".env")];
        let files = if named.is_empty() { &default[..] } else { named };
        let mut found = BTreeMap::new();
        for file in files.iter().filter(|file| !named.is_empty() || file.exists()) {
            let outside = |name: &str| self.get(name).or_else(|| found.get(name).cloned());
            match read_text(file) {
                Ok(text) => {
                    let read = dotenv::parse(file, &text, &outside, true, sink);
                    found.extend(read);
                }
                Err(message) => sink.push(problem(file, message)),
            }
        }
        let mut scope = self.clone();
        scope.files.push(found);
        scope
    }

    /// Replaces the variables in every scalar below `node`; what is wrong goes to `told`.
    pub(super) fn replace(&self, node: &mut Node, told: &mut impl FnMut(Trouble)) {
        node.map_scalars(&mut |at, path, text| {
            if !text.contains('$') {
                return None;
            }
            let result = interpolate(text, self);
            for name in self.unset.take() {
                let message = format!("the variable {name} is not set, an empty text takes its place");
                told(Trouble::Warning(at.problem(path.to_string(), message)));
            }
            result.map_err(|fault| told(Trouble::Problem(fault_problem(at, path.to_string(), &fault)))).ok()
        });
    }
}

fn fault_problem(at: &Location, path: String, fault: &Fault) -> Problem {
    let problem = at.problem(path, fault.to_string());
    match fault {
        Fault::Invalid(_) => problem.with_hint("write $$ for a literal $"),
        Fault::Required { name, .. } => problem.with_hint(format!("set {name} in .env or in the environment")),
        Fault::TooLarge => problem,
    }
}

impl Variables for Scope {
    fn get(&self, name: &str) -> Option<String> {
        let in_files = || self.files.iter().find_map(|file| file.get(name));
        let known = self.environment.get(name).or_else(in_files).cloned();
        known.or_else(|| self.project.clone().filter(|_| name == "COMPOSE_PROJECT_NAME"))
    }

    fn unset(&self, name: &str) {
        self.unset.borrow_mut().insert(name.to_owned());
    }
}

/// What an interpolation has to say.
#[derive(Clone)]
pub(super) enum Trouble {
    /// The text has no value.
    Problem(Problem),
    /// It has one that may not be meant.
    Warning(Problem),
}

impl Trouble {
    fn place(&self) -> &Problem {
        match self {
            Self::Problem(problem) | Self::Warning(problem) => problem,
        }
    }

    pub(super) fn tell(self, sink: &Sink) {
        match self {
            Self::Problem(problem) => sink.spoil(problem),
            Self::Warning(warning) => sink.warn(warning),
        }
    }
}

/// File, line, column and key path.
type Place = (PathBuf, Option<usize>, Option<usize>, String);

fn place(problem: &Problem) -> Place {
    (problem.file.clone(), problem.line, problem.column, problem.path.clone())
}

/// The scopes of all files, and what their interpolation had to say: it is told only for texts that end up in use.
pub(super) struct Scopes {
    root: Rc<Scope>,
    by_file: RefCell<HashMap<PathBuf, Rc<Scope>>>,
    troubles: RefCell<HashMap<Place, Vec<Trouble>>>,
}

impl Scopes {
    /// The project's own scope is for all files that have none of their own.
    pub(super) fn new(root: Scope) -> Self {
        Self { root: Rc::new(root), by_file: RefCell::default(), troubles: RefCell::default() }
    }

    pub(super) fn root(&self) -> Rc<Scope> {
        Rc::clone(&self.root)
    }

    /// Replaces the variables of a file's tree.
    pub(super) fn apply(&self, scope: &Rc<Scope>, file: &Path, root: &mut Node) {
        self.by_file.borrow_mut().insert(file.to_owned(), Rc::clone(scope));
        let mut troubles = self.troubles.borrow_mut();
        scope.replace(root, &mut |trouble| {
            troubles.entry(place(trouble.place())).or_default().push(trouble);
        });
    }

    /// Tells what was wrong with the texts below `node`.
    pub(super) fn tell(&self, node: &Node, sink: &Sink) {
        match &node.value {
            Value::Scalar { .. } => {
                let troubles = self.troubles.borrow();
                let found = troubles.get(&place(&node.problem(String::new())));
                found.into_iter().flatten().for_each(|trouble| trouble.clone().tell(sink));
            }
            Value::Seq(items) => items.iter().for_each(|item| self.tell(item, sink)),
            Value::Map(entries) => entries.iter().for_each(|entry| self.tell(&entry.value, sink)),
            Value::Null => {}
        }
    }

    /// The value of a variable for a text of this node's file.
    pub(super) fn get(&self, node: &Node, name: &str) -> Option<String> {
        let scopes = self.by_file.borrow();
        scopes.get(&*node.at.file).unwrap_or(&self.root).get(name)
    }
}
