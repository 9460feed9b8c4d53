//! Docker for a host without a way out: through this machine, and out of a bundle.
//!
//! The host is a machine with a network of its own that leads nowhere. Its engine is a package of a small archive; what
//! is asked is whether the host's own apt takes it, checks it, and runs what is in it.

use std::fs;
use std::path::Path;

use crate::deploy::compose;
use crate::engine::Image;
use crate::machine::{Kind, Machine, READY, State};
use crate::mirror::{Archive, Package, own, possible};
use crate::project::{Project, Run};
use crate::sshd::run;

/// What the packed engine says when it is to be started.
const PROOF: &str = "the packed engine is here";
const ENGINE: Package<'_> = Package {
    name: "docker.io",
    fields: "Depends: toolbox-test-dependency\n",
    files: &[
        ("etc/init.d/docker", "#!/bin/sh\necho the packed engine is here >&2\nexit 1\n"),
        ("usr/sbin/dockerd", "#!/bin/sh\nexit 1\n"),
    ],
};
const DEPENDENCY: Package<'_> = Package { name: "toolbox-test-dependency", fields: "", files: &[] };
/// Not in any list of this machine: only the proxy of this machine's network knows it.
const SOURCE: &str = "http://archive.example/debian";

/// A host without Docker and without a way out, whose apt knows one archive and trusts its key.
struct Closed {
    machine: Machine,
    archive: Archive,
    project: Project,
    _image: Image,
}

impl Closed {
    fn new(test: &str) -> Option<Self> {
        if !possible(test) {
            return None;
        }
        let machine = Machine::start(test, &Kind { engine: State::Absent, ..READY })?;
        let archive = Archive::with(&[ENGINE, DEPENDENCY]);
        let sources = machine.within("etc/apt/sources.list.d");
        for file in fs::read_dir(sources).unwrap().flatten() {
            fs::remove_file(file.path()).unwrap();
        }
        fs::create_dir_all(machine.within("etc/apt/keyrings")).unwrap();
        fs::copy(archive.keyring(), machine.within("etc/apt/keyrings/test.gpg")).unwrap();
        // A list that only archives have, as AppStream's.
        let extra =
            "Acquire::IndexTargets::deb::Extra { MetaKey \"$(COMPONENT)/extra\"; ShortDescription \"Extra\"; };\n";
        fs::write(machine.within("etc/apt/apt.conf.d/99extra"), extra).unwrap();
        let line = format!("deb [signed-by=/etc/apt/keyrings/test.gpg] {SOURCE} {} main\n", own().1);
        fs::write(machine.within("etc/apt/sources.list"), line).unwrap();
        let project = Project::new(test).with_key(Some(&machine.key.private));
        project.write("known_hosts", &machine.known_hosts());
        let image = Image::load(&format!("{}:latest", project.name), "1");
        project.compose(&compose(&image.name, ""));
        let closed = Self { machine, archive, project, _image: image };
        closed.host("");
        Some(closed)
    }

    /// The inventory; the program itself stays outside of the machine's network.
    fn host(&self, more: &str) {
        let (line, network) = (self.project.path("line.sh"), self.machine.network().join(" "));
        let script =
            format!("#!/bin/bash\nexec {network} bash -c 'exec 3<>/dev/tcp/127.0.0.1/22; cat <&3 & cat >&3'\n");
        self.project.write("line.sh", &script);
        run("chmod", &["755", line.to_str().unwrap()]);
        let arguments = format!("      ansible_ssh_common_args: -o ProxyCommand={}\n", line.display());
        self.project.host("root", 22, &(arguments + more));
    }

    /// Deploys with the archive as the proxy of this machine's network.
    fn deploy(self, arguments: &[&str]) -> (Machine, Archive, Run) {
        let Self { machine, archive, project, _image } = self;
        let proxy = format!("http://127.0.0.1:{}", archive.port);
        let project = project.with_variable("http_proxy", &proxy);
        let run = project.toolbox(&[&["deploy"], arguments].concat());
        (machine, archive, run)
    }
}

