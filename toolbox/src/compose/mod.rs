//! compose.yaml, read into a validated `Project`.
//!
//! Contract: `load` reads compose files and merges them, with what they `include` and `extends` (and `.env` beside them
//! and the files that enabled services name), replaces variables, decodes and validates; it returns either a project
//! in which everything is resolved, or all problems together, each with file, line, column and key path. A key that is
//! not carried out is never dropped in silence: unknown keys are refused everywhere, known ones that are not supported
//! in enabled services (services under a profile that was not asked for are only checked for unknown keys, and their
//! variables may be unset). Nothing outside the request decides: no process environment, no current directory but
//! through it.
//!
//! Absent on purpose: building, looking for the file in parent directories, anything that Swarm alone carries out.

mod alone;
mod assemble;
mod canonical;
mod decode;
mod dotenv;
mod interpolate;
mod keys;
pub mod model;
mod names;
mod order;
mod outline;
mod selection;
mod source;
mod subset;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod validate;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use crate::yaml::{Problem, Problems};
pub use alone::runs_alone;
pub use decode::{duration, words};
pub use model::*;
pub use outline::outlined_name;
pub use selection::UnknownService;

use crate::yaml::{Node, Sink};
use assemble::Assembler;
use decode::Request;
use variables::{Scope, Scopes};

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// The compose files, merged in this order. Empty takes those of `COMPOSE_FILE`, else the first of `compose.yaml`,
    /// `compose.yml`, `docker-compose.yaml`, `docker-compose.yml` in the working directory, and its override file.
    pub files: Vec<PathBuf>,
    /// Files of variables, later ones before earlier ones; empty is `.env` in the working directory.
    pub env_files: Vec<PathBuf>,
    /// The project's directory: relative paths, `.env` and the default name come from it.
    pub working_dir: PathBuf,
    /// A project name that goes before every other.
    pub project_name: Option<String>,
    /// Profiles that are asked for; `*` is all. Empty takes those of `COMPOSE_PROFILES`.
    pub profiles: BTreeSet<String>,
    /// The process environment.
    pub environment: BTreeMap<String, String>,
}

/// Loads a project.
///
/// # Errors
/// All problems of the files involved; no part of the project is usable then.
pub fn load(request: &LoadRequest) -> Result<Project, Problems> {
    let sink = Sink::default();
    let project = read(request, &sink);
    let warnings = sink.take_warnings();
    sink.finish(project).map(|project| Project { warnings, ..project })
}

fn read(request: &LoadRequest, sink: &Sink) -> Option<Project> {
    let mut variables = Scope::read(&request.environment, &request.env_files, &request.working_dir, sink);
    let files = source::files(request, &variables, sink);
    let trees = parse_all(&files, sink)?;
    let name = source::project_name(request, &trees, files.first()?, &variables, sink);
    variables.project = Some(name.clone());
    let profiles = source::profiles(request, &variables);
    let scopes = Scopes::new(variables);
    let root = Assembler::new(sink, &scopes).project(&files, trees, &request.working_dir)?;
    let working_dir = source::absolute(&request.working_dir);
    let request = Request { project: &name, working_dir: &working_dir, profiles: &profiles, scopes: &scopes };
    let project = decode::project(&root, &request, sink);
    Some(Project { files: files.iter().map(|file| source::absolute(file)).collect(), ..project })
}

/// All files, so that the problems of each are shown; `None` where one cannot be read.
fn parse_all(files: &[PathBuf], sink: &Sink) -> Option<Vec<Node>> {
    let trees: Vec<Option<Node>> =
        files.iter().map(|file| assemble::parse(file, sink, |message| Problem::of_file(file, message))).collect();
    trees.into_iter().collect()
}
