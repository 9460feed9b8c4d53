//! The whole life of a project on every engine that is supported, on a machine of its own: deployed, replaced under
//! load, asked, changed by hand, taken back, cleaned up and taken down. `./run.sh test --engines` fetches the engines.

use crate::converge::greeting;
use crate::deploy::Setting;
use crate::engine::{Engine, archive, archive_with};
use crate::line::Line;
use crate::machine::{Kind, Make, READY, Store};
use crate::push::noise;
use crate::swap::web;

const CLASSIC_26: Make = Make::Docker("26", Store::Classic);
const CONTAINERD_26: Make = Make::Docker("26", Store::Containerd);
const CLASSIC_28: Make = Make::Docker("28", Store::Classic);
const CONTAINERD_28: Make = Make::Docker("28", Store::Containerd);

/// A project on an engine, at every moment of its life.
struct Life {
    setting: Setting,
    make: Make,
    /// The number that the service greets with.
    greeting: usize,
}

impl Life {
    fn begin(test: &str, make: Make) -> Option<Self> {
        let data = if make == Make::Podman { "/var/lib/containers" } else { READY.data };
        let setting = Setting::new(test, &Kind { data, make, ..READY })?;
        let life = Self { setting, make, greeting: 0 };
        life.is_on_the_engine_that_was_meant();
        Some(life)
    }

    fn is_on_the_engine_that_was_meant(&self) {
        let (version, driver) = match self.make {
            Make::Own => return,
            Make::Docker(version, Store::Classic) => (version, "overlay2"),
            Make::Docker(version, Store::Containerd) => (version, "overlayfs"),
            Make::Podman => ("", "overlay"),
        };
        let seen = self.engine().docker(&["info", "--format", "{{.ServerVersion}} {{.Driver}}"]);
        assert!(seen.starts_with(version) && seen.ends_with(&format!(" {driver}")), "{seen}");
    }

    fn engine(&self) -> Engine {
        self.setting.machine.engine()
    }

    /// Gives the service another definition, and deploys it; all that was said.
    #[track_caller]
    fn redeploys(&mut self) -> String {
        self.greeting += 1;
        self.writes();
        let run = self.setting.project.toolbox(&["deploy"]).exits(0);
        self.greets(self.greeting);
        run.stderr
    }

    fn writes(&self) {
        // Start-first although there is a volume, so that `down --volumes` has something to remove.
        let order = "deploy: {update_config: {order: start-first}}";
        let service = web(&self.setting.image.name, 1, self.greeting).replace("deploy: {replicas: 1}", order);
        let limits = "    mem_limit: 64m\n    mem_reservation: 32m\n    memswap_limit: 128m\n    cpu_shares: 512\n\
                      \x20   cpuset: '0'\n    pids_limit: 100\n    cpus: 1.5\n";
        let kept = "    volumes: [\"data:/data\"]\nvolumes:\n  data:\n";
        self.setting.project.compose(&(service + limits + kept));
    }

    /// Checks what the service's container was told.
    #[track_caller]
    fn greets(&self, number: usize) {
        let container = self.setting.project.container("web");
        assert_eq!(greeting(&self.setting.machine, &container), number.to_string());
    }

