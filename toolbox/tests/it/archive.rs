//! A package archive of Debian's form, signed, served on port 80 of a machine under any name.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sha2::{Digest as _, Sha256};

use crate::machine::Machine;

/// Answers a request for `host/path` with a status and a body; `None` is 404.
pub(crate) type Answer = dyn Fn(&str) -> Option<(u16, Vec<u8>)> + Send + Sync;

/// An archive.
pub(crate) struct Archive {
    directory: PathBuf,
    architecture: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    answer: Arc<Mutex<Arc<Answer>>>,
}

/// A release of it; dates as date(1) reads them.
#[derive(Clone, Copy)]
pub(crate) struct Release<'a> {
    /// Host and path: `deb.debian.org/debian`.
    pub(crate) base: &'a str,
    pub(crate) suite: &'a str,
    pub(crate) date: &'a str,
    pub(crate) valid_until: Option<&'a str>,
    /// Further fields of docker.io.
    pub(crate) fields: &'a str,
    /// Who signs it; only `archive` is trusted by a host.
    pub(crate) signed_by: &'a str,
}

pub(crate) const GOOD: Release<'static> = Release {
    base: "deb.debian.org/debian",
    suite: "trixie",
    date: "-1 day",
    valid_until: None,
    fields: "",
    signed_by: "archive",
};

impl Archive {
    /// The programs that it takes are here.
    pub(crate) fn can_be_made() -> bool {
        ["dpkg-deb", "gpg", "gpg-agent"].iter().all(|name| Command::new(name).arg("--version").output().is_ok())
    }

    /// An empty archive on a machine without an engine, whose docker.io is the engine of this machine. The machine
    /// believes that it runs this release of Debian, and trusts the archive's key alone.
    pub(crate) fn on(machine: &Machine, version: &str, codename: &str) -> Self {
        let directory = machine.directory().join("archive");
        fs::create_dir(&directory).unwrap();
        for name in ["archive", "stranger"] {
            make_key(&directory, name);
        }
        let architecture = output(Command::new("dpkg").arg("--print-architecture")).trim().to_owned();
        let (files, answer) = (Arc::default(), Arc::new(Mutex::new(nothing_else())));
        let archive = Self { directory, architecture, files, answer };
        archive.serve(machine);
        machine.sh(&format!(
            "set -e; cd /etc/apt
             rm -rf sources.list sources.list.d apt.conf apt.conf.d auth.conf auth.conf.d preferences.d trusted.gpg.d
             mkdir sources.list.d apt.conf.d preferences.d trusted.gpg.d
             cp {ring} /usr/share/keyrings/debian-archive-keyring.gpg
             cp {ring} trusted.gpg.d/debian.gpg
             for name in deb archive security; do echo 127.0.0.1 $name.debian.org; done >>/etc/hosts
             rm -f /etc/os-release
             printf 'ID=debian\\nVERSION_ID=\"{version}\"\\nVERSION_CODENAME={codename}\\n' >/etc/os-release
             printf 'PRETTY_NAME=\"Debian GNU/Linux {version} ({codename})\"\\n' >>/etc/os-release
             echo 'deb http://deb.debian.org/debian {codename} main' >sources.list
             printf '#!/bin/sh\\nexec /bin/sleep 0.1\\n' >/usr/local/bin/sleep
             chmod +x /usr/local/bin/sleep",
            ring = archive.directory.join("archive.gpg").display()
        ));
        archive
    }

    /// Adds or replaces a release that holds docker.io.
    pub(crate) fn publish(&self, release: &Release<'_>) {
        let package = self.package(release.fields);
        let bytes = fs::read(&package).unwrap();
        let control = output(Command::new("dpkg-deb").arg("--field").arg(&package));
        let (size, hash) = (bytes.len(), hex::encode(Sha256::digest(&bytes)));
        let packages = format!("{control}Filename: pool/docker.io.deb\nSize: {size}\nSHA256: {hash}\n\n");
        let index = format!("main/binary-{}/Packages", self.architecture);
        let (size, hash) = (packages.len(), hex::encode(Sha256::digest(&packages)));
        let until = release.valid_until.map_or_else(String::new, |until| format!("Valid-Until: {}\n", date(until)));
        let text = format!(
            "Origin: Debian\nLabel: Debian\nSuite: {0}\nCodename: {0}\nDate: {1}\n{until}Architectures: {2}\n\
             Components: main\nSHA256:\n {hash} {size} {index}\n",
            release.suite,
            date(release.date),
            self.architecture
        );
        let dist = format!("{}/dists/{}", release.base, release.suite);
        let mut files = self.files.lock().unwrap();
        files.insert(format!("{dist}/InRelease"), self.sign(&text, release.signed_by));
        files.insert(format!("{dist}/{index}"), packages.into_bytes());
        files.insert(format!("{}/pool/docker.io.deb", release.base), bytes);
    }

