//! Archives of the real engine: read what it saves, write what it loads, run what came of it.
//!
//! These run where `TOOLBOX_TEST_ENGINE` is set (`./run.sh test` sets it). They need the `docker`
//! command, an engine, and the base image `TOOLBOX_TEST_BASE` (default `debian:trixie-slim`) with a
//! shell. What they make is named `TOOLBOX_TEST_PREFIX` (default `toolbox-it`) and removed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use toolbox::image::{
    Archive, ArchivedImage, DiffId, Digest, Expected, PartialArchive, ReadAt, held_chains, held_prefix, spool,
};

const LIMIT: u64 = 8 << 30;

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The whole output of a docker command that must succeed.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Images of one test, removed with it.
struct Images {
    names: Vec<String>,
}

impl Images {
    /// `None`, said on stderr, where no engine is to be used.
    fn for_test(test: &str, tags: &[&str]) -> Option<Self> {
        if std::env::var_os("TOOLBOX_TEST_ENGINE").is_none() {
            eprintln!("{test}: not run, TOOLBOX_TEST_ENGINE is not set");
            return None;
        }
        let prefix = variable("TOOLBOX_TEST_PREFIX", "toolbox-it");
        let name = |tag: &&str| format!("{prefix}-{test}-{}:{tag}", std::process::id());
        Some(Self { names: tags.iter().map(name).collect() })
    }

