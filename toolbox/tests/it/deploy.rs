//! The whole life of a project on a machine with an engine and images of its own: the real program, sshd and engine.

use serde_json::Value;

use crate::engine::{Engine, Image, archive};
use crate::machine::{Kind, Machine, READY, State};
use crate::project::Project;
use crate::sshd::{KeyPair, Sshd};

/// A project with one service, on a machine of its own.
pub(crate) struct Setting {
    pub(crate) machine: Machine,
    pub(crate) project: Project,
    pub(crate) image: Image,
}

impl Setting {
    /// `None` where this cannot be had here.
    pub(crate) fn new(test: &str, kind: &Kind) -> Option<Self> {
        let machine = Machine::start(test, kind)?;
        let project = Project::on(test, &machine);
        let image = Image::load(&format!("{}:latest", project.name), "1");
        let setting = Self { machine, project, image };
        setting.service("");
        Some(setting)
    }

    /// Writes a compose file whose service has these further keys.
    pub(crate) fn service(&self, more: &str) {
        self.project.compose(&compose(&self.image.name, more));
    }

    /// Deploys, which must go well.
    #[track_caller]
    pub(crate) fn deployed(self) -> Self {
        self.project.toolbox(&["deploy"]).exits(0);
        self
    }

    /// Id of the service's container.
    pub(crate) fn id(&self) -> String {
        let name = self.project.container("web");
        let container = self.machine.engine().container(&name);
        container["Id"].as_str().unwrap().to_owned()
    }

    /// Checks that the one container of the project is this one and runs.
    #[track_caller]
    pub(crate) fn runs_only(&self, id: &str) {
        let running = format!("{} running", self.project.container("web"));
        let containers = self.machine.engine().containers(&self.project.name);
        assert_eq!(containers, [running]);
        assert_eq!(self.id(), id);
    }
}

/// A compose file with one service, which is healthy within a second.
pub(crate) fn compose(image: &str, more: &str) -> String {
    format!(
        "services:\n  web:\n    image: {image}\n    ports: [\"8080:8080\"]\n    volumes: [\"data:/data\"]\n    \
         healthcheck:\n      test: [CMD, /service, health]\n      interval: 200ms\n      retries: 2\n{more}\
         volumes:\n  data:\n"
    )
}

/// The same key with another value is another definition.
pub(crate) const GREETING: &str = "    environment:\n      GREETING: good evening\n";
pub(crate) const VERIFY: &str = "    x-toolbox:\n      verify: http://127.0.0.1:8080/\n";

#[test]
fn project_is_deployed_with_its_images_and_a_second_deploy_changes_nothing() {
    let Some(setting) = Setting::new("life", &READY) else {
        return;
    };
    let project = &setting.project;
    setting.service(VERIFY);
    project
        .toolbox(&["plan", "--detailed-exitcode"])
        .exits(2)
        .prints(&format!("> push image {}:latest: 2 of 2 layers", project.name))
        .prints("+ create container");

    project
        .toolbox(&["deploy"])
        .exits(0)
        .tells("http://127.0.0.1:8080/ answers \"hello\"")
        .prints("vm  changed=4  unchanged=0  failed=0  ok");
    let id = setting.id();
    setting.runs_only(&id);
    check_labels(&setting);

    project.toolbox(&["deploy"]).exits(0).tells("nothing to do").prints("vm  changed=0  unchanged=1  failed=0  ok");
    setting.runs_only(&id);
    project.toolbox(&["plan", "--detailed-exitcode"]).exits(0).prints("nothing to do");
}

/// `docker compose ls` and `ps` go by these.
fn check_labels(setting: &Setting) {
    let container = setting.machine.engine().container(&setting.project.container("web"));
    let labels = &container["Config"]["Labels"];
    let label = |name: &str| labels[format!("com.docker.compose.{name}")].clone();
    assert_eq!(label("project"), setting.project.name.as_str());
    assert_eq!(label("service"), "web");
    assert_eq!(label("oneoff"), "False");
    assert_eq!(label("container-number"), "1");
    assert_eq!(label("image"), container["Image"]);
    assert_eq!(label("config-hash").as_str().unwrap().len(), 16);
    assert!(label("project.config_files").as_str().unwrap().ends_with("/compose.yaml"));
}

#[test]
fn plan_as_json_names_actions_causes_and_bytes_and_writes_nothing_else() {
    let Some(setting) = Setting::new("json", &READY) else {
        return;
    };
    let run = setting.project.toolbox(&["plan", "--format", "json"]).exits(0);
    let plans: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(plans[0]["host"], "vm");
    let operations = plans[0]["operations"].as_array().unwrap();
    let actions: Vec<_> = operations.iter().map(|o| &o["action"]).collect();
    let (images, rest) = actions.split_at(2);
    assert_eq!(images, ["push_image", "push_image"], "the service's and the helper's");
    assert_eq!(rest, ["create_network", "create_volume", "create_keeper", "create_container"]);
    assert_eq!(operations[0]["cause"]["reason"], "missing");
    assert!(operations[..2].iter().all(|push| push["bytes"].as_u64().unwrap() > 100_000));
    assert!(setting.machine.engine().all_containers(&setting.project.name).is_empty());
}

