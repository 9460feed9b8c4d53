//! `plan --out FILE` and `deploy FILE`: a plan that is carried out as it was shown, or not at all.
//!
//! Contract: the file holds no value of a variable and no secret: the plans, and a digest of what they were made from.
//! A deploy makes its own plans anew and goes on only where they are the same.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::compose::Project;
use crate::plan::{DesiredImage, Plan, render};

use super::failure::{Failure, Failures};
use super::prepare::Asked;

const FORMAT: u32 = 1;
const AGAIN: &str = "look at what has changed: toolbox plan --out FILE";

/// Plans of all hosts, as they were shown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    format: u32,
    toolbox: String,
    project: String,
    /// Only these services were planned; empty is all.
    pub(super) services: Vec<String>,
    /// Containers of services that are not in the project go.
    pub(super) remove_orphans: bool,
    inputs: String,
    plans: BTreeMap<String, HostPlan>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostPlan {
    plan: Value,
    text: Vec<String>,
}

impl PlanFile {
    /// The plans and what they were made from.
    pub(super) fn new(
        project: &Project,
        asked: &Asked<'_>,
        images: &BTreeMap<String, DesiredImage>,
        plans: &[Plan],
    ) -> Self {
        let plans = plans.iter().map(|plan| {
            let text = render(plan).lines().map(str::to_owned).collect();
            (plan.host.clone(), HostPlan { plan: serde_json::to_value(plan).unwrap_or_default(), text })
        });
        Self {
            format: FORMAT,
            toolbox: env!("CARGO_PKG_VERSION").to_owned(),
            project: project.name.clone(),
            services: asked.services.to_vec(),
            remove_orphans: asked.remove_orphans,
            inputs: inputs(project, images),
            plans: plans.collect(),
        }
    }

    /// Writes the file anew, readable by its owner alone.
    ///
    /// # Errors
    /// What the system says, with the file's name.
    pub(super) fn write(&self, file: &Path) -> Result<(), Failures> {
        let directory = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let written = tempfile::NamedTempFile::new_in(directory).and_then(|mut part| {
            serde_json::to_writer_pretty(&mut part, self)?;
            part.write_all(b"\n")?;
            part.persist(file).map_err(|e| e.error).map(drop)
        });
        written.map_err(|e| {
            let message = format!("{}: the plan cannot be written: {e}", file.display());
            Failures::failed(vec![Failure::text(
                message,
                Some("name a file in a directory that can be written".into()),
            )])
        })
    }

    /// Reads a file that `plan --out` wrote.
    ///
    /// # Errors
    /// It cannot be read, or is no plan of this program's format.
    pub(super) fn read(file: &Path) -> Result<Self, Failures> {
        let wrong = |why: String| {
            let message = format!("{}: {why}", file.display());
            Failures::configuration(vec![Failure::text(message, Some(AGAIN.into()))])
        };
        let text = std::fs::read_to_string(file).map_err(|e| wrong(format!("the plan cannot be read: {e}")))?;
        let format = serde_json::from_str(&text).ok().and_then(|v: Value| v["format"].as_u64());
        match format {
            Some(format) if format > FORMAT.into() => return Err(wrong("a newer toolbox wrote this plan".into())),
            None => return Err(wrong("is no plan of toolbox plan --out".into())),
            Some(_) => {}
        }
        serde_json::from_str(&text).map_err(|e| wrong(format!("is no plan of toolbox plan --out: {e}")))
    }

    /// Whether a plan made now is the one of the file.
    ///
    /// # Errors
    /// Another definition or image, or a host that changed, each named.
    pub(super) fn check(&self, now: &Self) -> Result<(), Failures> {
        let problems = self.problems(now);
        if problems.is_empty() {
            return Ok(());
        }
        let failures = problems.into_iter().map(|message| Failure::text(message, Some(AGAIN.into())));
        Err(Failures::configuration(failures.collect()))
    }

