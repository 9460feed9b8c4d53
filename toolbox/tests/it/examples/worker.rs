//! `examples/worker`: configs and secrets from files and from the environment, and jobs that outlive every change.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::{Example, eventually};

const IMAGES: &[(&str, &str)] = &[("worker", "worker"), ("worker-queue", "queue")];
const PASSWORD: &str = "1b9d6f3e8a7c5d4e2f0a";
const KEY: &str = "a key that nobody else has";

/// What a worker writes about a job.
struct Outcome {
    text: String,
    signature: String,
}

fn example(test: &str) -> Option<Example> {
    let example = Example::new(test, "worker", IMAGES)?;
    example.project.write("queue_password.txt", &format!("{PASSWORD}\n"));
    example.site("first");
    Some(example)
}

fn deployed(test: &str) -> Option<Example> {
    let example = example(test)?;
    example.project.toolbox(&["deploy"]).exits(0);
    Some(example)
}

impl Example {
    /// Sets what the results shall say.
    fn site(&self, name: &str) {
        self.settings(&[("SITE_NAME", name), ("SIGNING_KEY", KEY)]);
    }

    /// What a worker prints, by the job's number.
    fn results(&self) -> BTreeMap<u64, Outcome> {
        let run = self.project.toolbox(&["exec", "worker", "--", "results"]).exits(0);
        let lines = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let outcome = |line: &Value| Outcome { text: text(line, "text"), signature: text(line, "signature") };
        lines.map(|line: Value| (line["job"].as_u64().unwrap(), outcome(&line))).collect()
    }

    /// Waits until this many jobs are done; what became of them.
    fn all_done(&self, count: usize) -> BTreeMap<u64, Outcome> {
        eventually("all jobs are done", || Some(self.results()).filter(|results| results.len() == count))
    }
}

/// The names that signed the results.
fn sites(results: &BTreeMap<u64, Outcome>) -> BTreeSet<&str> {
    results.values().filter_map(|outcome| outcome.text.split(' ').next()).collect()
}

#[test]
fn worker_must_deploy_by_its_own_files_alone_and_only_once() {
    let Some(example) = example("jobs-once") else {
        return;
    };
    example.deploys_once();
    assert_eq!(example.service("worker").len(), 2);
    let run = example.project.toolbox(&["run", "worker", "--", "enqueue", "3"]).exits(0);
    run.prints("jobs 1 to 3 are waiting");
    example.project.toolbox(&["exec", "worker", "--", "enqueue", "2"]).exits(0);
    for (job, outcome) in example.all_done(5) {
        assert!(outcome.text.starts_with(&format!("first {job} ")), "{}", outcome.text);
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(outcome.text.as_bytes());
        assert_eq!(outcome.signature, hex::encode(mac.finalize().into_bytes()), "signed with the secret");
    }
    example.runs_nothing_as_root();
    for secret in [PASSWORD, KEY] {
        example.keeps_secret(secret);
    }
    example.project.toolbox(&["exec", "worker", "--", "enqueue", "none"]).exits(1).tells("usage: enqueue COUNT");
}

#[test]
fn jobs_must_outlive_a_change_of_the_workers_and_none_may_be_cut_short() {
    const JOBS: usize = 150;
    let Some(example) = deployed("jobs-change") else {
        return;
    };
    let began = example.now();
    example.project.toolbox(&["exec", "worker", "--", "enqueue", &JOBS.to_string()]).exits(0);
    example.site("second");
    example.project.toolbox(&["deploy"]).exits(0);
    let results = example.all_done(JOBS);
    assert_eq!(results.keys().copied().collect::<Vec<_>>(), (1..=JOBS as u64).collect::<Vec<_>>());
    assert_eq!(sites(&results), BTreeSet::from(["first", "second"]), "the change came while jobs were waiting");

    let label = format!("com.docker.compose.project={}", example.project.name);
    let filters = [&format!("label={label}"), "label=com.docker.compose.service=worker", "event=die"];
    let ends = example.happened(&began, &filters, "{{.Actor.Attributes.exitCode}}");
    assert_eq!(ends, ["0", "0"], "each old worker finished its job and left by itself");
}

#[test]
fn jobs_must_outlive_workers_and_a_queue_that_are_killed() {
    const JOBS: usize = 40;
    let Some(example) = deployed("jobs-kill") else {
        return;
    };
    example.project.toolbox(&["exec", "worker", "--", "enqueue", &JOBS.to_string()]).exits(0);
    let ids = [example.service("worker"), example.service("queue")].concat();
    let arguments: Vec<&str> = ["kill"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    example.engine().docker(&arguments);
    example.project.toolbox(&["plan", "--detailed-exitcode"]).exits(2);
    example.project.toolbox(&["deploy"]).exits(0);
    example.all_done(JOBS);
}

#[test]
fn rollback_must_bring_the_config_from_the_environment_back() {
    let Some(example) = deployed("jobs-rollback") else {
        return;
    };
    example.site("second");
    example.project.toolbox(&["deploy"]).exits(0);
    example.project.toolbox(&["exec", "worker", "--", "enqueue", "1"]).exits(0);
    assert_eq!(sites(&example.all_done(1)), BTreeSet::from(["second"]));

    example.project.toolbox(&["rollback"]).exits(0);
    example.project.toolbox(&["exec", "worker", "--", "enqueue", "1"]).exits(0);
    assert!(example.all_done(2)[&2].text.starts_with("first 2 "));
}
