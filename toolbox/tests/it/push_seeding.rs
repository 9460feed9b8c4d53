//! Two machines, joined by a cable, of which one passes images on to the other.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::engine::archive_with;
use crate::line::Line;
use crate::machine::{Machine, NEIGHBOUR, READY};
use crate::project::Project;
use crate::push::noise;

/// Where the program finds them.
const PORTS: [u16; 2] = [2222, 2223];
/// Where `west` listens for `east`.
const PASSING: u16 = 7600;
/// Of the image's upper layer, bytes.
const SIZE: usize = 24 << 20;

/// The hosts `east`, which is the seed, and `west`; the program sees the network of `east`.
struct Pair {
    east: Machine,
    west: Machine,
    lines: [Line; 2],
    project: Project,
    image: String,
}

impl Pair {
    fn new(test: &str) -> Option<Self> {
        let (east, west) = (Machine::start(test, &READY)?, Machine::start(test, &READY)?);
        east.joins(&west);
        let lines = [Line::lead(&east, PORTS[0], "127.0.0.1"), Line::lead(&east, PORTS[1], NEIGHBOUR)];
        let project = Project::on(test, &east);
        let known = [(&east, PORTS[0]), (&west, PORTS[1])]
            .map(|(machine, port)| format!("[127.0.0.1]:{port} {}\n", machine.host_key.public_without_comment()));
        project.write("known_hosts", &known.concat());
        let image = format!("{}:latest", project.name);
        std::fs::write(project.path("images.tar"), archive_with(&image, &[("data", &noise(SIZE))])).unwrap();
        let pair = Self { east, west, lines, project, image };
        pair.seeds(&format!("{NEIGHBOUR}:{PASSING}"));
        Some(pair)
    }

    /// Writes the inventory; `west` is at this address for `east`.
    fn seeds(&self, address: &str) {
        let [east, west] = PORTS;
        self.project.write(
            "inventory.yaml",
            &format!(
                "all:\n  vars: {{ansible_user: root, ansible_host: 127.0.0.1, toolbox_seed: east}}\n  hosts:\n    \
                 east: {{ansible_port: {east}}}\n    \
                 west: {{ansible_port: {west}, toolbox_seed_address: '{address}'}}\n"
            ),
        );
    }

    fn arguments(&self) -> [&str; 4] {
        ["push", "--images", "images.tar", &self.image]
    }

    /// What a stranger gets who speaks to this port of `west` from the network of `east`; `None` if nobody listens.
    fn stranger(&self) -> Option<Vec<u8>> {
        let namespace = File::open(self.east.namespace()).unwrap();
        let asking = std::thread::spawn(move || {
            // Of this thread alone.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let mut stream = TcpStream::connect((NEIGHBOUR, PASSING)).ok()?;
            stream.write_all(b"GET /spool HTTP/1.1\r\n\r\n").unwrap();
            let _ = stream.shutdown(Shutdown::Write);
            let mut said = Vec::new();
            // It may be reset.
            let _ = stream.read_to_end(&mut said);
            Some(said)
        });
        asking.join().unwrap()
    }

    /// The machine has the image, every byte of it, and nothing else of ours runs or is kept.
    #[track_caller]
    fn is_whole(&self, machine: &Machine) {
        let (engine, path) = (machine.engine(), self.project.path("data"));
        assert_eq!(engine.docker(&["ps", "--all", "--quiet"]), "");
        assert_eq!(engine.docker(&["volume", "ls", "--quiet"]), "");
        let container = engine.docker(&["create", &self.image]);
        engine.docker(&["cp", &format!("{container}:/data"), path.to_str().unwrap()]);
        engine.docker(&["rm", &container]);
        assert!(std::fs::read(path).unwrap() == noise(SIZE), "it has other bytes");
    }

    fn sent(&self) -> [usize; 2] {
        [&self.lines[0], &self.lines[1]].map(Line::sent)
    }
}