    /// Whether it is a plan of this project: what is known before any host is asked.
    ///
    /// # Errors
    /// It is another project's.
    pub(super) fn check_project(&self, project: &str) -> Result<(), Failures> {
        if self.project == project {
            return Ok(());
        }
        let message = format!("the plan is one of the project {}, this is {project}", self.project);
        let hint = format!("name its compose file with --file, or make a plan of {project}: toolbox plan --out FILE");
        Err(Failures::configuration(vec![Failure::text(message, Some(hint))]))
    }

    fn problems(&self, now: &Self) -> Vec<String> {
        if self.toolbox != now.toolbox {
            return vec![format!("toolbox {} made the plan, this is {}", self.toolbox, now.toolbox)];
        }
        if self.inputs != now.inputs {
            let what = "the compose file, a file or variable that it uses, or an image";
            return vec![format!("{what} changed since the plan was made")];
        }
        let hosts = |file: &Self| file.plans.keys().cloned().collect::<Vec<_>>();
        if hosts(self) != hosts(now) {
            let (then, now) = (hosts(self).join(", "), hosts(now).join(", "));
            return vec![format!("the plan is for other hosts: {then}; asked for: {now}")];
        }
        let pairs = self.plans.iter().filter_map(|(host, then)| Some((host, then, now.plans.get(host)?)));
        pairs.filter(|(_, then, now)| then.plan != now.plan).map(|(host, then, now)| drift(host, then, now)).collect()
    }
}

/// What a host would need now and did not need then, and the other way round.
fn drift(host: &str, then: &HostPlan, now: &HostPlan) -> String {
    let lines = |a: &HostPlan, b: &HostPlan, sign: &str| -> Vec<String> {
        let new = a.text.iter().filter(|line| !b.text.contains(line));
        new.map(|line| format!("    {sign} {}", line.trim())).collect()
    };
    let differences = [lines(then, now, "then:"), lines(now, then, "now: ")].concat();
    format!("{host}: the host changed since the plan was made\n{}", differences.join("\n"))
}

/// SHA-256 over everything that a plan is made from here, wherever it lies.
fn inputs(project: &Project, images: &BTreeMap<String, DesiredImage>) -> String {
    let mut hash = Sha256::new();
    let (files, working_dir) = (Vec::new(), Default::default());
    let project = Project { warnings: Vec::new(), files, working_dir, ..project.clone() };
    hash.update(serde_json::to_vec(&project).unwrap_or_default());
    for (name, image) in images {
        hash.update(format!("\n{name} {} {:?}", image.facts.configuration, image.facts.layers));
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::super::args::Images;
    use super::*;
    use crate::compose::testing::project;

    fn file(image: &str, notes: &[&str]) -> PlanFile {
        let project = project(&format!("name: shop\nservices:\n  web: {{image: {image}}}\n"));
        let plan =
            Plan { host: "vm".into(), notes: notes.iter().map(|n| (*n).to_owned()).collect(), ..Plan::default() };
        let images = Images { images: Vec::new(), local_socket: "/x".into(), cache: None };
        let asked = Asked { images: &images, services: &[], remove_orphans: false };
        PlanFile::new(&project, &asked, &BTreeMap::new(), &[plan])
    }

    #[test]
    fn the_same_plan_is_carried_out_and_any_other_is_refused_by_what_differs() {
        assert!(file("a", &[]).problems(&file("a", &[])).is_empty());
        assert!(file("a", &[]).problems(&file("b", &[]))[0].contains("changed since the plan was made"));
        let drifted = file("a", &["x"]).problems(&file("a", &["y"]));
        assert_eq!(drifted, ["vm: the host changed since the plan was made\n    then: ! x\n    now:  ! y"]);
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plan.json");
        let written = file("a", &["x"]);
        assert!(written.write(&path).is_ok());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(PlanFile::read(&path).unwrap_or_else(|_| unreachable!()).problems(&written).is_empty());
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["", "{}", "{\"format\": 99}", "{\"format\": 1, \"project\": \"x\"}", "services: {}"] {
            std::fs::write(file.path(), text).unwrap();
            assert!(PlanFile::read(file.path()).is_err(), "{text:?}");
        }
    }
}
