//! `include`: whole projects of other files, with their own directory and variables, as part of this one.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Assembler, Surroundings, relocate, shape};
use crate::compose::keys;
use crate::compose::source::{absolute, clean};
use crate::yaml::{self, Entry, Node, Value};

/// The sections that an included file adds to.
const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

impl Assembler<'_> {
    /// The tree with what it includes in it.
    pub(super) fn included(&self, mut tree: Node, around: &Surroundings) -> Node {
        let Some(include) = tree.remove("include").filter(|node| !node.is_null()) else {
            return tree;
        };
        self.scopes.tell(&include, self.sink);
        for entry in yaml::items(self.sink, &include) {
            if let Some(part) = self.part(entry, around) {
                self.import(&mut tree, part);
            }
        }
        tree
    }

    /// The files of one entry, merged.
    fn part(&self, entry: &Node, around: &Surroundings) -> Option<Node> {
        let files = self.paths(entry, "path", &around.directory);
        let Some(first) = files.first() else {
            self.sink.report_hint(entry, "path is missing", "name the file to include");
            return None;
        };
        if let Some(again) = files.iter().find(|file| around.includers.contains(file)) {
            let names = around.includers.iter().chain([again]).map(|file| file.display().to_string());
            let message = format!("the files include each other: {}", names.collect::<Vec<_>>().join(" -> "));
            self.sink.report(entry, message);
            return None;
        }
        let inner = self.surroundings(entry, around, first);
        let inner = Surroundings { includers: [&around.includers[..], &files].concat(), ..inner };
        let trees = files.iter().map(|file| Some((file.clone(), self.parse(file, entry)?))).collect::<Option<_>>()?;
        let mut part = self.merged(trees, &inner)?;
        keys::TOP.check(self.sink, &part);
        if let Some(own) = part.get("x-toolbox") {
            self.sink.report(own, "is read in the project's own files only, not in included ones");
        }
        relocate::project(&mut part, &absolute(&inner.directory));
        Some(part)
    }

    fn surroundings(&self, entry: &Node, around: &Surroundings, first: &Path) -> Surroundings {
        let text = |key: &str| entry.get(key).and_then(|node| yaml::text(self.sink, node));
        let is_map = matches!(entry.value, Value::Map(_));
        if is_map {
            keys::INCLUDE.check(self.sink, entry);
        }
        let own = first.parent().map(Path::to_owned).unwrap_or_default();
        let chosen = text("project_directory").filter(|_| is_map);
        let directory = chosen.map_or(own, |path| clean(&around.directory.join(path)));
        let env_files = if is_map { self.paths(entry, "env_file", &around.directory) } else { Vec::new() };
        let at = entry.get("env_file").unwrap_or(entry);
        let scope = around.scope.with_files(&env_files, &directory, self.sink, |file, message| {
            at.problem(format!("{}: {message}", file.display()))
        });
        Surroundings { directory, scope: Rc::new(scope), includers: Vec::new() }
    }

    /// The paths under `key`; a bare text is itself a path.
    fn paths(&self, entry: &Node, key: &str, directory: &Path) -> Vec<PathBuf> {
        let node = if matches!(entry.value, Value::Map(_)) { entry.get(key) } else { Some(entry) };
        let texts = node.map(|node| yaml::strings(self.sink, node)).unwrap_or_default();
        texts.iter().map(|text| clean(&directory.join(text))).collect()
    }

    /// Adds what an included file declares; a name that means something else already is a problem.
    fn import(&self, tree: &mut Node, part: Node) {
        let Value::Map(sections) = part.value else {
            return;
        };
        for section in sections.into_iter().filter(|section| SECTIONS.contains(&&*section.key)) {
            let Value::Map(entries) = section.value.value else {
                tree.put_if_new(Entry { key: section.key, at: section.at, value: section.value });
                continue;
            };
            let own = shape::section(tree, &section.key, &section.at);
            entries.into_iter().for_each(|entry| self.add(own, &section.key, entry));
        }
    }

    fn add(&self, own: &mut Node, section: &str, entry: Entry) {
        match own.entry(&entry.key) {
            Some(there) if shape::same(&there.value, &entry.value) => {}
            Some(there) => {
                let (file, line) = (entry.at.file.display(), entry.at.line);
                let message = format!("is defined differently in {file}:{line}, which is included");
                let hint = "rename one of them, or change the included one in compose.override.yaml";
                let path = format!("{section}.{}", entry.key);
                self.sink.push(there.at.problem(path, message).with_hint(hint));
            }
            None => own.put_if_new(entry),
        }
    }
}