fn installed(machine: &Machine) -> bool {
    let status = fs::read_to_string(machine.within("var/lib/dpkg/status")).unwrap();
    status.contains("Package: toolbox-test-dependency\nStatus: install ok installed")
}

#[test]
fn a_host_that_cannot_reach_its_archive_gets_docker_through_this_machine() {
    let Some(closed) = Closed::new("through") else { return };
    let (machine, archive, run) = closed.deploy(&[]);
    // It was installed, and started: the archive's engine only says that it is there.
    run.exits(1)
        .tells("the host cannot reach archive.example; its packages come through this machine")
        .error(&["starting Docker failed", PROOF]);
    assert!(installed(&machine));
    let asked = archive.requests();
    assert!(asked.iter().any(|line| line.starts_with(&format!("GET {SOURCE}/pool/docker.io_99"))), "{asked:?}");
}

#[test]
fn a_host_whose_packages_shall_not_come_through_this_machine_does_without() {
    let Some(closed) = Closed::new("never") else { return };
    closed.host("      toolbox_package_proxy: never\n");
    let (machine, archive, run) = closed.deploy(&[]);
    run.exits(1).error(&["installing Docker failed: the host cannot reach its package archive"]).hint(&["its network"]);
    assert_eq!(archive.requests(), Vec::<String>::new());
    assert!(!installed(&machine));
}

#[test]
fn what_the_host_does_not_trust_is_not_installed_through_this_machine_either() {
    let Some(closed) = Closed::new("untrusted") else { return };
    let other = Archive::with(&[]);
    fs::copy(other.keyring(), closed.machine.within("etc/apt/keyrings/test.gpg")).unwrap();
    let (machine, _, run) = closed.deploy(&[]);
    run.exits(1).error(&["installing Docker failed"]);
    assert!(!installed(&machine));
}

/// The words that make a bundle of an archive.
fn words(archive: &Archive, keyring: &Path, out: &str) -> Vec<String> {
    let (architecture, codename) = own();
    let mirror = format!("http://127.0.0.1:{}/debian", archive.port);
    let words = ["bundle", "--release", &codename, "--arch", &architecture, "--mirror", &mirror];
    words.into_iter().chain(["--keyring", keyring.to_str().unwrap(), "--out", out]).map(str::to_owned).collect()
}

