//! Several files made into one tree: `extends`, `include` and the merge of all that were named.
//!
//! Contract: what comes out has no `include`, no `extends` and no tags; every node still knows the file and line that
//! it stands in, and relative paths of files that have a directory of their own are absolute. Variables are replaced
//! file by file, each with the variables that it sees; what that had to say waits in [`Scopes`] until it is known
//! which texts are in use.

mod extends;
mod include;
mod merge;
mod relocate;
mod shape;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::variables::{Scope, Scopes};
use crate::yaml::{self, Entry, Node, Problem, Sink, Value};

/// Files that one project may be made of, each counted as often as it is read.
const MAX_FILES: usize = 500;

/// A file and the scope that its variables were replaced from.
type Reading = (PathBuf, *const Scope);

/// Reads and merges files.
pub(super) struct Assembler<'s> {
    pub(super) sink: &'s Sink,
    pub(super) scopes: &'s Scopes,
    /// Files that services are extended from, by file and scope.
    documents: RefCell<HashMap<Reading, Option<Rc<Document>>>>,
    files: Cell<usize>,
}

/// What the texts of a file are relative to.
#[derive(Clone)]
struct Surroundings {
    /// The directory of relative paths.
    directory: PathBuf,
    scope: Rc<Scope>,
    /// The files whose `include` led here.
    includers: Vec<PathBuf>,
}

/// One file's tree.
struct Document {
    file: PathBuf,
    root: Rc<Node>,
    directory: PathBuf,
    /// The places of the services by their names.
    services: HashMap<Arc<str>, usize>,
}

impl Document {
    fn new(file: PathBuf, root: Rc<Node>, directory: PathBuf) -> Self {
        let names = entries(root.get("services")).iter().enumerate();
        let services = names.map(|(place, entry)| (Arc::clone(&entry.key), place)).collect();
        Self { file, root, directory, services }
    }

    fn service(&self, name: &str) -> Option<&Node> {
        entries(self.root.get("services")).get(*self.services.get(name)?).map(|entry| &entry.value)
    }
}

fn entries(node: Option<&Node>) -> &[Entry] {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

impl<'s> Assembler<'s> {
    pub(super) fn new(sink: &'s Sink, scopes: &'s Scopes) -> Self {
        Self { sink, scopes, documents: RefCell::default(), files: Cell::new(0) }
    }

    /// The project's own files, already parsed, as one tree.
    pub(super) fn project(&self, files: &[PathBuf], trees: Vec<Node>, directory: &Path) -> Option<Node> {
        let around =
            Surroundings { directory: directory.to_owned(), scope: self.scopes.root(), includers: files.to_vec() };
        let pairs = files.iter().zip(trees).map(|(file, tree)| (file.clone(), tree));
        self.merged(pairs.collect(), &around)
    }

    /// The trees, one over the other; `None` where there is none.
    fn merged(&self, files: Vec<(PathBuf, Node)>, around: &Surroundings) -> Option<Node> {
        let mut all: Option<Node> = None;
        for (file, mut tree) in files {
            self.scopes.apply(&around.scope, &file, &mut tree);
            let document = Document::new(file, Rc::new(tree), around.directory.clone());
            let tree = self.included(self.extended(&document, &around.scope), around);
            all = Some(match all {
                Some(base) => merge::merge(self.sink, base, tree),
                None => merge::settled(tree),
            });
        }
        all
    }

    /// Parses a file that `at` names.
    fn parse(&self, file: &Path, at: &Node) -> Option<Node> {
        self.files.set(self.files.get() + 1);
        if self.files.get() > MAX_FILES {
            self.sink.report(at, format!("the project is made of more than {MAX_FILES} files"));
            return None;
        }
        parse(file, self.sink, |message| at.problem(format!("{}: {message}", file.display())))
    }
}

/// Parses a file, its tags kept; `problem` makes a problem of what stands in the way of reading it.
pub(super) fn parse(file: &Path, sink: &Sink, problem: impl Fn(String) -> Problem) -> Option<Node> {
    match yaml::read_text(file) {
        Ok(text) => {
            let root = yaml::parse_tagged(file, &text, sink)?;
            yaml::refuse_tags(&root, &[merge::RESET, merge::OVERRIDE], sink);
            Some(root)
        }
        Err(message) => {
            sink.push(problem(message));
            None
        }
    }
}