    /// Checks that nothing is left to be done.
    #[track_caller]
    fn is_settled(&self) {
        self.setting.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0).prints("nothing to do");
    }

    /// An empty engine gets images, network, volume, keeper, relay and container, and all is as it shall be.
    #[track_caller]
    fn is_deployed_at_first(&self) {
        let project = &self.setting.project;
        self.writes();
        let push = format!("> push image {}:latest: 2 of 2 layers", project.name);
        project.toolbox(&["plan", "--detailed-exitcode"]).exits(2).prints(&push);
        project.toolbox(&["deploy"]).exits(0).prints("failed=0  ok");
        self.is_settled();
        project.toolbox(&["deploy"]).exits(0).tells("nothing to do").prints("changed=0");
    }

    /// No request fails while the service is replaced, by another definition and by another image.
    #[track_caller]
    fn is_replaced_under_load(&mut self) {
        let crowd = self.setting.crowd();
        for _ in 0..3 {
            assert!(self.redeploys().contains("start-first through a relay, no gap"));
        }
        self.setting.image.replace("2");
        let said = self.redeploys();
        crowd.noticed_nothing();
        // Also on containerd's store, where the host's record tells that we loaded the image before.
        assert!(said.contains("1 of 2 layers") && !said.contains("sending everything"), "{said}");
        self.is_settled();
    }

    /// `status`, `logs` and `exec` tell what is there.
    #[track_caller]
    fn answers_questions(&self) {
        let project = &self.setting.project;
        project.toolbox(&["status"]).exits(0).prints("(healthy)").prints("8080->8080/tcp");
        assert_eq!(project.toolbox(&["logs", "--no-prefix", "web"]).exits(0).stdout, "listening\n");
        let talk = ["exec", "-T", "web", "--", "/service", "talk"];
        let run = project.toolbox_reading(&talk, b"env GREETING\nread /version\nerror oh\nexit 7\n").exits(7);
        run.prints(&format!("GREETING is {}\n", self.greeting))
            .prints(&format!("\"{} 2\"", self.setting.image.name))
            .tells("oh\n");
        project.toolbox(&["releases"]).exits(0).prints("current");
    }

    /// What a person changes on the host is named, and the next deploy mends it.
    #[track_caller]
    fn sees_what_was_changed_by_hand(&self) {
        let (project, engine) = (&self.setting.project, self.engine());
        let container = project.container("web");
        engine.docker(&["network", "create", "byhand"]);
        engine.docker(&["network", "connect", "byhand", &container]);
        project.toolbox(&["plan", "--detailed-exitcode"]).exits(2).prints("byhand");
        project.toolbox(&["deploy"]).exits(0);
        self.is_settled();
        engine.docker(&["network", "rm", "byhand"]);
        engine.docker(&["rm", "--force", &container]);
        project.toolbox(&["status"]).exits(1);
        project.toolbox(&["deploy"]).exits(0).tells("create container");
        self.is_settled();
    }

    /// The release before comes back, image and environment, while people use the service.
    #[track_caller]
    fn goes_back(&mut self) {
        let crowd = self.setting.crowd();
        self.setting.project.toolbox(&["rollback"]).exits(0);
        self.greets(self.greeting - 1);
        let read = ["exec", "-T", "web", "--", "/service", "talk"];
        let run = self.setting.project.toolbox_reading(&read, b"read /version\n").exits(0);
        run.prints(&format!("\"{} 1\"", self.setting.image.name));
        self.redeploys();
        crowd.noticed_nothing();
        self.is_settled();
    }

    /// `prune` takes what is ours and not needed, and no stranger's.
    #[track_caller]
    fn is_pruned(&self) {
        let project = &self.setting.project;
        self.engine().load(&archive("stranger:1", "1"));
        project.toolbox(&["prune", "--yes"]).exits(0);
        project.toolbox(&["prune"]).exits(0).prints("vm: nothing to remove");
        self.engine().docker(&["image", "inspect", "stranger:1"]);
        self.is_settled();
    }

    /// A large image goes through a receiver, and what has changed of it goes alone; but not to Podman, whose socket only
    /// root may open.
    #[track_caller]
    fn is_sent_over_a_long_line(&self) {
        let project = &self.setting.project;
        let _line = Line::lay_long(&self.setting.machine, project);
        let mut content = noise(24 << 20);
        for note in ["", "made out of the image before"] {
            std::fs::write(project.path("far.tar"), archive_with("far:1", &[("data", &content)])).unwrap();
            let run = project.toolbox(&["push", "--images", "far.tar", "far:1"]).exits(0);
            let without = "no receiver on this host, so images go in one stream: /run/engine.sock: Permission denied";
            let is_podman = self.make == Make::Podman;
            assert_eq!(run.stderr.contains(without), is_podman, "{}", run.stderr);
            assert!(is_podman || run.stderr.contains(note), "{}", run.stderr);
            assert_eq!(self.engine().docker(&["run", "--rm", "far:1", "say", "here"]), "here");
            content.splice(9_000_000..9_000_000, *b"a line that was not there");
        }
    }

    /// `down --volumes` leaves nothing but images.
    #[track_caller]
    fn ends(&self) {
        let (project, engine) = (&self.setting.project, self.engine());
        project.toolbox(&["down", "--volumes"]).exits(0).prints("failed=0");
        assert_eq!(engine.docker(&["ps", "--all", "--quiet"]), "");
        assert_eq!(engine.docker(&["volume", "ls", "--quiet"]), "");
        let networks = engine.docker(&["network", "ls", "--format", "{{.Name}}"]);
        assert!(!networks.contains(&project.name), "{networks}");
        project.toolbox(&["prune", "--yes"]).exits(0);
        let images = engine.docker(&["image", "ls", "--format", "{{.Repository}}"]);
        assert!(!images.contains("toolbox.local") && !images.contains("toolbox-relay"), "{images}");
    }
}

#[track_caller]
fn whole_life(test: &str, make: Make) {
    let Some(mut life) = Life::begin(test, make) else {
        return;
    };
    life.is_deployed_at_first();
    life.is_replaced_under_load();
    // Every other test is on this machine's engine, too.
    if make != Make::Own || std::env::var_os("TOOLBOX_TEST_ENGINES").is_some() {
        life.answers_questions();
        life.sees_what_was_changed_by_hand();
        life.goes_back();
        life.is_pruned();
        life.is_sent_over_a_long_line();
    }
    life.ends();
}

#[test]
fn engine_of_this_machine_runs_a_project_through_its_whole_life() {
    whole_life("life-own", Make::Own);
}

#[test]
fn engine_26_classic_runs_a_project_through_its_whole_life() {
    whole_life("life-26c", CLASSIC_26);
}

#[test]
fn engine_26_containerd_runs_a_project_through_its_whole_life() {
    whole_life("life-26s", CONTAINERD_26);
}

#[test]
fn engine_28_classic_runs_a_project_through_its_whole_life() {
    whole_life("life-28c", CLASSIC_28);
}

#[test]
fn engine_28_containerd_runs_a_project_through_its_whole_life() {
    whole_life("life-28s", CONTAINERD_28);
}

#[test]
fn podman_runs_a_project_through_its_whole_life() {
    whole_life("life-podman", Make::Podman);
}
