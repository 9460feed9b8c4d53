//! What counts as held where images are kept in containerd's store, and that nothing is missing there.

use std::io::Write as _;

use flate2::write::GzEncoder;
use serde_json::{Value, json};
use toolbox::image::Digest;

use crate::deploy;
use crate::engine::{architecture, service, tarball};
use crate::machine::{Kind, Make, READY, Store};
use crate::push::{Setting, noise_of};
use crate::swap::web;

/// An image with the service alone, as registries have it: its layer is compressed.
fn pulled(name: &str) -> Vec<u8> {
    let layer = tarball(&[("service", &std::fs::read(service()).unwrap())]);
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&layer).unwrap();
    let packed = packed.finish().unwrap();
    let config = json!({ "os": "linux", "architecture": architecture(), "config": { "Cmd": ["/service"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] } });
    let (config, oci) = (config.to_string(), "application/vnd.oci.image");
    let blob = |kind: &str, bytes: &[u8]| json!({ "mediaType": format!("{oci}.{kind}"), "digest": Digest::of(bytes), "size": bytes.len() });
    let manifest = json!({ "schemaVersion": 2, "mediaType": format!("{oci}.manifest.v1+json"),
        "config": blob("config.v1+json", config.as_bytes()), "layers": [blob("layer.v1.tar+gzip", &packed)] });
    let manifest = manifest.to_string();
    let mut named: Value = blob("manifest.v1+json", manifest.as_bytes());
    named["annotations"] = json!({ "io.containerd.image.name": format!("docker.io/library/{name}") });
    let index = json!({ "schemaVersion": 2, "mediaType": format!("{oci}.index.v1+json"), "manifests": [named] });
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    tarball(&[
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", index.to_string().as_bytes()),
        (&path(manifest.as_bytes()), manifest.as_bytes()),
        (&path(config.as_bytes()), config.as_bytes()),
        (&path(&packed), &packed),
    ])
}

impl Setting {
    /// What was loaded by one run is known to the next one.
    pub(crate) fn with_cache(mut self) -> Self {
        let cache = self.project.path("cache");
        std::fs::create_dir(&cache).unwrap();
        self.project = self.project.with_variable("TOOLBOX_CACHE", &cache.display().to_string());
        self
    }

    /// Nothing of the image is missing, although all others are gone: it runs, and is saved with all its layers.
    #[track_caller]
    fn is_complete(&self, upper: usize) {
        let engine = self.machine.engine();
        engine.docker(&["image", "prune", "--force"]);
        self.machine.restart_engine();
        self.runs();
        let saved = engine.command(&["save", &self.image]).output().unwrap().stdout.len();
        let lower = std::fs::metadata(service()).unwrap().len() as usize;
        assert!(saved > lower + upper, "{saved} of {}", lower + upper);
    }
}

fn only_what_we_loaded_counts(test: &str, version: &'static str) {
    let Some(setting) = Setting::on(test, Make::Docker(version, Store::Containerd)) else {
        return;
    };
    let (setting, upper) = (setting.with_cache(), 2 << 20);
    let engine = setting.machine.engine();
    engine.load(&pulled("stranger:1"));
    setting.saves(&noise_of(1, upper));
    let dry_run = || setting.project.toolbox(&setting.arguments(&["--dry-run"])).exits(0);
    dry_run().prints("2 of 2 layers");

    // Whoever says otherwise costs the whole image, and no more.
    let id = engine.docker(&["image", "inspect", "--format", "{{.Id}}", "stranger:1"]);
    std::fs::write(setting.project.path("cache/toolbox.loaded"), format!("{id}\n")).unwrap();
    dry_run().prints("1 of 2 layers");
    setting.push().exits(0).tells("sending everything: ");
    setting.runs();
    engine.docker(&["image", "rm", "stranger:1"]);
    setting.is_complete(upper);

    // What we loaded counts, and the older image may go.
    setting.saves(&noise_of(2, upper));
    let run = setting.push().exits(0).tells("1 of 2 layers, 2.1 MB");
    assert!(!run.stderr.contains("sending everything"), "{}", run.stderr);
    setting.is_complete(upper);
    let images = engine.docker(&["image", "ls", "--all", "--quiet"]);
    assert_eq!(images.lines().count(), 1, "{images}");

    // Without the list nothing is known.
    std::fs::remove_file(setting.project.path("cache/toolbox.loaded")).unwrap();
    setting.saves(&noise_of(3, upper));
    dry_run().prints("2 of 2 layers");
}