fn bundle(project: &Project, archive: &Archive) -> Run {
    let words = words(archive, &archive.keyring(), "bundle.tar");
    project.toolbox(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_host_gets_docker_out_of_a_bundle_without_any_archive() {
    let Some(closed) = Closed::new("bundle") else { return };
    bundle(&closed.project, &closed.archive).exits(0);
    let trusted = closed.machine.within("usr/share/keyrings/debian-archive-keyring.gpg");
    fs::copy(closed.archive.keyring(), trusted).unwrap();
    let before = closed.archive.requests().len();
    let (machine, archive, run) = closed.deploy(&["--bundle", "bundle.tar"]);
    run.exits(1).error(&["starting Docker failed", PROOF]);
    assert!(installed(&machine));
    assert_eq!(archive.requests().len(), before);
    let left = fs::read_dir(machine.within("tmp")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.path()).filter(|path| path.join("apt.conf").exists()).collect();
    assert!(left.is_empty(), "apt's settings for the bundle are still there: {left:?}");
}

#[test]
fn a_bundle_that_the_host_does_not_trust_is_refused_by_its_apt() {
    let Some(closed) = Closed::new("strange") else { return };
    bundle(&closed.project, &closed.archive).exits(0);
    let (machine, _, run) = closed.deploy(&["--bundle", "bundle.tar"]);
    run.exits(1).error(&["installing Docker failed"]);
    assert!(!installed(&machine));
}

#[test]
fn a_bundle_for_another_release_is_refused_before_anything_is_touched() {
    let Some(closed) = Closed::new("otherrelease") else { return };
    bundle(&closed.project, &closed.archive).exits(0);
    let file = closed.machine.within("etc/os-release");
    fs::write(file, "ID=debian\nVERSION_CODENAME=forky\n").unwrap();
    let (machine, _, run) = closed.deploy(&["--bundle", "bundle.tar"]);
    run.exits(1)
        .error(&["vm: the bundle is for", "the host is forky"])
        .hint(&["toolbox bundle --release forky --arch"]);
    assert!(!machine.within("var/lib/apt/lists").exists());
}

/// An archive and a project to make bundles in.
fn workshop(test: &str, packages: &[Package<'_>]) -> Option<(Archive, Project)> {
    possible(test).then(|| (Archive::with(packages), Project::new(test)))
}

#[test]
fn a_bundle_is_a_tar_file_with_what_the_release_vouches_for() {
    let Some((archive, project)) = workshop("bundletar", &[ENGINE, DEPENDENCY]) else { return };
    bundle(&project, &archive).exits(0);
    let listed = run("tar", &["-tf", project.path("bundle.tar").to_str().unwrap()]);
    let names: Vec<&str> = listed.lines().collect();
    assert_eq!(names[0], "toolbox-bundle.json");
    let (architecture, codename) = own();
    for name in [
        format!("archive/dists/{codename}/InRelease"),
        format!("archive/dists/{codename}/main/binary-{architecture}/Packages.gz"),
        "archive/pool/docker.io_99+1~x.deb".to_owned(),
        "archive/pool/toolbox-test-dependency_99+1~x.deb".to_owned(),
    ] {
        assert!(names.contains(&name.as_str()), "{name} in {names:?}");
    }
    let words = words(&archive, &archive.keyring(), "-");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = project.command(&words, &[]).output().unwrap();
    assert!(output.stdout == fs::read(project.path("bundle.tar")).unwrap(), "{} bytes", output.stdout.len());
}

#[test]
fn what_was_changed_on_the_way_makes_no_bundle() {
    let Some((archive, project)) = workshop("tampered", &[ENGINE, DEPENDENCY]) else { return };
    let refused = |words: &[&str]| {
        bundle(&project, &archive).exits(1).error(words);
        assert!(!project.path("bundle.tar").exists());
        let left: Vec<_> = fs::read_dir(project.path("")).unwrap().flatten().map(|entry| entry.path()).collect();
        assert_eq!(left, Vec::<std::path::PathBuf>::new());
    };
    let codename = own().1;
    fs::write(archive.path("pool/docker.io_99+1~x.deb"), "something else").unwrap();
    refused(&["pool/docker.io_99+1~x.deb", "SHA-256"]);
    archive.publish(&[ENGINE]);
    refused(&["docker.io needs toolbox-test-dependency, which the archive does not have"]);
    archive.publish(&[ENGINE, DEPENDENCY]);
    archive.release(|text| text.replace("Codename: ", "Valid-Until: Sat, 01 Jan 2000 00:00:00 UTC\nCodename: "));
    refused(&["has expired"]);
    archive.release(|text| text.replace(&format!("Codename: {codename}"), "Codename: other"));
    refused(&["it is signed as other"]);
    archive.release(|text| text);
    let release = archive.path(&format!("dists/{codename}/InRelease"));
    let text = fs::read_to_string(&release).unwrap();
    fs::write(&release, text.replace("Components: main", "Components: evil")).unwrap();
    refused(&["InRelease: no signature on it is good"]);
    let other = Archive::with(&[]);
    archive.publish(&[ENGINE, DEPENDENCY]);
    let words = words(&archive, &other.keyring(), "bundle.tar");
    let run = project.toolbox(&words.iter().map(String::as_str).collect::<Vec<_>>());
    run.exits(1).error(&["no signature on it is good", "not in the keyring"]).hint(&["--keyring"]);
}
