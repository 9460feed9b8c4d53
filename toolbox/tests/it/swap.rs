//! Containers are replaced and nobody who uses the service notices: the real program, sshd, engine and relay.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use crate::deploy::Setting;
use crate::engine::service;
use crate::machine::{Machine, READY};

/// A crowd of clients of a machine's port.
pub(crate) struct Crowd(Child);

impl Crowd {
    /// It asks until it is ended.
    pub(crate) fn gather(machine: &Machine, port: u16) -> Self {
        Self::visits(machine, port, &[])
    }

    /// As [`Crowd::gather`], for a service that has these paths.
    pub(crate) fn visits(machine: &Machine, port: u16, paths: &[&str]) -> Self {
        let before = machine.network();
        let mut command = Command::new(&before[0]);
        command.args(&before[1..]).arg(service()).args(["hammer", &port.to_string()]).args(paths);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Ends it: requests that went well, slow ones that did, and the failed ones with the first reasons.
    pub(crate) fn end(mut self) -> (usize, usize, String) {
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.0.wait().unwrap().success());
        let (first, reasons) = text.split_once('\n').unwrap();
        let mut counts = first.split(' ').map(|word| word.split_once('=').unwrap().1);
        let mut next = || counts.next().unwrap();
        (next().parse().unwrap(), next().parse().unwrap(), format!("failed={} {reasons}", next()))
    }
}

/// A service that may be replaced start-first: nothing of it is kept on a volume.
pub(crate) fn web(image: &str, replicas: u32, greeting: usize) -> String {
    format!(
        "services:\n  web:\n    image: {image}\n    ports: [\"8080:8080\"]\n    deploy: {{replicas: {replicas}}}\n    \
         environment: {{GREETING: \"{greeting}\"}}\n    healthcheck:\n      test: [CMD, /service, health]\n      \
         interval: 200ms\n      retries: 3\n"
    )
}

#[test]
fn no_request_fails_while_containers_are_replaced_again_and_again() {
    let Some(setting) = Setting::new("swap", &READY) else {
        return;
    };
    let image = setting.image.name.clone();
    setting.project.compose(&web(&image, 1, 0));
    let setting = setting.deployed();
    let crowd = Crowd::gather(&setting.machine, 8080);
    for round in 1..=10 {
        // Now and then the number of containers changes with the definition.
        setting.project.compose(&web(&image, 1 + u32::from(round % 4 == 0), round));
        setting.project.toolbox(&["deploy"]).exits(0);
    }
    let (well, slow, failed) = crowd.end();
    assert!(failed.starts_with("failed=0 "), "{failed}");
    assert!(well > 100 && slow > 1, "{well} {slow}");
    setting.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_release_that_does_not_come_up_is_not_noticed_either() {
    let Some(setting) = Setting::new("swapbad", &READY) else {
        return;
    };
    let image = setting.image.name.clone();
    setting.project.compose(&web(&image, 2, 0));
    let setting = setting.deployed();
    let before = setting.machine.engine().all_containers(&setting.project.name);
    let crowd = Crowd::gather(&setting.machine, 8080);
    let broken = web(&image, 2, 1).replace("{GREETING: \"1\"}", "{GREETING: \"1\", UNHEALTHY: the cache is cold}");
    setting.project.compose(&broken);
    setting.project.toolbox(&["deploy"]).exits(1).error(&["web", "the cache is cold"]);
    let (well, _, failed) = crowd.end();
    assert!(failed.starts_with("failed=0 "), "{failed}");
    assert!(well > 10, "{well}");
    assert_eq!(setting.machine.engine().all_containers(&setting.project.name), before);
}

#[test]
fn containers_restart_one_after_the_other_and_nobody_notices() {
    let Some(setting) = Setting::new("rolling", &READY) else {
        return;
    };
    setting.project.compose(&web(&setting.image.name, 2, 0));
    let setting = setting.deployed();
    let before = setting.machine.engine().all_containers(&setting.project.name);
    let crowd = setting.crowd();
    for _ in 0..3 {
        let run = setting.project.toolbox(&["restart", "web"]).exits(0).prints("changed=2");
        assert!(!run.stderr.contains("is away"), "{}", run.stderr);
    }
    crowd.noticed_nothing();
    assert_eq!(setting.machine.engine().all_containers(&setting.project.name), before);
    setting.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);

    setting.project.compose(&web(&setting.image.name, 1, 0));
    setting.project.toolbox(&["deploy"]).exits(0);
    setting.project.toolbox(&["restart"]).exits(0).tells("web has no other container that is well: it is away until");
    setting.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn service_that_asks_for_it_is_told_its_clients_address() {
    let Some(setting) = Setting::new("proxied", &READY) else {
        return;
    };
    let proxied = web(&setting.image.name, 1, 0).replace("{GREETING: \"0\"}", "{PROXY: \"1\"}");
    setting.project.compose(&format!("{proxied}    x-toolbox: {{proxy_protocol: v1}}\n"));
    let setting = setting.deployed();
    let engine = setting.machine.engine();
    let network = format!("{}_default", setting.project.name);
    let gateway = engine.docker(&["network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", &network]);
    let ask = "exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET / HTTP/1.1\r\n\r\n' >&3; sed -n '/^PROXY/{p;q}' <&3";
    let within = setting.machine.network();
    let answer = Command::new(&within[0]).args(&within[1..]).args(["bash", "-c", ask]).output().unwrap();
    let greeting = String::from_utf8(answer.stdout).unwrap();
    let words: Vec<&str> = greeting.split_whitespace().collect();
    assert_eq!((words[..3].join(" "), words[5]), (format!("PROXY TCP4 {}", gateway.trim()), "8080"), "{greeting}");
    setting.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn what_left_the_file_goes_when_that_is_wanted() {
    let Some(setting) = Setting::new("orphans", &READY) else {
        return;
    };
    let (project, one) = (&setting.project, web(&setting.image.name, 1, 0));
    project.compose(&format!("{one}  other:\n    image: {}\n    ports: [\"8081:8080\"]\n", setting.image.name));
    project.toolbox(&["deploy"]).exits(0);
    let both = setting.machine.engine().all_containers(&project.name);
    project.compose(&one);
    project.toolbox(&["deploy"]).exits(0).tells("--remove-orphans");
    assert_eq!(setting.machine.engine().all_containers(&project.name), both);
    project.toolbox(&["deploy", "--remove-orphans"]).exits(0);
    setting.is_whole();
}

#[test]
fn stop_first_services_exchange_their_ports() {
    let Some(setting) = Setting::new("circle", &READY) else {
        return;
    };
    let (project, image) = (&setting.project, &setting.image.name);
    let service = |name: &str, port: u16| {
        format!(
            "  {name}:\n    image: {image}\n    ports: [\"{port}:8080\"]\n    deploy: {{update_config: {{order: \
             stop-first}}}}\n"
        )
    };
    let deploy = |a, b| {
        project.compose(&format!("services:\n{}{}", service("a", a), service("b", b)));
        project.toolbox(&["deploy"]).exits(0)
    };
    deploy(8080, 8081);
    deploy(8081, 8080).tells("ahead, as another service takes its port");
    for (name, port) in [("a", "8081"), ("b", "8080")] {
        let container = setting.machine.engine().container(&project.container(name));
        assert_eq!(container["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"], port, "{name}");
    }
    project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
}
