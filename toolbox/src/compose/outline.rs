//! What can be told of a project whose files do not load.
//!
//! Contract: the name is the one that the project has when its files are mended: asked for, `COMPOSE_PROJECT_NAME`, the
//! last `name:`, or the directory's where one of the files is there. Of a file that is no YAML a line `name:` is taken
//! alone. Problems are not told: who loads the files tells them.

use std::path::Path;

use super::variables::Scope;
use super::{LoadRequest, assemble, source};
use crate::yaml::{self, Node, Problem, Sink};

/// The project's name; `None` where nothing tells it.
pub fn outlined_name(request: &LoadRequest) -> Option<String> {
    let untold = Sink::default();
    let variables = Scope::read(&request.environment, &request.env_files, &request.working_dir, &untold);
    let files = source::files(request, &variables, &untold);
    let trees: Vec<Node> = files.iter().filter_map(|file| tree(file)).collect();
    let named = source::asked_name(request, &variables).is_some();
    // The name of a directory without a compose file is anybody's.
    if !named && !files.iter().any(|file| file.is_file()) {
        return None;
    }
    let sink = Sink::default();
    let file = files.first().map_or(&*request.working_dir, |file| file);
    let name = source::project_name(request, &trees, file, &variables, &sink);
    sink.finish(Some(name)).ok()
}

/// The file, or what of it tells the name.
fn tree(file: &Path) -> Option<Node> {
    let untold = Sink::default();
    assemble::parse(file, &untold, |message| Problem::of_file(file, message)).or_else(|| {
        let text = yaml::read_text(file).ok()?;
        let lines = text.lines().filter(|line| !line.starts_with([' ', '\t', '#']));
        lines.filter_map(|line| yaml::parse_tagged(file, line, &untold)).find(|line| line.get("name").is_some())
    })
}
