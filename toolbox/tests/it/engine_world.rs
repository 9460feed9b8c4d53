//! A real engine as `toolbox::engine` speaks to it, with an image of its own and all that a test makes there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tar::{Builder, EntryType, Header};
use tokio::io::{copy_bidirectional, duplex};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use toolbox::compose::{LoadRequest, Project, load};
use toolbox::engine::{Dialer, Docker, Engine as _, EngineStream, ExecOutput, HelperSpec, unix_dialer};
use toolbox::image::Digest;

use crate::engine::{Engine, architecture, compiled, tarball};

/// An engine with one image, whose program is `fixture/probe.rs`. Whatever carries the name goes with the value.
pub(crate) struct World {
    /// Begins the names of all that the test makes.
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) cli: Engine,
    pub(crate) engine: Docker,
}

impl World {
    /// `None` where the engine may not be used.
    pub(crate) async fn new(test: &str) -> Option<Self> {
        let cli = Engine::for_test(test)?;
        let name = format!("it{}{test}", std::process::id());
        let image = format!("{name}:1");
        cli.load(&archive(&image));
        let dialer = unix_dialer(cli.socket());
        let engine = Docker::connect(dialer.clone(), dialer).await.unwrap();
        Some(Self { name, image, cli, engine })
    }

    /// The same engine over connections that can be cut.
    pub(crate) async fn cable(&self) -> (Docker, Cable) {
        let cable = Cable::default();
        let dialer = cable.dialer(self.cli.socket());
        (Docker::connect(dialer.clone(), dialer).await.unwrap(), cable)
    }

    /// A running container of the image, made as helpers are, that does nothing.
    pub(crate) async fn helper(&self, spec: HelperSpec) -> String {
        let id = self.engine.create_helper(&self.spec(spec)).await.unwrap();
        self.engine.start(&id).await.unwrap();
        id
    }

    /// The same spec with a name, the image and the command `keep`, where it does not say otherwise.
    pub(crate) fn spec(&self, spec: HelperSpec) -> HelperSpec {
        let or = |own: String, other: &str| if own.is_empty() { other.to_owned() } else { own };
        HelperSpec {
            name: format!("{}{}", self.name, or(spec.name, "-helper")),
            image: self.image.clone(),
            command: vec!["keep".into()],
            ..spec
        }
    }

    /// A running keeper, on a volume of its own.
    pub(crate) async fn keeper(&self) -> String {
        self.engine.create_plain_volume(&self.name, &BTreeMap::new()).await.unwrap();
        self.helper(HelperSpec { state_volume: Some(self.name.clone()), ..HelperSpec::default() }).await
    }

    /// What the probe says to this in a container.
    pub(crate) async fn probe(&self, container: &str, arguments: &[&str]) -> ExecOutput {
        self.engine.exec(container, &command(arguments), b"").await.unwrap()
    }

    /// Its lines.
    pub(crate) async fn lines(&self, container: &str, arguments: &[&str]) -> Vec<String> {
        let said = self.probe(container, arguments).await;
        assert_eq!(said.status, 0, "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The project of a compose file in which `IMAGE` stands for the image.
    pub(crate) fn project(&self, text: &str) -> Project {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("compose.yaml");
        std::fs::write(&file, text.replace("IMAGE", &self.image)).unwrap();
        let working_dir = directory.path().to_owned();
        let project_name = Some(self.name.clone());
        load(&LoadRequest { files: vec![file], working_dir, project_name, ..LoadRequest::default() }).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let filter = format!("name={}", self.name);
        let listed = |arguments: &[&str]| self.cli.docker(&[arguments, &["--quiet", "--filter", &filter]].concat());
        for id in listed(&["container", "ls", "--all"]).lines() {
            self.cli.succeeds(&["container", "rm", "--force", "--volumes", id]);
        }
        for kind in ["network", "volume"] {
            for id in listed(&[kind, "ls"]).lines() {
                self.cli.succeeds(&[kind, "rm", id]);
            }
        }
        self.cli.succeeds(&["image", "rm", "--force", &self.image]);
        let pins = format!("reference=toolbox.local/{}/*", self.name);
        let format = "{{.Repository}}:{{.Tag}}";
        for name in self.cli.docker(&["image", "ls", "--filter", &pins, "--format", format]).lines() {
            self.cli.succeeds(&["image", "rm", name]);
        }
    }
}

/// Connections of an engine that a test can cut.
#[derive(Clone, Default)]
pub(crate) struct Cable(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Cable {
    fn dialer(&self, socket: PathBuf) -> Dialer {
        let cable = self.clone();
        Arc::new(move || {
            let (cable, socket) = (cable.clone(), socket.clone());
            Box::pin(async move {
                let mut far = UnixStream::connect(&socket).await?;
                let (near, mut middle) = duplex(4096);
                let carrying = tokio::spawn(async move {
                    let _ = copy_bidirectional(&mut middle, &mut far).await;
                });
                cable.0.lock().unwrap().push(carrying);
                Ok(Box::new(near) as Box<dyn EngineStream>)
            })
        })
    }

    /// The engine sees all connections end, as when an SSH connection is gone.
    pub(crate) fn cut(&self) {
        for carrying in self.0.lock().unwrap().drain(..) {
            carrying.abort();
        }
    }
}

/// Whether the image has the program that `TOOLBOX_RELAY` names; said on stderr, where not.
pub(crate) fn has_relay(test: &str) -> bool {
    let has = std::env::var_os("TOOLBOX_RELAY").is_some();
    if !has {
        eprintln!("{test}: not run, TOOLBOX_RELAY does not name a static toolbox-relay");
    }
    has
}

/// An image like the helper's: the probe, the relay where there is one, and `/state` of the image's user.
fn archive(name: &str) -> Vec<u8> {
    let layer = layer(name);
    let config = json!({
        "os": "linux",
        "architecture": architecture(),
        "config": { "Entrypoint": ["/probe"], "User": "65532:65532", "ExposedPorts": { "9000/tcp": {} } },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
    let (config, manifest) = (config.to_string(), manifest.to_string());
    tarball(&[("layer.tar", &layer), ("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())])
}

/// `name` makes it another one than other tests' images, which would get into each other's way.
fn layer(name: &str) -> Vec<u8> {
    let probe = std::fs::read(compiled("probe")).unwrap();
    let relay = std::env::var_os("TOOLBOX_RELAY").map(|path| std::fs::read(path).unwrap()).unwrap_or_default();
    let mut layer = Builder::new(Vec::new());
    put(&mut layer, "name", 0, EntryType::Regular, name.as_bytes());
    put(&mut layer, "probe", 0, EntryType::Regular, &probe);
    put(&mut layer, "toolbox-relay", 0, EntryType::Regular, &relay);
    put(&mut layer, "state/", 65532, EntryType::Directory, b"");
    put(&mut layer, "state/lock", 65532, EntryType::Regular, b"");
    layer.into_inner().unwrap()
}

fn put(tarball: &mut Builder<Vec<u8>>, path: &str, owner: u64, kind: EntryType, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    tarball.append_data(&mut header, path, content).unwrap();
}

/// A command of the probe.
pub(crate) fn command(arguments: &[&str]) -> Vec<String> {
    ["/probe"].iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}
