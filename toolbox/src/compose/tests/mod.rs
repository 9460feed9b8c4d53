//! Whole files, read through `load`.

mod fields;
mod files;
mod outline;
mod problems;
mod reference;
mod rollout;
mod several;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use super::{LoadRequest, Problems, Project, load};

/// A project directory with files in it.
struct Directory(tempfile::TempDir);

impl Directory {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
        for (name, text) in files {
            let file = directory.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        Self(directory)
    }

    fn request(&self) -> LoadRequest {
        LoadRequest {
            working_dir: self.0.path().to_owned(),
            project_name: Some("shop".into()),
            environment: BTreeMap::from([("HOME".into(), "/home/me".into()), ("SET".into(), "value".into())]),
            ..LoadRequest::default()
        }
    }

    /// What is wrong with the files of this directory.
    fn problems(&self) -> String {
        match load(&self.request()) {
            Ok(project) => panic!("{project:#?}"),
            Err(problems) => self.told(&problems),
        }
    }

    /// The problems' text with the directory cut off.
    fn told(&self, problems: &Problems) -> String {
        problems.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn try_load(text: &str, profiles: &[&str]) -> Result<Project, String> {
    let directory = Directory::new(&[("compose.yaml", text)]);
    let profiles: BTreeSet<String> = profiles.iter().map(|name| (*name).to_owned()).collect();
    load(&LoadRequest { profiles, ..directory.request() }).map_err(|problems| directory.told(&problems))
}

fn loaded(text: &str) -> Project {
    try_load(text, &[]).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

fn problems(text: &str) -> String {
    try_load(text, &[]).map(|project| format!("{project:#?}")).unwrap_err()
}

/// A file with one service `web` that holds `body`, one key a line.
fn web(body: &str) -> String {
    let indented: String = body.lines().map(|line| format!("    {line}\n")).collect();
    format!("services:\n  web:\n    image: i\n{indented}")
}