    fn build(&self, position: usize, dockerfile: &str) {
        let name = &self.names[position];
        let mut command = Command::new("docker");
        command.args(["build", "--quiet", "--tag", name, "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(dockerfile.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "docker build of {name}");
    }

    fn remove(&self, position: usize) {
        docker(&["image", "rm", "--force", &self.names[position]]);
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        for name in &self.names {
            drop(Command::new("docker").args(["image", "rm", "--force", name]).output());
        }
    }
}

fn save(names: &[&str]) -> Archive<File> {
    let mut command = Command::new("docker");
    let mut child = command.arg("save").args(names).stdout(Stdio::piped()).spawn().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let spooled = spool(child.stdout.take().unwrap(), &mut file, LIMIT, &mut |_| ()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(spooled.written, file.metadata().unwrap().len());
    Archive::open(file).unwrap()
}

fn image<'a>(archive: &'a Archive<File>, name: &str) -> &'a ArchivedImage {
    archive.named(&name.parse().unwrap()).next().expect("the image is in its archive")
}

/// Loads a plan and gives the bytes sent and what the engine said.
fn load(plan: &PartialArchive, archive: &Archive<impl ReadAt>) -> (u64, String) {
    let mut file = tempfile::tempfile().unwrap();
    plan.write_to(archive, &mut file).unwrap();
    let sent = file.stream_position().unwrap();
    assert_eq!(sent, plan.size());
    file.rewind().unwrap();
    let output = Command::new("docker").arg("load").stdin(file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (sent, String::from_utf8_lossy(&said).into_owned())
}

fn inspect(name: &str) -> (String, Vec<DiffId>) {
    let json: Value = serde_json::from_str(&docker(&["image", "inspect", name])).unwrap();
    let layers = json[0]["RootFS"]["Layers"].clone();
    let layers = serde_json::from_value::<Option<Vec<DiffId>>>(layers).unwrap();
    (json[0]["Id"].as_str().unwrap().to_owned(), layers.unwrap_or_default())
}

fn assert_loaded(image: &ArchivedImage, name: &str) {
    let (id, layers) = inspect(name);
    Expected::of(image).check(&id, &layers).unwrap();
}

/// Two layers over the base that all images of a test share, marked so that tests do not meet.
fn dockerfile(mark: &str, top: &str) -> String {
    let base = variable("TOOLBOX_TEST_BASE", "debian:trixie-slim");
    format!(
        "FROM {base}\n\
         RUN head -c 3000000 /dev/urandom > /shared && echo {mark} > /mark\n\
         RUN mkdir /data && echo old > /data/gone && ln /shared /hard && ln -s mark /soft\n\
         {top}"
    )
}

fn run(name: &str, script: &str) -> String {
    docker(&["run", "--rm", "--network", "none", name, "sh", "-c", script])
}

#[test]
fn derived_image_is_loaded_without_the_layers_of_its_base_and_runs() {
    let Some(images) = Images::for_test("partial", &["base", "derived"]) else {
        return;
    };
    let (base, derived) = (&images.names[0], &images.names[1]);
    images.build(0, &dockerfile("partial", ""));
    images
        .build(1, &format!("FROM {base}\nRUN rm /data/gone && echo new > /data/here\nENV X=1\nRUN echo top > /top\n"));
    let archive = save(&[derived]);
    let whole = image(&archive, derived);
    let script = "sha256sum /shared /hard; cat /soft /top /data/here; ls /data; echo $X";
    let before = run(derived, script);
    images.remove(1);

    let held = held_chains([&inspect(base).1[..]]);
    let omitted = held_prefix(&whole.diff_ids(), &held);
    assert_eq!(omitted, whole.layers.len() - 2);
    let (sent, said) = load(&PartialArchive::plan([(whole, omitted)]), &archive);

    assert!(sent < 100_000, "{sent} bytes: {said}");
    assert_loaded(whole, derived);
    assert_eq!(run(derived, script), before);
    assert!(before.contains("\nhere\n") && !before.contains("gone"), "{before}");
    let again = save(&[derived]);
    assert_eq!(image(&again, derived).diff_ids(), whole.diff_ids());
}

#[test]
fn several_images_travel_whole_in_one_archive_with_shared_layers_once() {
    let Some(images) = Images::for_test("whole", &["one", "two"]) else {
        return;
    };
    let (one, two) = (&images.names[0], &images.names[1]);
    images.build(0, &dockerfile("whole", "RUN echo one > /which\n"));
    images.build(1, &dockerfile("whole", "RUN echo two > /which\n"));
    let archive = save(&[one, two]);
    let (first, second) = (image(&archive, one), image(&archive, two));
    images.remove(0);
    images.remove(1);

    let plan = PartialArchive::plan([(first, 0), (second, 0)]);
    let distinct: BTreeSet<_> = [first.diff_ids(), second.diff_ids()].concat().into_iter().collect();
    assert_eq!(plan.layers().count(), distinct.len());
    assert!(distinct.len() < first.layers.len() + second.layers.len());
    let (_, said) = load(&plan, &archive);

    assert_loaded(first, one);
    assert_loaded(second, two);
    assert_eq!((run(one, "cat /which"), run(two, "cat /which")), ("one".into(), "two".into()), "{said}");
}

#[test]
fn change_of_configuration_alone_sends_no_layer() {
    let Some(images) = Images::for_test("config", &["base", "derived"]) else {
        return;
    };
    let (base, derived) = (&images.names[0], &images.names[1]);
    images.build(0, &dockerfile("config", ""));
    images.build(1, &format!("FROM {base}\nENV GREETING=hello\n"));
    let archive = save(&[derived]);
    let whole = image(&archive, derived);
    images.remove(1);

    let held = held_chains([&inspect(base).1[..]]);
    let plan = PartialArchive::plan([(whole, held_prefix(&whole.diff_ids(), &held))]);
    assert_eq!(plan.layers().count(), 0);
    load(&plan, &archive);

    assert_loaded(whole, derived);
    assert_eq!(run(derived, "echo $GREETING"), "hello");
}

#[test]
fn engine_that_lacks_the_omitted_layers_is_found_out_and_a_full_load_repairs_it() {
    let Some(images) = Images::for_test("lacking", &["only"]) else {
        return;
    };
    let name = &images.names[0];
    let archive = Archive::open(made_here(name)).unwrap();
    let whole = &archive.images()[0];

    load(&PartialArchive::plan([(whole, 1)]), &archive);
    // Some engines refuse, some leave a broken image behind and some call that a success.
    if Command::new("docker").args(["image", "inspect", name]).output().unwrap().status.success() {
        let (id, layers) = inspect(name);
        Expected::of(whole).check(&id, &layers).unwrap_err();
        images.remove(0);
    }
    load(&PartialArchive::plan([(whole, 0)]), &archive);
    assert_loaded(whole, name);
}

/// A saved image whose layers no engine can have: they hold the name of this very test run.
fn made_here(name: &str) -> Vec<u8> {
    let layers = ["below", "above"].map(|file| tarball(&[(file, name.as_bytes())]));
    let diff_ids = layers.each_ref().map(|layer| Digest::of(layer));
    let config = json!({ "os": "linux", "architecture": "amd64", "config": { "Cmd": ["/x"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let manifest = json!([{ "Config": "c.json", "RepoTags": [name], "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    let (config, manifest) = (config.to_string(), manifest.to_string());
    tarball(&[
        ("a/layer.tar", &layers[0]),
        ("b/layer.tar", &layers[1]),
        ("c.json", config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ])
}

fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}
