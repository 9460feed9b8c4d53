//! Which files are read, and what the project is called.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::interpolate::Variables as _;
use super::variables::Scope;
use super::{LoadRequest, names};
use crate::yaml::{Node, Problem, Sink};

/// The names that are looked for, in this order.
const DEFAULT_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// The first of these is merged into the one above.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml", "docker-compose.override.yml"];

/// The files to read, in the order of merging; none with a problem where there is nothing to read.
///
/// Those that are asked for; else those of `COMPOSE_FILE`; else the default file with its override.
pub(super) fn files(request: &LoadRequest, variables: &Scope, sink: &Sink) -> Vec<PathBuf> {
    if !request.files.is_empty() {
        return request.files.clone();
    }
    match variables.get("COMPOSE_FILE").filter(|list| !list.is_empty()) {
        Some(list) => {
            let separator = variables.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty());
            let names = list.split(separator.as_deref().unwrap_or(":")).filter(|name| !name.is_empty());
            names.map(|name| in_directory(&request.working_dir, name)).collect()
        }
        None => default_files(&request.working_dir, sink),
    }
}

fn default_files(directory: &Path, sink: &Sink) -> Vec<PathBuf> {
    let there = |name: &&&str| directory.join(name).is_file();
    let Some(name) = DEFAULT_FILES.iter().find(there) else {
        let message = format!("no compose file here ({})", DEFAULT_FILES.join(", "));
        let hint = "go to the project's directory, or name the file with --file";
        sink.push(Problem::of_file(directory, message).with_hint(hint));
        return Vec::new();
    };
    let names = [Some(name), OVERRIDES.iter().find(there)];
    names.into_iter().flatten().map(|name| in_directory(directory, name)).collect()
}

fn in_directory(directory: &Path, name: &str) -> PathBuf {
    let file = directory.join(name);
    file.strip_prefix(".").map_or_else(|_| file.clone(), Path::to_owned)
}

/// Profiles that are asked for, else those of `COMPOSE_PROFILES`.
pub(super) fn profiles(request: &LoadRequest, variables: &Scope) -> BTreeSet<String> {
    if !request.profiles.is_empty() {
        return request.profiles.clone();
    }
    let list = variables.get("COMPOSE_PROFILES").unwrap_or_default();
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The project's name: asked for, `COMPOSE_PROJECT_NAME`, the last `name:`, or the directory's.
pub(super) fn project_name(
    request: &LoadRequest,
    trees: &[Node],
    file: &Path,
    variables: &Scope,
    sink: &Sink,
) -> String {
    if let Some((name, source)) = asked_name(request, variables) {
        if !names::is_project_name(&name) {
            let message = format!("{source} is {name:?}, which is no project name");
            sink.push(Problem::of_file(file, message).with_hint(names::PROJECT_RULE));
        }
        return name;
    }
    if let Some(node) = trees.iter().rev().find_map(|tree| tree.get("name")) {
        return declared_name(node, variables, sink);
    }
    directory_name(&absolute(&request.working_dir), file, sink)
}

/// The name that goes before those of files and directories, and where it comes from.
pub(super) fn asked_name(request: &LoadRequest, variables: &Scope) -> Option<(String, &'static str)> {
    let asked = request.project_name.clone().map(|name| (name, "the project name asked for"));
    let variable = || variables.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    asked.or_else(|| variable().map(|name| (name, "COMPOSE_PROJECT_NAME")))
}

fn declared_name(node: &Node, variables: &Scope, sink: &Sink) -> String {
    let mut node = node.clone();
    variables.replace(&mut node, &mut |trouble| trouble.tell(sink));
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
