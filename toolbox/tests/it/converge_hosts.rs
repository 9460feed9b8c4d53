//! Two hosts that change together: the real program, and two machines with an engine each.

use crate::converge::{everything, greeting};
use crate::deploy::Setting;
use crate::engine::{Engine, Image};
use crate::machine::{Machine, NEIGHBOUR, READY};
use crate::project::Project;
use crate::swap::web;

/// A project on the hosts `east` and `west`; the program sees the network of `east`.
struct Pair {
    east: Machine,
    west: Machine,
    project: Project,
    image: Image,
}

impl Pair {
    fn new(test: &str) -> Option<Self> {
        let Setting { machine: east, project, image } = Setting::new(test, &READY)?;
        let west = Machine::start(test, &READY)?;
        east.joins(&west);
        let other = west.host_key.public_without_comment();
        project.write("known_hosts", &format!("{}{NEIGHBOUR} {other}\n", east.known_hosts()));
        project.write(
            "inventory.yaml",
            &format!(
                "all:\n  vars: {{ansible_user: root}}\n  hosts:\n    east: {{ansible_host: 127.0.0.1}}\n    \
                 west: {{ansible_host: {NEIGHBOUR}}}\n  children:\n    edge:\n      hosts: {{west: {{}}}}\n"
            ),
        );
        let pair = Self { east, west, project, image };
        pair.greets(0, "");
        Some(pair)
    }

    fn deployed(self) -> Self {
        self.project.toolbox(&["deploy"]).exits(0);
        self
    }

    /// Writes a service `web` for both hosts, and whatever comes after it.
    fn greets(&self, greeting: usize, more: &str) {
        self.project.compose(&(web(&self.image.name, 1, greeting) + more));
    }

    /// A service that cannot come up, on this host only.
    fn broken_on(&self, host: &str) -> String {
        let image = &self.image.name;
        format!("  broken:\n    image: {image}\n    command: [fail]\n    x-toolbox: {{hosts: {host}}}\n")
    }

    /// What the hosts' containers greet with.
    fn greetings(&self) -> [String; 2] {
        [&self.east, &self.west].map(|machine| greeting(machine, &self.project.container("web")))
    }

    /// Ids of all containers of both hosts that run.
    fn ids(&self) -> [String; 2] {
        [&self.east, &self.west].map(|machine| machine.engine().docker(&["ps", "--quiet", "--no-trunc"]))
    }

    /// Checks that nothing is to be done on either host and that nothing was left there.
    #[track_caller]
    fn is_whole(&self) {
        self.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
        for machine in [&self.east, &self.west] {
            let all = everything(machine, &self.project.name);
            assert_eq!(all.len(), 3, "{all:?}");
        }
    }
}

#[test]
fn hosts_are_deployed_together_with_one_release_and_one_recap() {
    let Some(pair) = Pair::new("hosts") else {
        return;
    };
    let run = pair.project.toolbox(&["deploy"]).exits(0);
    run.prints("east  changed=").prints("west  changed=");
    pair.is_whole();
    let run = pair.project.toolbox(&["releases", "--format", "json"]).exits(0);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["release"], rows[1]["release"]);

    pair.greets(1, "");
    pair.project.toolbox(&["deploy", "--limit", "west"]).exits(0);
    assert_eq!(pair.greetings(), ["0", "1"]);
    let run = pair.project.toolbox(&["deploy"]).exits(0);
    run.prints("west  changed=0  unchanged=1  failed=0  ok");
    pair.project.toolbox(&["rollback", "--limit", "east"]).exits(0);
    assert_eq!(pair.greetings(), ["0", "1"]);
}

#[test]
fn host_that_keeps_no_release_that_old_is_told_in_the_recap_of_a_rollback() {
    let Some(pair) = Pair::new("young") else {
        return;
    };
    pair.project.toolbox(&["deploy", "--limit", "west"]).exits(0);
    pair.greets(1, "");
    pair.project.toolbox(&["deploy"]).exits(0);
    let run = pair.project.toolbox(&["rollback"]).exits(0);
    run.prints("east  changed=0  unchanged=0  failed=0  not touched, it keeps no release that old");
    assert_eq!(pair.greetings(), ["1", "0"]);
    pair.project.toolbox(&["releases"]).exits(0).prints("east, west  current on east").prints("west        current, ");
}

