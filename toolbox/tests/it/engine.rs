//! A container engine as tests use it, through the `docker` command, and images to put into it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use toolbox::image::Digest;

/// A container engine.
pub(crate) struct Engine {
    socket: PathBuf,
}

impl Engine {
    /// The engine of this machine, or the one whose socket `TOOLBOX_TEST_ENGINE` names by an absolute path; `None`,
    /// said on stderr, where that variable is not set and does not allow its use.
    pub(crate) fn for_test(test: &str) -> Option<Self> {
        let Some(value) = std::env::var_os("TOOLBOX_TEST_ENGINE") else {
            eprintln!("{test}: not run, TOOLBOX_TEST_ENGINE is not set");
            return None;
        };
        let socket = Path::new(&value);
        Some(Self::at(if socket.is_absolute() { socket } else { Path::new("/var/run/docker.sock") }))
    }

    /// The engine behind this socket.
    pub(crate) fn at(socket: &Path) -> Self {
        let socket = socket.to_owned();
        Self { socket }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// The `docker` command with these arguments; not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(arguments).env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }

    /// The whole output of a command that must succeed.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("docker is there");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Whether the command succeeds.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> bool {
        let output = self.command(arguments).output().expect("docker is there");
        output.status.success()
    }

    /// What the engine says of a container.
    pub(crate) fn container(&self, name: &str) -> Value {
        let text = self.docker(&["container", "inspect", name]);
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// Names and states of the containers of the project's services, sorted.
    pub(crate) fn containers(&self, project: &str) -> Vec<String> {
        self.listed(project, &["--filter=label=io.toolbox.role=service"])
    }

    /// The same of all of the project's containers: its keeper, relays and whatever runs once, too.
    pub(crate) fn all_containers(&self, project: &str) -> Vec<String> {
        self.listed(project, &[])
    }

    fn listed(&self, project: &str, filters: &[&str]) -> Vec<String> {
        let filter = format!("--filter=label=com.docker.compose.project={project}");
        let arguments = ["ps", "--all", "--format={{.Names}} {{.State}}", &filter];
        let listed = self.docker(&[&arguments, filters].concat());
        let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Puts a saved tarball in.
    pub(crate) fn load(&self, archive: &[u8]) {
        let mut command = self.command(&["load", "--quiet"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(archive).unwrap();
        assert!(child.wait().unwrap().success(), "docker load");
    }

    /// What happens from now on, one word a line: `create`, `start`, `die`, `disconnect` …
    pub(crate) fn events(&self) -> Events {
        let now = self.docker(&["info", "--format", "{{.SystemTime}}"]);
        let mut command = self.command(&["events", "--since", &now, "--format", "{{.Action}}"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Events { child, lines }
    }
}

/// A stream of events.
pub(crate) struct Events {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Events {
    /// Reads on until this happens.
    pub(crate) fn wait_for(&mut self, event: &str) {
        let mut line = String::new();
        while line.trim() != event {
            line.clear();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "the engine stopped telling its events");
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image of this machine's engine, removed with the value.
pub(crate) struct Image {
    pub(crate) name: String,
    local: Engine,
}

impl Image {
    /// An image of the service in `fixture/service.rs` under this name; `version` makes it another one than others.
    pub(crate) fn load(name: &str, version: &str) -> Self {
        let local = Engine::at(Path::new("/var/run/docker.sock"));
        local.load(&archive(name, version));
        let name = name.to_owned();
        Self { name, local }
    }

    /// Puts another version in its place.
    pub(crate) fn replace(&self, version: &str) {
        self.local.load(&archive(&self.name, version));
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.local.succeeds(&["image", "rm", "--force", &self.name]);
    }
}

/// The saved tarball of an image with two layers: the service, which all versions share, and the version.
pub(crate) fn archive(name: &str, version: &str) -> Vec<u8> {
    // The name too: tests that share an image's id would get into each other's way when they remove it.
    archive_with(name, &[("version", format!("{name} {version}").as_bytes())])
}

/// The same with these files in the upper layer.
pub(crate) fn archive_with(name: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let service = fs::read(service()).unwrap();
    let layers = [tarball(&[("service", &service)]), tarball(files)];
    let diff_ids = layers.each_ref().map(|layer| Digest::of(layer));
    let config = json!({
        "os": "linux",
        "architecture": architecture(),
        "config": { "Entrypoint": ["/service"], "Cmd": ["serve"], "StopSignal": "SIGKILL" },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let manifest = json!([{
        "Config": "config.json",
        "RepoTags": [name],
        "Layers": ["service/layer.tar", "version/layer.tar"],
    }]);
    tarball(&[
        ("service/layer.tar", &layers[0]),
        ("version/layer.tar", &layers[1]),
        ("config.json", config.to_string().as_bytes()),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}

/// In Go's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A tarball of executable files.
pub(crate) fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// The service's program, static, compiled once for all tests.
pub(crate) fn service() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compiled("service"))
}

/// The static program made from the file of this name in `fixture/`.
pub(crate) fn compiled(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Whole under its name at once, also where another run of the tests does the same.
    let (program, made) = (directory.join(name), directory.join(format!("{name}-{}", std::process::id())));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/fixture/{name}.rs"));
    let status = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "-C", "opt-level=s", "-C", "strip=symbols"])
        .args(["-C", "target-feature=+crt-static", "-C", "panic=abort", "-o"])
        .args([&made, &source])
        .status();
    assert!(status.expect("rustc is there").success());
    fs::rename(made, &program).unwrap();
    program
}