#[test]
fn both_hosts_cost_little_more_than_one_and_have_the_same() {
    let Some(pair) = Pair::new("seed") else {
        return;
    };
    pair.project.toolbox(&pair.arguments()).exits(0).tells("MB came from east");
    pair.is_whole(&pair.east);
    pair.is_whole(&pair.west);
    let [east, west] = pair.sent();
    assert!(east > SIZE && west < SIZE / 8, "{east} and {west}");
    assert!(east + west < SIZE + SIZE / 4, "{east} and {west}");
    assert_eq!(pair.stranger(), None);
}

#[test]
fn deploy_passes_images_on_too() {
    let Some(pair) = Pair::new("seed-deploy") else {
        return;
    };
    pair.project.compose(&format!("services:\n  web: {{image: '{}', command: [serve]}}\n", pair.image));
    pair.project.toolbox(&["deploy", "--images", "images.tar"]).exits(0).tells("MB came from east");
    let [east, west] = pair.sent();
    assert!(east > SIZE && west < SIZE / 8, "{east} and {west}");
    pair.project.toolbox(&["deploy", "--images", "images.tar"]).exits(0).prints("west  changed=0");
}

#[test]
fn hosts_that_a_firewall_keeps_apart_are_both_sent_it() {
    let Some(pair) = Pair::new("seed-blocked") else {
        return;
    };
    let network = pair.west.network();
    let rule = ["iptables", "-I", "INPUT", "-i", "west", "-p", "tcp", "!", "--dport", "22", "-j", "DROP"];
    let blocked = std::process::Command::new(&network[0]).arg(&network[1]).args(rule).status();
    assert!(blocked.unwrap().success());
    let run = pair.project.toolbox(&pair.arguments()).exits(0);
    run.tells("not all comes from east, so it is sent from here: 192.0.2.2:7600: ");
    pair.is_whole(&pair.east);
    pair.is_whole(&pair.west);
    assert!(pair.sent().iter().all(|sent| *sent > SIZE), "{:?}", pair.sent());
}

#[test]
fn address_that_is_not_the_hosts_own_is_told() {
    let Some(pair) = Pair::new("seed-address") else {
        return;
    };
    pair.seeds("198.51.100.7");
    let run = pair.project.toolbox(&pair.arguments()).exits(0);
    run.tells("it is sent from here: listening at 198.51.100.7:0: ");
    pair.is_whole(&pair.west);
}

#[test]
fn stranger_who_comes_first_gets_nothing_and_keeps_nobody_out() {
    let Some(pair) = Pair::new("seed-stranger") else {
        return;
    };
    // The seed does not get to it before the stranger.
    pair.lines[0].stops_after(1);
    let running = pair.project.start(&pair.arguments());
    let deadline = Instant::now() + Duration::from_secs(60);
    let said = loop {
        assert!(Instant::now() < deadline, "nobody listens");
        if let Some(said) = pair.stranger() {
            break said;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(said.is_empty(), "{said:?}");
    pair.lines[0].goes_on();
    running.ends().exits(0).tells("MB came from east");
    pair.is_whole(&pair.west);
}

#[test]
fn seed_that_dies_in_the_middle_is_told_and_the_other_host_has_all() {
    let Some(pair) = Pair::new("seed-dies") else {
        return;
    };
    pair.lines[0].stops_after(SIZE / 2);
    let running = pair.project.start(&[&pair.arguments()[..], &["--reconnect", "0"]].concat());
    pair.lines[0].has_stopped();
    let engine = pair.east.engine();
    engine.docker(&["kill", &engine.docker(&["ps", "--quiet"])]);
    pair.lines[0].goes_on();
    let run = running.ends().exits(1).hint(&["again: it goes on from what has arrived"]);
    run.prints("west  changed=").tells("so it is sent from here");
    pair.is_whole(&pair.west);
    pair.project.toolbox(&pair.arguments()).exits(0).tells("kept from an earlier push");
    pair.is_whole(&pair.east);
}
