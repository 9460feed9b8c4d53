//! Which files an inventory consists of, and which format each has.
//!
//! Ansible's ways: a directory stands for its files in the order of their names, without hidden ones, `group_vars`,
//! `host_vars` and those with ignored endings; a file without an ending or with one of YAML's is read as YAML where it
//! holds a mapping, and as INI otherwise. Absent on purpose: programs and plugins as inventories, TOML, vaults; each is
//! refused.

use std::path::{Path, PathBuf};

use super::draft::{Draft, Place};
use super::vars_files::VarsFiles;
use super::{Inventory, Problem, Problems, ini, precedence, yaml_file};
use crate::yaml::{self, KeyPath, Location, Node, Sink, Value, read_text};

/// Endings that a directory's files are left out for.
const IGNORED: [&str; 13] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".ini", ".cfg", ".retry"];
/// How deep directories may be nested.
const MAX_DEPTH: usize = 16;
const EXAMPLE: &str = "write all: {hosts: {web: }}, or [web] and a line for each host";
const AS_FILE: &str = "write it out: ansible-inventory -i FILE --list --yaml --output inventory.yaml";

impl Inventory {
    /// Reads files, directories and lists of hosts (`web1,web2`, at least one comma), later ones over earlier ones, with the `group_vars` and `host_vars` beside them and
    /// in the `project` directory.
    ///
    /// # Errors
    /// All problems of all files.
    pub fn load(sources: &[PathBuf], project: Option<&Path>) -> Result<Self, Problems> {
        let sink = Sink::default();
        let mut draft = Draft::new();
        for source in sources {
            read_source(&mut draft, source, &sink, 0);
        }
        let bases = sources.iter().map(|source| base(source)).collect();
        let files = VarsFiles::new(bases, project.map(Path::to_owned), &sink);
        finish(&draft, sources.first().map_or(Path::new(""), PathBuf::as_path), &files, &sink)
    }

    /// Reads one file or directory.
    ///
    /// # Errors
    /// As [`Inventory::load`].
    pub fn from_file(path: &Path) -> Result<Self, Problems> {
        Self::load(&[path.to_owned()], None)
    }
}

/// The inventory that the draft means.
pub(super) fn finish(draft: &Draft, first: &Path, files: &VarsFiles<'_>, sink: &Sink) -> Result<Inventory, Problems> {
    if draft.hosts.is_empty() && !sink.has_problems() {
        sink.push(Problem::of_file(first, "holds no hosts").with_hint(EXAMPLE));
    }
    let mut inventory = precedence::resolve(draft, files, sink);
    inventory.warnings = sink.take_warnings();
    sink.finish(Some(inventory))
}

/// The directory where a source's `group_vars` are looked for.
fn base(source: &Path) -> PathBuf {
    if source.is_dir() { source.to_owned() } else { source.parent().unwrap_or(Path::new("")).to_owned() }
}

fn read_source(draft: &mut Draft, source: &Path, sink: &Sink, depth: usize) {
    if depth == 0
        && let Some(list) = list(source)
    {
        return read_list(draft, source, list, sink);
    }
    if !source.is_dir() {
        return read_file(draft, source, sink);
    }
    if depth >= MAX_DEPTH {
        return sink.push(Problem::of_file(source, format!("more than {MAX_DEPTH} directories deep")));
    }
    match names(source) {
        Ok(names) => names.iter().filter(|name| !is_ignored(name)).for_each(|name| {
            read_source(draft, &source.join(name), sink, depth + 1);
        }),
        Err(message) => sink.push(Problem::of_file(source, message)),
    }
}

/// A list of hosts, which is what has a comma and is no file.
fn list(source: &Path) -> Option<&str> {
    source.to_str().filter(|text| text.contains(',') && !source.exists())
}