    /// Answers in front of the files, until the next call.
    pub(crate) fn answers(&self, answer: impl Fn(&str) -> Option<(u16, Vec<u8>)> + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// As after [`Archive::on`], with what was published since.
    pub(crate) fn recovers(&self) {
        *self.answer.lock().unwrap() = nothing_else();
    }

    /// A file that an index names, spoilt: as long as before.
    pub(crate) fn spoil(&self, path: &str) {
        let mut files = self.files.lock().unwrap();
        let file = files.get_mut(path).unwrap();
        *file.last_mut().unwrap() ^= 1;
    }

    /// docker.io, with what a machine keeps of the engine that it does not have.
    fn package(&self, fields: &str) -> PathBuf {
        let root = self.directory.join("docker.io");
        let _ = fs::remove_dir_all(&root);
        let stash = self.directory.parent().unwrap().join("docker");
        let daemon = fs::read_to_string(stash.join("path")).unwrap();
        let daemon = root.join(daemon.trim().trim_start_matches('/'));
        for directory in ["DEBIAN", "etc/init.d"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::create_dir_all(daemon.parent().unwrap()).unwrap();
        symlink(stash.join("dockerd"), daemon).unwrap();
        fs::copy(stash.join("init"), root.join("etc/init.d/docker")).unwrap();
        let control = format!(
            "Package: docker.io\nVersion: 99\nArchitecture: {}\nMaintainer: nobody <nobody@example.org>\n{fields}\
             Description: a container engine\n",
            self.architecture
        );
        fs::write(root.join("DEBIAN/control"), control).unwrap();
        let package = self.directory.join("docker.io.deb");
        output(Command::new("dpkg-deb").args(["--build", "-Zgzip", "--root-owner-group"]).arg(&root).arg(&package));
        package
    }

    fn sign(&self, text: &str, key: &str) -> Vec<u8> {
        let file = self.directory.join("Release");
        fs::write(&file, text).unwrap();
        let mut gpg = gpg(&self.directory, key);
        output(gpg.args(["--clearsign", "--output", "-"]).arg(&file)).into_bytes()
    }

    fn serve(&self, machine: &Machine) {
        let namespace = fs::File::open(machine.namespace()).unwrap();
        let (files, answer) = (Arc::clone(&self.files), Arc::clone(&self.answer));
        let (sender, bound) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let listener = TcpListener::bind("127.0.0.1:80").unwrap();
            sender.send(()).unwrap();
            for stream in listener.incoming() {
                let (files, answer) = (Arc::clone(&files), Arc::clone(&answer));
                std::thread::spawn(move || converse(stream.unwrap(), &files, &answer));
            }
        });
        bound.recv().unwrap();
    }
}

fn nothing_else() -> Arc<Answer> {
    Arc::new(|_| None)
}

/// One request after the other, until the client goes.
fn converse(mut stream: TcpStream, files: &Mutex<BTreeMap<String, Vec<u8>>>, answer: &Mutex<Arc<Answer>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(wanted) = request(&mut reader) {
        let answer = Arc::clone(&answer.lock().unwrap());
        let held = || files.lock().unwrap().get(&wanted).map(|bytes| (200, bytes.clone()));
        let (status, body) = answer(&wanted).or_else(held).unwrap_or((404, b"gone".to_vec()));
        let words = match status {
            200 => "OK",
            404 => "Not Found",
            _ => "Service Unavailable",
        };
        let head = format!("HTTP/1.1 {status} {words}\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}

/// `host/path` of the next request.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut path, mut host) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(' ') {
            None => return Some(host + &path),
            Some(("GET", rest)) => path = rest.split(' ').next()?.to_owned(),
            Some(("Host:", name)) => host = name.to_owned(),
            Some(_) => {}
        }
    }
}

fn make_key(directory: &Path, name: &str) {
    let home = directory.join(name);
    fs::create_dir(&home).unwrap();
    output(Command::new("chmod").arg("0700").arg(&home));
    let who = format!("{name} <{name}@example.org>");
    output(gpg(directory, name).args(["--quick-generate-key", &who, "ed25519", "sign", "never"]));
    let ring = directory.join(format!("{name}.gpg"));
    output(gpg(directory, name).arg("--export").arg("--output").arg(ring));
}

/// GnuPG with a key of this name in a home of its own; its agent ends with the directory.
fn gpg(directory: &Path, name: &str) -> Command {
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(directory.join(name)).args(["--batch", "--quiet", "--passphrase", ""]);
    command
}

fn date(when: &str) -> String {
    output(Command::new("date").env("LC_ALL", "C").args(["-u", "-d", when, "+%a, %d %b %Y %H:%M:%S UTC"]))
        .trim()
        .to_owned()
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
