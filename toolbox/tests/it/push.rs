//! Images sent to a machine with an engine of its own: the real program, sshd, engine and receiver.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::engine::{Engine, archive_with};
use crate::line::Line;
use crate::machine::{Kind, Machine, Make, READY};
use crate::project::Project;

/// A machine, and tarballs for it.
pub(crate) struct Setting {
    pub(crate) machine: Machine,
    pub(crate) project: Project,
    pub(crate) image: String,
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    noise_of(0, length)
}

/// The same, unlike that of another seed.
pub(crate) fn noise_of(seed: u64, length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length / 8).flat_map(|_| next().to_le_bytes()).collect()
}

impl Setting {
    fn new(test: &str) -> Option<Self> {
        Self::on(test, Make::Own)
    }

    /// On a machine with this engine.
    pub(crate) fn on(test: &str, make: Make) -> Option<Self> {
        Self::of(test, &Kind { make, ..READY })
    }

    /// On such a machine.
    pub(crate) fn of(test: &str, kind: &Kind) -> Option<Self> {
        let machine = Machine::start(test, kind)?;
        let project = Project::on(test, &machine);
        let image = format!("{}:latest", project.name);
        Some(Self { machine, project, image })
    }

    /// Saves the image with this in the file `/data` of its upper layer.
    pub(crate) fn saves(&self, content: &[u8]) {
        std::fs::write(self.project.path("images.tar"), archive_with(&self.image, &[("data", content)])).unwrap();
    }

    pub(crate) fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["push", "--images", "images.tar", &self.image], more].concat()
    }

    pub(crate) fn push(&self) -> crate::project::Run {
        self.project.toolbox(&self.arguments(&[]))
    }

    /// Where there is a spool, images go through a receiver, also on a line as short as this one.
    pub(crate) fn with_spool(self) -> Self {
        self.machine.engine().docker(&["volume", "create", "toolbox.receiver.spool"]);
        self
    }

    /// Waits until something of a layer has arrived.
    fn arrives(&self) {
        let spool = self.file("var/lib/docker/volumes/toolbox.receiver.spool/_data");
        let is_map = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".map");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !std::fs::read_dir(&spool).is_ok_and(|files| files.flatten().any(is_map)) {
            assert!(Instant::now() < deadline, "nothing has arrived");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A file of the machine.
    fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(self.machine.namespace().replace("ns/net", "root")).join(path)
    }

    /// The machine has the image and nothing else of ours but the helper's.
    #[track_caller]
    pub(crate) fn is_whole(&self) {
        let engine = self.machine.engine();
        assert_eq!(engine.docker(&["ps", "--all", "--quiet"]), "");
        assert_eq!(engine.docker(&["volume", "ls", "--quiet"]), "");
        self.runs();
    }

    /// What the image on the machine has in its upper layer.
    fn data(&self) -> Vec<u8> {
        let (engine, path) = (self.machine.engine(), self.project.path("data"));
        let container = engine.docker(&["create", &self.image]);
        engine.docker(&["cp", &format!("{container}:/data"), path.to_str().unwrap()]);
        engine.docker(&["rm", &container]);
        std::fs::read(path).unwrap()
    }

    /// The image is whole: it runs, and every byte of it can be read.
    #[track_caller]
    pub(crate) fn runs(&self) {
        let engine = self.machine.engine();
        assert_eq!(engine.docker(&["run", "--rm", &self.image, "say", "here"]), "here");
        let saved = engine.docker(&["image", "inspect", "--format", "{{len .RootFS.Layers}}", &self.image]);
        assert_eq!(saved, "2");
    }
}

#[test]
fn image_is_pushed_without_a_compose_file_and_only_once() {
    let Some(setting) = Setting::new("push") else {
        return;
    };
    setting.saves(b"one");
    let run = setting.project.toolbox(&setting.arguments(&["--dry-run"])).exits(0);
    run.prints(&format!("> push image {}: 2 of 2 layers", setting.image));
    assert_eq!(setting.machine.engine().docker(&["image", "ls", "--quiet"]), "");
    setting.push().exits(0).prints("vm  changed=1  unchanged=0  failed=0  ok");
    setting.is_whole();
    setting.push().exits(0).prints("vm  changed=0  unchanged=1  failed=0  ok");
    setting.saves(b"two");
    setting.push().exits(0).tells("1 of 2 layers");
    setting.is_whole();
}

#[test]
fn image_that_is_not_at_hand_is_named_before_any_host_is_asked() {
    let project = Project::new("push-none");
    project.write("images.tar", "");
    std::fs::write(project.path("images.tar"), archive_with("there:1", &[("data", b"x")])).unwrap();
    let run = project.toolbox(&["push", "--host", "root@127.0.0.1:9", "--images", "images.tar", "absent:1", "UPPER"]);
    run.exits(2).error(&["UPPER"]);
}

#[test]
fn large_image_goes_through_a_receiver_that_leaves_nothing() {
    let Some(setting) = Setting::new("push-receiver").map(Setting::with_spool) else {
        return;
    };
    setting.saves(&noise(24 << 20));
    let run = setting.push().exits(0);
    assert!(!run.stderr.contains("in one stream"), "{}", run.stderr);
    setting.is_whole();
}

