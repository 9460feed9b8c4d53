//! Which file is read, and what the project is called.

use std::path::{Component, Path, PathBuf};

use super::interpolate::Variables as _;
use super::variables::ProjectVariables;
use super::{LoadRequest, names};
use crate::yaml::{Node, Problem, Sink};

/// The names that are looked for, in this order.
const DEFAULT_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// Files that Compose would merge into the one above.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml", "docker-compose.override.yml"];

/// The file to read; `None` with a problem where there is not exactly one.
pub(super) fn file(request: &LoadRequest, sink: &Sink) -> Option<PathBuf> {
    match request.files.as_slice() {
        [] => default_file(&request.working_dir, sink),
        [one] => Some(one.clone()),
        [_, second, ..] => {
            sink.push(Problem::of_file(second, "merging several compose files is not supported yet"));
            None
        }
    }
}

fn default_file(directory: &Path, sink: &Sink) -> Option<PathBuf> {
    let there = |name: &&&str| directory.join(name).is_file();
    let Some(name) = DEFAULT_FILES.iter().find(there) else {
        let message = format!("no compose file here ({})", DEFAULT_FILES.join(", "));
        let hint = "go to the project's directory, or name the file with --file";
        sink.push(Problem::of_file(directory, message).with_hint(hint));
        return None;
    };
    if let Some(other) = OVERRIDES.iter().find(there) {
        let hint = format!("name the one file to read: --file {name}");
        let problem = Problem::of_file(&directory.join(other), "merging several compose files is not supported yet");
        sink.push(problem.with_hint(hint));
    }
    let file = directory.join(name);
    Some(file.strip_prefix(".").map_or_else(|_| file.clone(), Path::to_owned))
}

/// The project's name: asked for, `COMPOSE_PROJECT_NAME`, `name:`, or the directory's.
pub(super) fn project_name(
    request: &LoadRequest,
    root: &Node,
    file: &Path,
    variables: &ProjectVariables<'_>,
    sink: &Sink,
) -> String {
    let asked = request.project_name.clone().map(|name| (name, "the project name asked for"));
    let variable = || variables.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    if let Some((name, source)) = asked.or_else(|| variable().map(|name| (name, "COMPOSE_PROJECT_NAME"))) {
        if !names::is_project_name(&name) {
            let message = format!("{source} is {name:?}, which is no project name");
            sink.push(Problem::of_file(file, message).with_hint(names::PROJECT_RULE));
        }
        return name;
    }
    if let Some(node) = root.get("name") {
        return declared_name(node, variables, sink);
    }
    directory_name(&absolute(&request.working_dir), file, sink)
}

fn declared_name(node: &Node, variables: &ProjectVariables<'_>, sink: &Sink) -> String {
    let mut node = node.clone();
    variables.apply(&mut node, sink);
    let name = crate::yaml::text(sink, &node).unwrap_or_default().to_owned();
    if !names::is_project_name(&name) {
        sink.report_hint(&node, format!("{name:?} is no project name"), names::PROJECT_RULE);
    }
    name
}

fn directory_name(directory: &Path, file: &Path, sink: &Sink) -> String {
    let base = directory.file_name().unwrap_or_default().to_string_lossy();
    let name = names::normalized(&base);
    if name.is_empty() {
        let message = "the directory's name gives no project name";
        sink.push(Problem::of_file(file, message).with_hint("write name: at the top of the file"));
    }
    name
}

/// The path from the root, without `.` and `..`.
pub(super) fn absolute(path: &Path) -> PathBuf {
    clean(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

/// The path without `.`, `..` and doubled slashes, by its text alone (it may be a path of another machine).
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}