#[test]
fn only_what_we_loaded_counts_on_engine_26_containerd() {
    only_what_we_loaded_counts("stores-26s", "26");
}

#[test]
fn only_what_we_loaded_counts_on_engine_28_containerd() {
    only_what_we_loaded_counts("stores-28s", "28");
}

#[test]
fn what_was_loaded_stays_known_as_long_as_it_is_deployed() {
    let kind = Kind { make: Make::Docker("28", Store::Containerd), ..READY };
    let Some(setting) = deploy::Setting::new("stores-record", &kind) else {
        return;
    };
    let deploys = |greeting| {
        let kept = "x-toolbox: {keep_releases: 1}\n";
        setting.project.compose(&(web(&setting.image.name, 1, greeting) + kept));
        setting.project.toolbox(&["deploy"]).exits(0).stderr
    };
    // Only the first of these sends an image, and only the last is on record afterwards.
    (1..4).for_each(|greeting| drop(deploys(greeting)));
    setting.image.replace("2");
    let said = deploys(4);
    assert!(said.contains("1 of 2 layers") && !said.contains("sending everything"), "{said}");
}

#[test]
fn image_for_several_platforms_goes_out_of_containerds_store_for_the_one_that_the_host_has() {
    let Some(source) = Setting::on("stores-from", Make::Docker("28", Store::Containerd)) else {
        return;
    };
    let Some(setting) = Setting::on("stores-to", Make::Own) else {
        return;
    };
    let local = source.machine.engine();
    local.load(&for_two_platforms(&setting.image));
    let socket = local.socket().display().to_string();
    let push = ["push", "--local-socket", &socket, &setting.image];
    setting.project.toolbox(&push).exits(0);
    let engine = setting.machine.engine();
    let there = engine.docker(&["image", "inspect", "--format", "{{.Architecture}}", &setting.image]);
    assert_eq!(there, architecture());
    assert_eq!(engine.docker(&["run", "--rm", &setting.image, "say", "here"]), "here");
    setting.project.toolbox(&push).exits(0).prints("changed=0  unchanged=1");
}

/// An image of the service for this platform, and of something else under the same name for another one.
fn for_two_platforms(name: &str) -> Vec<u8> {
    let oci = "application/vnd.oci.image";
    let blob = |kind: &str, bytes: &[u8]| json!({ "mediaType": format!("{oci}.{kind}"), "digest": Digest::of(bytes), "size": bytes.len() });
    let service = std::fs::read(service()).unwrap();
    let (mut files, mut manifests): (Vec<(String, Vec<u8>)>, _) = (Vec::new(), Vec::new());
    for (architecture, file) in [("s390x", &b"another"[..]), (architecture(), &service)] {
        let layer = tarball(&[("service", file)]);
        let config = json!({ "os": "linux", "architecture": architecture, "config": { "Entrypoint": ["/service"] },
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] } });
        let config = config.to_string().into_bytes();
        let manifest = json!({ "schemaVersion": 2, "mediaType": format!("{oci}.manifest.v1+json"),
            "config": blob("config.v1+json", &config), "layers": [blob("layer.v1.tar", &layer)] });
        let manifest = manifest.to_string().into_bytes();
        let mut listed: Value = blob("manifest.v1+json", &manifest);
        listed["platform"] = json!({ "os": "linux", "architecture": architecture });
        manifests.push(listed);
        files.extend(
            [layer, config, manifest].map(|bytes| (format!("blobs/sha256/{}", Digest::of(&bytes).hex()), bytes)),
        );
    }
    let both = json!({ "schemaVersion": 2, "mediaType": format!("{oci}.index.v1+json"), "manifests": manifests });
    let both = both.to_string().into_bytes();
    let mut named: Value = blob("index.v1+json", &both);
    named["annotations"] = json!({ "io.containerd.image.name": format!("docker.io/library/{name}") });
    let index = json!({ "schemaVersion": 2, "mediaType": format!("{oci}.index.v1+json"), "manifests": [named] });
    files.push((format!("blobs/sha256/{}", Digest::of(&both).hex()), both));
    files.push(("index.json".into(), index.to_string().into_bytes()));
    files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    tarball(&files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>())
}