/// Hosts of a list, each with a port behind it where wanted; the last comma may be there for its own sake.
fn read_list(draft: &mut Draft, source: &Path, list: &str, sink: &Sink) {
    let place = Place { at: Location { file: source.into(), line: 1, column: 1 }, path: KeyPath::default() };
    for host in list.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        draft.add_hosts("ungrouped", host, &place, sink);
    }
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(directory).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let entries = entries.map_err(|e| format!("cannot read: {e}"))?;
    // A name that is not UTF-8 cannot be one of a host or group.
    let mut names: Vec<String> = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn is_ignored(name: &str) -> bool {
    name.starts_with('.')
        || matches!(name, "group_vars" | "host_vars" | "vars_plugins")
        || IGNORED.iter().any(|ending| name.ends_with(ending))
}

fn read_file(draft: &mut Draft, path: &Path, sink: &Sink) {
    if is_program(path) {
        let problem = Problem::of_file(path, "is a program: dynamic inventories are not run");
        return sink.push(problem.with_hint(AS_FILE));
    }
    match read_text(path) {
        Ok(text) => read_as(draft, path, &text, sink),
        Err(message) => sink.push(Problem::of_file(path, message)),
    }
}

/// Whether a file is made to be executed: what its first bytes say, since a mounted file may carry any mode.
fn is_program(path: &Path) -> bool {
    use std::io::Read as _;
    let mut start = Vec::new();
    let read = std::fs::File::open(path).map(|file| file.take(4).read_to_end(&mut start));
    read.is_ok() && (start.starts_with(b"#!") || start == b"\x7fELF")
}

/// Reads the text of a file; `path` decides about the format and stands in messages.
pub(super) fn read_as(draft: &mut Draft, path: &Path, text: &str, sink: &Sink) {
    if is_vault(text) {
        let problem = Problem::of_file(path, "is encrypted by Ansible Vault, which toolbox does not open");
        return sink.push(problem.with_hint("keep what is secret in group_vars, and the hosts outside of the vault"));
    }
    match path.extension().and_then(|ending| ending.to_str()) {
        None | Some("yaml" | "yml" | "json") => either(draft, path, text, sink),
        Some("toml") => {
            sink.push(Problem::of_file(path, "inventories in TOML are not read").with_hint(AS_FILE));
        }
        Some(_) => ini::read(draft, path, text, sink),
    }
}

/// Whether a text is a vault as a whole.
pub(super) fn is_vault(text: &str) -> bool {
    text.starts_with("$ANSIBLE_VAULT;")
}

fn either(draft: &mut Draft, path: &Path, text: &str, sink: &Sink) {
    let as_yaml = Sink::default();
    match yaml::parse_tagged(path, text, &as_yaml) {
        Some(root) if matches!(root.value, Value::Map(_)) => {
            as_yaml.pass_on(sink);
            read_mapping(draft, &root, sink);
        }
        Some(root) if root.is_null() => {}
        root => {
            let as_ini = Sink::default();
            let mut tried = draft.clone();
            ini::read(&mut tried, path, text, &as_ini);
            match (root, path.extension()) {
                _ if !as_ini.has_problems() => {
                    *draft = tried;
                    as_ini.pass_on(sink);
                }
                (_, None) => as_ini.pass_on(sink),
                (Some(root), _) => sink.report_hint(&root, "holds no groups", EXAMPLE),
                (None, _) => as_yaml.pass_on(sink),
            }
        }
    }
}

fn read_mapping(draft: &mut Draft, root: &Node, sink: &Sink) {
    match root.get("plugin") {
        Some(plugin) => sink.report_hint(plugin, "inventory plugins are not run", AS_FILE),
        None => yaml_file::read(draft, root, sink),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_be_listed_with_commas() {
        let load = |list: &str| Inventory::from_file(Path::new(list));
        let inventory = load("web[1:2].example, db:2222,").unwrap();
        let hosts: Vec<(&str, u16)> = inventory.hosts.values().map(|host| (host.address.as_str(), host.port)).collect();
        assert_eq!(hosts, [("web1.example", 22), ("web2.example", 22), ("db", 2222)]);
        assert!(load("web,root@db").unwrap_err().to_string().contains("\"root@db\" is no name of a host"));
        assert!(load(",").unwrap_err().to_string().contains("holds no hosts"));
    }
}