#[test]
fn host_that_cannot_be_made_ready_leaves_the_other_untouched() {
    let Some(pair) = Pair::new("stage").map(Pair::deployed) else {
        return;
    };
    let before = pair.ids();
    // The directory is on the first host alone.
    pair.east.engine().docker(&["run", "--rm", "--volume", "/srv/pages:/x", &pair.image.name, "say", "made"]);
    let image = &pair.image.name;
    let bind = "{type: bind, source: /srv/pages, target: /pages, read_only: true, bind: {create_host_path: false}}";
    pair.greets(1, &format!("  pages:\n    image: {image}\n    volumes: [{bind}]\n"));
    let run = pair.project.toolbox(&["deploy"]).exits(1).error(&["west: ", "/srv/pages"]);
    run.prints("east  changed=0  unchanged=0  failed=0  not touched").prints("failed, nothing changed");
    assert_eq!(pair.ids(), before);
    pair.greets(0, "");
    pair.is_whole();
}

#[test]
fn host_that_fails_to_change_takes_the_changed_ones_back_with_it() {
    let Some(pair) = Pair::new("flip").map(Pair::deployed) else {
        return;
    };
    let before = pair.ids();
    pair.greets(1, &pair.broken_on("edge"));
    let run = pair.project.toolbox(&["deploy"]).exits(1).error(&["west: ", "broken", "cannot find the database"]);
    run.prints("east  changed=0").prints("rolled back with the others").prints("failed, rolled back");
    assert_eq!(pair.greetings(), ["0", "0"]);
    assert_eq!(pair.ids(), before, "the very same containers");
    pair.greets(0, "");
    pair.is_whole();

    pair.greets(1, &pair.broken_on("edge"));
    let run = pair.project.toolbox(&["deploy", "--keep-changed"]).exits(1);
    run.prints("failed=0  ok").prints("failed, rolled back");
    assert_eq!(pair.greetings(), ["1", "0"]);
    pair.greets(1, "");
    pair.project.toolbox(&["deploy"]).exits(0);
    pair.is_whole();
}

#[test]
fn batch_says_how_many_hosts_change_at_once() {
    let Some(pair) = Pair::new("batch").map(Pair::deployed) else {
        return;
    };
    // One host at a time: nothing is changed after the first that failed.
    pair.greets(1, &pair.broken_on("east"));
    let run = pair.project.toolbox(&["deploy"]).exits(1);
    run.prints("failed, rolled back").prints("not touched");
    for batch in ["2", "100%"] {
        pair.greets(1, &format!("{}x-toolbox: {{batch: {batch}}}\n", pair.broken_on("east")));
        let run = pair.project.toolbox(&["deploy"]).exits(1);
        run.prints("failed, rolled back").prints("rolled back with the others");
    }
    pair.greets(0, "");
    pair.is_whole();
}

#[test]
fn services_run_on_their_hosts_only() {
    let Some(pair) = Pair::new("placed").map(Pair::deployed) else {
        return;
    };
    let image = &pair.image.name;
    let edge = |host: &str| format!("  edge:\n    image: {image}\n    x-toolbox: {{hosts: {host}}}\n");
    let has = |engine: Engine| engine.succeeds(&["container", "inspect", &pair.project.container("edge")]);
    pair.greets(0, &edge("edge"));
    pair.project.toolbox(&["deploy"]).exits(0).prints("east  changed=0");
    assert_eq!([has(pair.east.engine()), has(pair.west.engine())], [false, true]);
    pair.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
    pair.greets(0, &edge("nowhere"));
    pair.project.toolbox(&["deploy"]).exits(2).error(&["services.edge.x-toolbox.hosts", "nowhere"]);
}
