//! A small package archive for tests: real packages, a real signature, and a server that tells what it was asked for.
//!
//! Needs dpkg-deb, gpg and gzip. The server answers requests in either form, so that it can stand for an archive and for
//! a proxy of this machine's network. Whatever is started ends with it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::sshd::run;

/// A package to be made.
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    /// Further fields of its control file, each with its line end.
    pub(crate) fields: &'a str,
    /// Executable files in it: path and text.
    pub(crate) files: &'a [(&'a str, &'a str)],
}

/// Signs things; its agent ends with it.
pub(crate) struct Signer {
    home: TempDir,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let signer = Self { home };
        signer.gpg(&["--quick-generate-key", "Archive <archive@example.org>", "ed25519", "sign", "never"]);
        signer
    }

    /// The keyring, as apt takes it.
    pub(crate) fn keyring(&self) -> PathBuf {
        let file = self.home.path().join("keyring.gpg");
        self.gpg(&["--yes", "--output", file.to_str().unwrap(), "--export"]);
        file
    }

    fn sign(&self, file: &Path, signed: &Path) {
        self.gpg(&["--yes", "--output", signed.to_str().unwrap(), "--clearsign", file.to_str().unwrap()]);
    }

    fn gpg(&self, arguments: &[&str]) {
        let home = self.home.path().to_str().unwrap();
        let always = ["--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
        run("gpg", &[&always[..], arguments].concat());
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "gpg-agent"]).status();
    }
}

/// An archive and its server.
pub(crate) struct Archive {
    directory: TempDir,
    signer: Signer,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Archive {
    /// An archive with these packages under `/debian`, whose one release is this machine's own.
    pub(crate) fn with(packages: &[Package<'_>]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::default();
        serve(listener, directory.path().to_owned(), Arc::clone(&requests));
        let archive = Self { directory, signer: Signer::new(), port, requests };
        archive.publish(packages);
        archive
    }

    /// Its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("debian").join(name)
    }

    pub(crate) fn keyring(&self) -> PathBuf {
        self.signer.keyring()
    }

    /// The lines that requests began with.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Writes everything anew.
    pub(crate) fn publish(&self, packages: &[Package<'_>]) {
        let (architecture, codename) = own();
        let lists = self.path(&format!("dists/{codename}/main/binary-{architecture}"));
        fs::create_dir_all(&lists).unwrap();
        fs::create_dir_all(self.path("pool")).unwrap();
        let text: String = packages.iter().map(|package| self.pack(package)).collect();
        fs::write(lists.join("Packages"), text).unwrap();
        run("gzip", &["-9nkf", lists.join("Packages").to_str().unwrap()]);
        fs::write(self.path(&format!("dists/{codename}/main/extra")), "of no use").unwrap();
        self.release(|text| text);
    }

    /// Signs the release anew, changed by `change`.
    pub(crate) fn release(&self, change: impl FnOnce(String) -> String) {
        let (architecture, codename) = own();
        let list = format!("main/binary-{architecture}/Packages");
        let lines: String = [list.clone(), format!("{list}.gz"), "main/extra".to_owned()]
            .iter()
            .map(|path| {
                let bytes = fs::read(self.path(&format!("dists/{codename}/{path}"))).unwrap();
                format!(" {} {} {path}\n", hash(&bytes), bytes.len())
            })
            .collect();
        let text = format!(
            "Origin: Debian\nSuite: stable\nCodename: {codename}\nDate: Sat, 01 Jan 2000 00:00:00 UTC\n\
             Architectures: {architecture}\nComponents: main\nSHA256:\n{lines}"
        );
        let (plain, signed) = (self.path("Release"), self.path(&format!("dists/{codename}/InRelease")));
        fs::write(&plain, change(text)).unwrap();
        self.signer.sign(&plain, &signed);
    }

    fn pack(&self, package: &Package<'_>) -> String {
        let Package { name, fields, files } = package;
        let (root, deb) = (tempfile::tempdir().unwrap(), format!("pool/{name}_99+1~x.deb"));
        let control = root.path().join("DEBIAN");
        fs::create_dir(&control).unwrap();
        let maintainer = "Maintainer: Archive <archive@example.org>\nDescription: for tests\n";
        let text = format!("Package: {name}\nVersion: 99+1~x\nArchitecture: {}\n{maintainer}{fields}", own().0);
        fs::write(control.join("control"), &text).unwrap();
        for (path, content) in *files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            run("chmod", &["755", path.to_str().unwrap()]);
        }
        run(
            "dpkg-deb",
            &[
                "-Znone",
                "--root-owner-group",
                "--build",
                root.path().to_str().unwrap(),
                self.path(&deb).to_str().unwrap(),
            ],
        );
        let bytes = fs::read(self.path(&deb)).unwrap();
        format!("{text}Filename: {deb}\nSize: {}\nSHA256: {}\n\n", bytes.len(), hash(&bytes))
    }
}

/// This machine's architecture, in Debian's words, and its release.
pub(crate) fn own() -> (String, String) {
    let release = fs::read_to_string("/etc/os-release").unwrap();
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap();
    (run("dpkg", &["--print-architecture"]).trim().to_owned(), codename.trim_matches('"').to_owned())
}

/// What is needed is there; said on stderr where not.
pub(crate) fn possible(test: &str) -> bool {
    let there = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let missing: Vec<_> = ["gpg", "dpkg-deb", "apt-get"].into_iter().filter(|program| !there(program)).collect();
    if !missing.is_empty() {
        eprintln!("{test}: not run, {missing:?} is not there");
    }
    missing.is_empty()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn serve(listener: TcpListener, directory: PathBuf, requests: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (directory, requests) = (directory.clone(), Arc::clone(&requests));
            std::thread::spawn(move || answer_all(stream, &directory, &requests));
        }
    });
}

fn answer_all(mut stream: TcpStream, directory: &Path, requests: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        requests.lock().unwrap().push(first.trim().to_owned());
        let target = first.split(' ').nth(1)?;
        let path =
            target.strip_prefix("http://").and_then(|rest| rest.split_once('/')).map_or(target, |(_, path)| path);
        let path = percent_decode_str(path).decode_utf8_lossy();
        let (status, body) = match fs::read(directory.join(path.trim_start_matches('/'))) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
        stream.write_all(&body).ok()?;
    }
}
