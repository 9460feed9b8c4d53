//! `group_vars/` and `host_vars/`: variables in files beside the inventory and beside the compose file.
//!
//! Found as Ansible's `host_group_vars` plugin does: `NAME`, `NAME.yml`, `NAME.yaml` or `NAME.json`, the first that
//! there is; a directory stands for all files below it with such endings or none, in the order of their names. A file
//! that is encrypted as a whole is left out with a warning, since what it holds is mostly none of toolbox's business.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Problem;
use super::draft::Variables;
use super::sources::{is_vault, names};
use crate::yaml::{self, Sink, read_text};

/// How deep directories may be nested.
const MAX_DEPTH: usize = 16;
const ENDINGS: [&str; 3] = ["yml", "yaml", "json"];

/// Reads each file once.
pub(super) struct VarsFiles<'a> {
    /// Beside each of the inventory's sources, in their order.
    bases: Vec<PathBuf>,
    project: Option<PathBuf>,
    sink: &'a Sink,
    /// Whether a directory is there.
    directories: RefCell<HashMap<PathBuf, bool>>,
    read: RefCell<HashMap<PathBuf, Rc<Variables>>>,
}

impl<'a> VarsFiles<'a> {
    /// The files below these directories.
    pub(super) fn new(bases: Vec<PathBuf>, project: Option<PathBuf>, sink: &'a Sink) -> Self {
        Self { bases, project, sink, directories: RefCell::default(), read: RefCell::default() }
    }

    /// What the files say about groups, in the order in which it is to be merged: `all` before the others, and of each
    /// the inventory's files before the project's.
    pub(super) fn of_groups(&self, groups: &[&str]) -> Vec<Rc<Variables>> {
        let mut found = Vec::new();
        for groups in [&["all"][..], groups] {
            for base in self.bases.iter().chain(&self.project) {
                found.extend(groups.iter().map(|group| self.find(base, "group_vars", group)));
            }
        }
        found
    }

    /// What the files say about a host, in the order in which it is to be merged.
    pub(super) fn of_host(&self, host: &str) -> Vec<Rc<Variables>> {
        self.bases.iter().chain(&self.project).map(|base| self.find(base, "host_vars", host)).collect()
    }

    fn find(&self, base: &Path, kind: &str, name: &str) -> Rc<Variables> {
        let directory = base.join(kind);
        let mut known = self.directories.borrow_mut();
        if !*known.entry(directory.clone()).or_insert_with(|| directory.is_dir()) {
            return Rc::default();
        }
        let path = directory.join(name);
        let mut read = self.read.borrow_mut();
        Rc::clone(read.entry(path).or_insert_with_key(|path| Rc::new(self.read_named(path))))
    }

    fn read_named(&self, path: &Path) -> Variables {
        let with = |ending: &&str| PathBuf::from(format!("{}.{ending}", path.display()));
        let candidates = std::iter::once(path.to_owned()).chain(ENDINGS.iter().map(with));
        let mut variables = Variables::new();
        if let Some(found) = candidates.into_iter().find(|path| path.exists()) {
            self.read_all(&found, 0, &mut variables);
        }
        variables
    }

    fn read_all(&self, path: &Path, depth: usize, variables: &mut Variables) {
        if !path.is_dir() {
            return self.read_one(path, variables);
        }
        if depth >= MAX_DEPTH {
            return self.sink.push(Problem::of_file(path, format!("more than {MAX_DEPTH} directories deep")));
        }
        match names(path) {
            Ok(names) => names.iter().map(|name| path.join(name)).filter(|path| counts(path)).for_each(|path| {
                self.read_all(&path, depth + 1, variables);
            }),
            Err(message) => self.sink.push(Problem::of_file(path, message)),
        }
    }

    fn read_one(&self, path: &Path, variables: &mut Variables) {
        let text = match read_text(path) {
            Ok(text) => text,
            Err(message) => return self.sink.push(Problem::of_file(path, message)),
        };
        if is_vault(&text) {
            let message = "is encrypted by Ansible Vault: the variables in it are not known here";
            return self.sink.warn(Problem::of_file(path, message));
        }
        if let Some(root) = yaml::parse_tagged(path, &text, self.sink) {
            for entry in yaml::entries(self.sink, &root) {
                variables.insert(entry.key.to_string(), Rc::new(entry.value.clone()));
            }
        }
    }
}

/// Whether a directory's entry is read: nothing hidden, no backups, no other endings.
fn counts(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let ending = path.extension().map(|ending| ending.to_string_lossy());
    let known = ending.is_none_or(|ending| ENDINGS.contains(&&*ending) && path.is_file());
    !name.starts_with('.') && !name.ends_with('~') && known
}
