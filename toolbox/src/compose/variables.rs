//! The variables of a project: the environment, then `.env`, then the project's name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::dotenv;
use super::interpolate::{Fault, Variables, interpolate};
use crate::yaml::{Node, Problem, Sink, read_text};

/// Variables by precedence.
pub(super) struct ProjectVariables<'a> {
    environment: &'a BTreeMap<String, String>,
    dotenv: BTreeMap<String, String>,
    /// What `COMPOSE_PROJECT_NAME` is when nobody sets it.
    pub(super) project: Option<String>,
    unset: RefCell<BTreeSet<String>>,
}

impl<'a> ProjectVariables<'a> {
    /// Reads `.env` of the directory where there is one.
    pub(super) fn read(environment: &'a BTreeMap<String, String>, directory: &Path, sink: &Sink) -> Self {
        let file = directory.join(".env");
        let outside = |name: &str| environment.get(name).cloned();
        let mut dotenv = BTreeMap::new();
        if file.exists() {
            match read_text(&file) {
                Ok(text) => dotenv = dotenv::parse(&file, &text, &outside, true, sink),
                Err(message) => sink.push(Problem::of_file(&file, message)),
            }
        }
        Self { environment, dotenv, project: None, unset: RefCell::default() }
    }

    /// Replaces the variables in every scalar below `node`.
    pub(super) fn apply(&self, node: &mut Node, sink: &Sink) {
        node.map_scalars(&mut |at, path, text| {
            if !text.contains('$') {
                return None;
            }
            let result = interpolate(text, self);
            for name in self.unset.take() {
                sink.warn(at.problem(
                    path.to_string(),
                    format!("the variable {name} is not set, an empty text takes its place"),
                ));
            }
            result
                .map_err(|fault| {
                    let problem = at.problem(path.to_string(), fault.to_string());
                    sink.spoil(match fault {
                        Fault::Invalid(_) => problem.with_hint("write $$ for a literal $"),
                        _ => problem,
                    });
                })
                .ok()
        });
    }
}

impl Variables for ProjectVariables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let known = self.environment.get(name).or_else(|| self.dotenv.get(name)).cloned();
        known.or_else(|| self.project.clone().filter(|_| name == "COMPOSE_PROJECT_NAME"))
    }

    fn unset(&self, name: &str) {
        self.unset.borrow_mut().insert(name.to_owned());
    }
}