#[test]
fn changed_definition_and_changed_image_replace_the_container_and_send_only_new_layers() {
    let Some(setting) = Setting::new("change", &READY).map(Setting::deployed) else {
        return;
    };
    let (project, first) = (&setting.project, setting.id());
    setting.service(GREETING);
    let run = project.toolbox(&["deploy"]).exits(0);
    run.tells("~ replace container")
        .tells("stop-first (volume data has one writer), gap until healthy")
        .tells("(definition changed: +environment.GREETING)")
        .prints("changed=1");
    let second = setting.id();
    assert_ne!(first, second);
    setting.runs_only(&second);

    setting.image.replace("2");
    project
        .toolbox(&["deploy"])
        .exits(0)
        .tells("1 of 2 layers")
        .tells("the host holds another image under this name")
        .prints("changed=2");
    let third = setting.id();
    assert_ne!(second, third);
    setting.runs_only(&third);
}

#[test]
fn status_tells_by_its_exit_code_whether_every_service_runs() {
    let Some(setting) = Setting::new("status", &READY) else {
        return;
    };
    let project = &setting.project;
    project.toolbox(&["status"]).exits(1).prints("absent").prints("not deployed");
    let setting = setting.deployed();
    let project = &setting.project;
    project
        .toolbox(&["status"])
        .exits(0)
        .prints("HOST  SERVICE  CONTAINER")
        .prints("(healthy)")
        .prints("8080->8080/tcp");
    let run = project.toolbox(&["status", "--format", "json"]).exits(0);
    let rows: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["service"], "web");
    assert_eq!(rows[0]["state"], "running");

    setting.machine.engine().docker(&["stop", &project.container("web")]);
    project.toolbox(&["status"]).exits(1).prints("exited");
    project.toolbox(&["deploy"]).exits(0).tells("~ start");
    project.toolbox(&["status"]).exits(0);
}

#[test]
fn down_removes_containers_and_networks_and_with_volumes_their_data_too() {
    let Some(setting) = Setting::new("down", &READY).map(Setting::deployed) else {
        return;
    };
    let (project, engine) = (&setting.project, setting.machine.engine());
    let (network, volume) = (format!("{}_default", project.name), format!("{}_data", project.name));
    engine.docker(&["network", "inspect", &network]);
    // Its container, its keeper, its network.
    project.toolbox(&["down"]).exits(0).prints("changed=3");
    assert!(engine.all_containers(&project.name).is_empty());
    assert!(!engine.succeeds(&["network", "inspect", &network]));
    engine.docker(&["volume", "inspect", &volume]);
    engine.docker(&["image", "inspect", &setting.image.name]);

    let run = project.toolbox(&["down", "--volumes"]).exits(0);
    // Two volumes, and the name that kept the image for the release.
    run.prints("changed=3").tells("remove image name toolbox.local/");
    assert_eq!(engine.docker(&["volume", "ls", "--quiet"]), "", "the keeper's volume goes too");
    let images = engine.docker(&["image", "ls", "--format", "{{.Repository}}"]);
    assert!(!images.contains("toolbox.local/"), "{images}");
    let run = project.toolbox(&["down", "--volumes"]).exits(0);
    run.prints("changed=0");
}

#[test]
fn images_come_from_a_saved_tarball_where_there_is_no_local_engine() {
    let Some(setting) = Setting::new("tarball", &READY) else {
        return;
    };
    let project = &setting.project;
    std::fs::write(project.path("images.tar"), archive(&setting.image.name, "9")).unwrap();
    let arguments = ["--images", "images.tar", "--local-socket", "/nowhere"];
    project.toolbox(&[&["deploy"][..], &arguments].concat()).exits(0);
    setting.runs_only(&setting.id());
    project.toolbox(&[&["plan", "--detailed-exitcode"][..], &arguments].concat()).exits(0);
}

#[test]
fn stopped_engine_is_started_and_then_deployed_to() {
    let kind = Kind { engine: State::Stopped, ..READY };
    if !std::path::Path::new("/etc/init.d/docker").exists() {
        return eprintln!("stopped: not run, Docker has no init script here");
    }
    let Some(setting) = Setting::new("stopped", &kind) else {
        return;
    };
    setting.service(VERIFY);
    let project = &setting.project;
    project.toolbox(&["plan"]).exits(0).prints("+ start Docker (the engine is installed and does not run)");
    project.toolbox(&["deploy"]).exits(0).tells("start Docker …").tells("answers \"hello\"");
    project.toolbox(&["status"]).exits(0);
}

#[test]
fn engine_that_images_come_from_is_a_host_too_and_nothing_is_sent() {
    let Some(local) = Engine::for_test("same") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "key", "rsa");
    let sshd = Sshd::start(&key, &[]);
    let project = Project::through("same", &sshd, &key.private);
    let image = Image::load(&format!("{}:latest", project.name), "1");
    project.compose(&format!("services:\n  web:\n    image: {}\n    network_mode: none\n", image.name));
    let run = project.toolbox(&["deploy"]).exits(0);
    assert!(!run.stderr.contains(&format!("push image {}", project.name)), "{}", run.stderr);
    let running = format!("{} running", project.container("web"));
    assert_eq!(local.containers(&project.name), [running]);
    project.toolbox(&["deploy"]).exits(0).tells("nothing to do");
    project.toolbox(&["down", "--volumes"]).exits(0);
    assert!(local.all_containers(&project.name).is_empty());
    // This engine is not the test's own.
    let pins = format!("reference=toolbox.local/{}/*", project.name);
    for pin in local.docker(&["image", "ls", "--filter", &pins, "--format", "{{.Repository}}:{{.Tag}}"]).lines() {
        local.docker(&["image", "rm", pin]);
    }
}
