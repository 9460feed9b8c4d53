//! The projects in `examples/`, deployed as a person does it: their files as they are, `.env`, and the program's verbs.
//!
//! Contract: a scenario looks at a host from outside only, through the published port and through the engine. Absent on
//! purpose: calls into the toolbox's code, and compose files of the tests' own.

mod client;
mod static_site;
mod web_app;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::machine::{Kind, Machine, READY};
use crate::project::Project;
use client::{Client, Load};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A copy of an example, with a host of its own to deploy to.
struct Example {
    machine: Machine,
    project: Project,
    /// The images' names and the directories that they are built from.
    images: &'static [(&'static str, &'static str)],
}

impl Example {
    /// The example in this directory, its images built. `None` where this cannot be had here.
    fn new(test: &str, directory: &str, images: &'static [(&'static str, &'static str)]) -> Option<Self> {
        let machine = Machine::start(test, &Kind { disk: "2g", ..READY })?;
        let project = Project::on(test, &machine);
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(directory);
        copy(&original, &project.path(""));
        let example = Self { machine, project, images };
        example.settings(&[]);
        example.build();
        Some(example)
    }

    /// Writes `.env`: these variables, and which images are ours.
    fn settings(&self, variables: &[(&str, &str)]) {
        let lines: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        self.project.write(".env", &format!("TAG={}\n{lines}", self.project.name));
    }

    /// Builds the images as they stand in the copy.
    fn build(&self) {
        // Tests that run at this time build upon the same layers.
        let lock = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples.lock")).unwrap();
        lock.lock().unwrap();
        for (image, context) in self.images {
            let mut command = Command::new("docker");
            command.args(["build", "--quiet", "--tag", &self.tagged(image)]).arg(self.project.path(context));
            // Attestations hold times: with them an unchanged build would be another image.
            let output = command.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1").output().expect("docker is there");
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn tagged(&self, image: &str) -> String {
        format!("{image}:{}", self.project.name)
    }

    /// Replaces a text in one of its files, which must be there.
    fn edit(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.project.path(file)).unwrap();
        assert!(text.contains(old), "{old:?} in {file}");
        self.project.write(file, &text.replace(old, new));
    }

    /// Deploys, which must go well, and then again, which must change nothing.
    #[track_caller]
    fn deploys_once(&self) {
        self.project.toolbox(&["plan", "--detailed-exitcode"]).exits(2);
        self.project.toolbox(&["deploy"]).exits(0);
        let containers = self.ids();
        self.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
        self.project.toolbox(&["deploy"]).exits(0);
        assert_eq!(self.ids(), containers);
    }

    /// Ids of all of the project's containers that run, sorted.
    fn ids(&self) -> Vec<String> {
        self.listed(&[])
    }

    /// Ids of the service's own containers that run, sorted.
    fn service(&self, service: &str) -> Vec<String> {
        self.listed(&[&format!("com.docker.compose.service={service}"), "io.toolbox.role=service"])
    }

    fn listed(&self, labels: &[&str]) -> Vec<String> {
        let project = format!("com.docker.compose.project={}", self.project.name);
        let filters = labels.iter().copied().chain([project.as_str()]).map(|label| format!("--filter=label={label}"));
        let filters: Vec<String> = filters.collect();
        let words = ["ps", "--quiet", "--no-trunc"].into_iter().chain(filters.iter().map(String::as_str));
        let listed = self.engine().docker(&words.collect::<Vec<_>>());
        let mut ids: Vec<String> = listed.lines().map(str::to_owned).collect();
        ids.sort();
        ids
    }

    fn engine(&self) -> Engine {
        self.machine.engine()
    }

    /// What the example's published port serves.
    fn client(&self) -> Client {
        Client::to(&self.machine, 8080)
    }

    /// Requests without end, until it is asked how they went.
    fn load(&self) -> Load {
        Load::start(&self.machine, 8080)
    }

    /// Checks that none of the services' processes is root's.
    #[track_caller]
    fn runs_nothing_as_root(&self) {
        for id in self.ids() {
            let top = self.engine().docker(&["top", &id, "-eo", "pid,uid,args"]);
            let mut uids = top.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
            assert!(uids.all(|uid| uid != "0"), "{top}");
        }
    }

    /// Checks that the engine tells nobody this text: not in a container's definition, labels or environment.
    #[track_caller]
    fn keeps_secret(&self, text: &str) {
        for id in self.ids() {
            assert!(!self.engine().docker(&["container", "inspect", &id]).contains(text), "container {id} tells it");
        }
    }

    /// What happened to containers since a moment that [`Example::now`] gave, one line each in this format.
    fn happened(&self, since: &str, filters: &[&str], format: &str) -> Vec<String> {
        let now = self.now();
        let filters = filters.iter().flat_map(|filter| ["--filter", filter]);
        let arguments = ["events", "--since", since, "--until", &now, "--format", format].into_iter();
        let events = self.engine().docker(&arguments.chain(filters).collect::<Vec<_>>());
        events.lines().map(str::to_owned).collect()
    }

    /// How many hooks have run since this moment.
    fn hooks(&self, since: &str) -> usize {
        self.happened(since, &["label=io.toolbox.role=hook", "event=start"], "{{.ID}}").len()
    }

    /// The time as the engine sees it.
    fn now(&self) -> String {
        self.engine().docker(&["info", "--format", "{{.SystemTime}}"])
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let local = Engine::at(Path::new("/var/run/docker.sock"));
        for (image, _) in self.images {
            // What they were built upon stays, for the next test.
            local.succeeds(&["image", "rm", "--force", "--no-prune", &self.tagged(image)]);
        }
    }
}

/// Waits until this gives something.
#[track_caller]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Copies what Git would hold, without the inventory, which names a host that does not exist.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let copied: PathBuf = to.join(&name);
        if path.is_dir() {
            fs::create_dir_all(&copied).unwrap();
            copy(&path, &copied);
        } else if name != "inventory.yaml" && name != ".env" && name != "known_hosts" {
            fs::copy(&path, &copied).unwrap();
        }
    }
}