#[test]
fn over_a_long_line_images_go_through_several_connections_by_themselves() {
    let Some(setting) = Setting::new("push-far") else {
        return;
    };
    let line = Line::lay_long(&setting.machine, &setting.project);
    // One for control, and four for images, which one alone would otherwise have carried before the last is open.
    line.awaits(5);
    setting.saves(&noise(24 << 20));
    setting.push().exits(0);
    setting.is_whole();
    assert_eq!(line.connections(), 5);
}

#[test]
fn push_that_is_killed_goes_on_from_what_has_arrived() {
    let Some(setting) = Setting::new("push-killed").map(Setting::with_spool) else {
        return;
    };
    setting.saves(&noise(48 << 20));
    let running = setting.project.start(&setting.arguments(&[]));
    setting.arrives();
    running.end_with("KILL").was_killed();
    let run = setting.push().exits(0).tells("kept from an earlier push");
    assert!(!run.stderr.contains("in one stream"), "{}", run.stderr);
    setting.runs();
}

#[test]
fn layer_that_changed_a_little_costs_little() {
    let Some(setting) = Setting::new("push-delta") else {
        return;
    };
    let _line = Line::lay_long(&setting.machine, &setting.project);
    let mut content = noise(20 << 20);
    setting.saves(&content);
    setting.push().exits(0);
    content.splice(9_000_000..9_000_000, *b"a line that was not there");
    setting.saves(&content);
    let run = setting.push().exits(0).tells("made out of the image before");
    let note = run.stderr.lines().find(|line| line.contains("made out of")).unwrap();
    assert!(note.contains(" kB sent"), "{note}");
    setting.is_whole();
}

/// Two images of one name in this machine's engine, the first of which has lost it; removed with the value.
struct Rebuilt {
    local: Engine,
    ids: Vec<String>,
}

impl Rebuilt {
    fn load(&mut self, image: &str, content: &[u8]) {
        self.local.load(&archive_with(image, &[("data", content)]));
        self.ids.push(self.local.docker(&["image", "inspect", "--format", "{{.Id}}", image]));
    }
}

impl Drop for Rebuilt {
    fn drop(&mut self) {
        for id in &self.ids {
            self.local.succeeds(&["image", "rm", "--force", id]);
        }
    }
}

/// The same bytes, with some others every 250.
fn linked_anew(program: &[u8]) -> Vec<u8> {
    let mut new = program.to_vec();
    for (number, place) in (0..new.len() - 4).step_by(250).enumerate() {
        new[place..place + 4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
    }
    new
}

#[test]
fn program_that_was_linked_anew_costs_little_where_the_image_before_is_still_here() {
    let Some(setting) = Setting::new("push-patch") else {
        return;
    };
    let _line = Line::lay_long(&setting.machine, &setting.project);
    let mut rebuilt = Rebuilt { local: Engine::at(Path::new("/var/run/docker.sock")), ids: Vec::new() };
    let old = noise(24 << 20);
    rebuilt.load(&setting.image, &old);
    setting.project.toolbox(&["push", &setting.image]).exits(0).tells(" MB sent");
    let new = linked_anew(&old);
    rebuilt.load(&setting.image, &new);
    let run = setting.project.toolbox(&["push", "--dry-run", &setting.image]).exits(0);
    run.prints("or less, by what has changed of layer 2").prints("or less to send");
    let run = setting.project.toolbox(&["push", &setting.image]).exits(0).tells("made out of the image before");
    assert!(sent(&run.stderr) < 2.5, "{}", run.stderr);
    setting.is_whole();
    assert!(setting.data() == new, "the host has other bytes");
}

/// The megabytes that the notes of a push name.
fn sent(notes: &str) -> f64 {
    let note = notes.lines().find(|line| line.contains(" sent")).unwrap();
    let words: Vec<&str> = note.split_whitespace().collect();
    let at = words.iter().position(|word| word.starts_with("sent")).unwrap();
    let number: f64 = words[at - 2].parse().unwrap();
    match words[at - 1] {
        "MB" => number,
        "kB" => number / 1000.0,
        unit => panic!("{unit}"),
    }
}

#[test]
fn two_pushes_at_once_do_not_hinder_each_other() {
    let Some(setting) = Setting::new("push-two").map(Setting::with_spool) else {
        return;
    };
    setting.saves(&noise(16 << 20));
    let both = [0, 1].map(|_| setting.project.start(&setting.arguments(&[])));
    for one in both {
        one.ends().exits(0);
    }
    setting.is_whole();
}

#[test]
fn engine_that_a_container_cannot_reach_gets_one_stream() {
    let Some(setting) = Setting::new("push-refused").map(Setting::with_spool) else {
        return;
    };
    // The user who logs in is root, whom nobody keeps out; `/var/run` is a link, which would lead out of the machine.
    let socket = setting.file("run/docker.sock");
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(socket, owner_only).unwrap();
    setting.saves(&noise(4 << 20));
    setting.push().exits(0).tells("images go in one stream");
    setting.is_whole();
}

#[test]
fn engine_that_is_restarted_in_the_middle_is_told_and_the_next_push_works() {
    let Some(setting) = Setting::new("push-restart").map(Setting::with_spool) else {
        return;
    };
    setting.saves(&noise(48 << 20));
    let running = setting.project.start(&setting.arguments(&["--reconnect", "0"]));
    setting.arrives();
    setting.machine.restart_engine();
    running.ends().exits(1).hint(&["again"]);
    let images = setting.machine.engine().docker(&["image", "ls", "--format", "{{.Repository}}"]);
    assert!(!images.contains(&setting.project.name), "{images}");
    setting.push().exits(0);
    setting.runs();
}
