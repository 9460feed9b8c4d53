//! The clock of this repository, replaced again and again on a machine of its own under a crowd. Its images must have
//! been built (`TOOLBOX_TEST_CLOCK`).

use std::collections::BTreeSet;

use crate::machine::{Machine, READY};
use crate::project::Project;
use crate::swap::Crowd;

const ROUNDS: usize = 20;
const SERVICES: [&str; 2] = ["clock-backend", "frontend"];

/// Another definition of both services, whose health is looked at more often, as the test is waiting for it.
fn round(number: usize) -> String {
    let service = |name| {
        format!(
            "  {name}:\n    environment: {{ROUND: \"{number}\"}}\n    healthcheck: {{interval: 500ms, retries: 20}}\n"
        )
    };
    format!("services:\n{}", SERVICES.map(service).concat())
}

fn containers(machine: &Machine, project: &Project) -> BTreeSet<String> {
    let id = |service| machine.engine().container(&project.container(service))["Id"].to_string();
    SERVICES.map(id).into()
}

#[test]
fn no_request_fails_while_both_services_are_redeployed_twenty_times() {
    if std::env::var_os("TOOLBOX_TEST_CLOCK").is_none() {
        eprintln!("clock: not run, TOOLBOX_TEST_CLOCK is not set (./run.sh test sets it when the images are built)");
        return;
    }
    let Some(machine) = Machine::start("clock", &READY) else {
        return;
    };
    let project = Project::on("clock", &machine);
    project.compose(include_str!("../../../compose.yaml"));
    let deploy = |number| {
        project.write("round.yaml", &round(number));
        project.toolbox(&["-f", "compose.yaml", "-f", "round.yaml", "deploy"]).exits(0);
    };
    deploy(0);
    let mut seen = containers(&machine, &project);
    let crowd = Crowd::visits(&machine, 80, &["/", "/clock"]);
    for number in 1..=ROUNDS {
        deploy(number);
        let now = containers(&machine, &project);
        assert!(now.is_disjoint(&seen), "both are new");
        seen.extend(now);
    }
    let (well, _, failed) = crowd.end();
    println!("{ROUNDS} redeploys of both services: {well} requests went well, {failed}");
    assert!(failed.starts_with("failed=0 "), "{failed}");
    assert!(well > 1000, "{well}");
}
