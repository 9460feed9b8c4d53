//! The shape of the house, read from the sources: rings, owners of heavy dependencies, lengths of files.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules and their rings: a module imports from its own ring and below.
const RINGS: [(&str, u8); 16] = [
    ("cli", 4),
    ("ui", 4),
    ("apply", 3),
    ("bootstrap", 3),
    ("engine", 3),
    ("packages", 3),
    ("ssh", 3),
    ("plan", 2),
    ("state", 2),
    ("compose", 1),
    ("inventory", 1),
    ("release", 1),
    ("ssh_config", 1),
    ("debian", 0),
    ("image", 0),
    ("yaml", 0),
];

/// Heavy dependencies and the one module that may name them.
const OWNERS: [(&str, &str); 9] = [
    ("aws_lc_rs", "agent"),
    ("bollard", "engine"),
    ("clap", "cli"),
    ("indicatif", "ui"),
    ("pgp", "debian"),
    ("region", "agent"),
    ("russh", "ssh"),
    ("saphyr_parser", "yaml"),
    ("ssh_agent_lib", "agent"),
];

const MOST_LINES: usize = 400;

struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let inside = path.strip_prefix(root).unwrap();
            let module = inside.components().next().unwrap().as_os_str().to_string_lossy();
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { module: module.trim_end_matches(".rs").to_owned(), path, text });
        }
    }
}

fn ring(module: &str) -> Option<u8> {
    RINGS.iter().find(|(name, _)| *name == module).map(|(_, ring)| *ring)
}

/// Code lines only, without what stands in quotes: a word in a comment or a text imports nothing.
fn code(source: &Source) -> impl Iterator<Item = String> + '_ {
    let lines = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split('"').step_by(2).collect())
}

/// Modules named by `crate::module`; lists after `crate::` are not used in this crate, and refused below.
fn imports(source: &Source) -> Vec<String> {
    let mut names = Vec::new();
    for line in code(source) {
        let after = line.split("crate::").skip(1);
        names.extend(
            after.filter_map(|rest| rest.split([':', ',', '}', ';', ' ', ')', '<', '>']).next()).map(str::to_owned),
        );
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn imports_go_downwards() {
    let mut wrong = Vec::new();
    for source in sources() {
        let own = ring(&source.module);
        for import in imports(&source) {
            assert!(!import.starts_with('{'), "{}: write one `use` for each module", source.path.display());
            let allowed = match (own, ring(&import)) {
                (Some(own), Some(theirs)) => theirs <= own,
                (Some(_), None) if import == "agent" => source.module == "cli",
                (None, _) if source.module == "agent" => import == "agent",
                _ => true,
            };
            if !allowed {
                wrong.push(format!("{} imports {import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn heavy_dependencies_have_one_owner() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, owner) in OWNERS {
            let (path, tests) = (format!("{name}::"), source.path.to_string_lossy().contains("tests"));
            // Key formats are the agent's business, and russh keeps the code for them.
            let used =
                |line: String| line.contains(&path) && !(source.module == "agent" && line.contains("russh::keys"));
            if source.module != owner && !tests && code(&source).any(used) {
                wrong.push(format!("{} uses {name}, which belongs to {owner}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{} has {lines} lines", source.path.display()));
        }
        let is_test = source.path.to_string_lossy().contains("tests");
        if !is_test && !source.text.starts_with("//!") {
            wrong.push(format!("{} has no module documentation", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_ui_writes_to_the_terminal() {
    let mut wrong = Vec::new();
    let is_test = |s: &Source| s.path.to_string_lossy().contains("tests");
    for source in sources().into_iter().filter(|s| s.module != "ui" && !is_test(s)) {
        if code(&source).any(|line| ["println!(", "print!(", "eprintln!(", "eprint!("].iter().any(|m| line.contains(m)))
        {
            wrong.push(source.path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
