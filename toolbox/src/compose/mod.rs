//! compose.yaml, read into a validated `Project`.
//!
//! Contract: `load` reads one compose file (with `.env` beside it and the `env_file`s that enabled services name),
//! replaces variables, decodes and validates; it returns either a project in which everything is resolved, or all
//! problems together, each with file, line, column and key path. A key that is not carried out is never dropped in
//! silence: unknown keys are refused everywhere, known ones that are not supported yet in enabled services (services
//! under a profile that was not asked for are only checked for unknown keys, and their variables may be unset).
//! Nothing outside the request decides: no process environment, no current directory but through it.
//!
//! Absent on purpose: merging several files, `COMPOSE_FILE` and `COMPOSE_PROFILES`, building, anything that Swarm
//! alone carries out.

mod decode;
mod dotenv;
mod hash;
mod interpolate;
mod keys;
pub mod model;
mod names;
mod order;
mod source;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod validate;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use crate::yaml::{Problem, Problems};
pub use model::*;

use crate::yaml::{self, Node, Sink};
use decode::Request;
use variables::ProjectVariables;

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// The compose file; empty looks for `compose.yaml`, `compose.yml`, `docker-compose.yaml`, `docker-compose.yml`
    /// in the working directory. More than one is refused for now.
    pub files: Vec<PathBuf>,
    /// The project's directory: relative paths, `.env` and the default name come from it.
    pub working_dir: PathBuf,
    /// A project name that goes before every other.
    pub project_name: Option<String>,
    /// Profiles that are asked for; `*` is all.
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
    let file = source::file(request, sink)?;
    let mut variables = ProjectVariables::read(&request.environment, &request.working_dir, sink);
    let root = parse(&file, sink)?;
    let name = source::project_name(request, &root, &file, &variables, sink);
    variables.project = Some(name.clone());
    let working_dir = source::absolute(&request.working_dir);
    let request =
        Request { project: &name, working_dir: &working_dir, profiles: &request.profiles, variables: &variables };
    let project = decode::project(root, &request, sink);
    Some(Project { files: vec![source::absolute(&file)], ..project })
}

fn parse(file: &Path, sink: &Sink) -> Option<Node> {
    match yaml::read_text(file) {
        Ok(text) => yaml::parse(file, &text, sink),
        Err(message) => {
            sink.push(Problem::of_file(file, message));
            None
        }
    }
}
