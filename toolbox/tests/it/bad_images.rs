//! Images that are nowhere, tarballs that are none, and hosts without room for them.

use std::fs;

use crate::deploy::Setting;
use crate::engine::{archive, archive_with, tarball};
use crate::machine::{Kind, READY};
use crate::project::Project;

#[test]
fn image_that_exists_nowhere_is_named_with_its_service_and_how_to_get_it() {
    let Some(setting) = Setting::new("nowhere", &READY) else {
        return;
    };
    setting.project.compose("services:\n  web:\n    image: nowhere/web:3\n  api:\n    image: api-3\n    build: .\n");
    let run = setting.project.toolbox(&["deploy"]).exits(2);
    assert_eq!(run.errors(), 2, "{}", run.stderr);
    run.error(&["vm: service web: image nowhere/web:3 is neither here nor on the host"])
        .hint(&["docker pull nowhere/web:3"])
        .error(&["vm: service api: image api-3 is neither here nor on the host"])
        .hint(&["docker compose build api"]);
}

/// A project with these bytes as `images.tar`; its host is never asked.
fn with_tarball(test: &str, bytes: &[u8]) -> Project {
    let directory = tempfile::tempdir().unwrap();
    let key = crate::sshd::KeyPair::generate(directory.path(), "key", "ed25519");
    let project = Project::new(test);
    project.compose("services:\n  web:\n    image: web\n");
    project.host("root", 1, "");
    fs::copy(&key.private, project.path("key")).unwrap();
    fs::write(project.path("images.tar"), bytes).unwrap();
    project.with_key(Some(std::path::Path::new("key")))
}

#[test]
fn files_that_are_no_saved_images_are_refused_by_what_they_are() {
    let whole = archive("web:latest", "1");
    let export = tarball(&[("bin/sh", b"x"), ("etc/passwd", b"root"), ("usr/lib/x", b"x"), ("var/x", b"x")]);
    let cases: [(&str, &[u8], &str, &str); 5] = [
        ("cut", &whole[..whole.len() / 2], "is cut short", "save or copy the images again"),
        ("text", &[b'x'; 2000], "not a tar archive", "docker save"),
        ("empty", b"", "is empty", "save or copy the images again"),
        ("export", &export, "`docker export`", "docker save"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "cut short", "save or copy the images again"),
    ];
    for (test, bytes, words, hint) in cases {
        with_tarball(test, bytes)
            .toolbox(&["deploy", "--images", "images.tar"])
            .exits(2)
            .error(&["images.tar: ", words])
            .hint(&[hint]);
    }
}

#[test]
fn missing_tarball_and_missing_local_engine_are_told_apart() {
    let project = with_tarball("none", b"");
    let run = project.toolbox(&["deploy", "--images", "other.tar"]).exits(2);
    run.error(&["other.tar: No such file"]);
    let run = project.toolbox(&["deploy", "--local-socket", "/nowhere/docker.sock"]).exits(2);
    run.error(&["the local container engine (/nowhere/docker.sock)", "No such file"])
        .hint(&["start Docker here", "--images FILE"]);
}

#[test]
fn tarball_without_the_wanted_image_is_told_so() {
    let Some(setting) = Setting::new("otherimage", &READY) else {
        return;
    };
    fs::write(setting.project.path("images.tar"), archive("other:latest", "1")).unwrap();
    let run = setting.project.toolbox(&["deploy", "--images", "images.tar"]).exits(2);
    run.error(&["service web: image", "is neither"]);
}

#[test]
fn host_without_room_is_found_before_the_first_byte_is_sent() {
    let kind = Kind { data: "/srv/engine", disk: "2m", ..READY };
    let Some(setting) = Setting::new("noroom", &kind) else {
        return;
    };
    setting
        .project
        .toolbox(&["deploy"])
        .exits(1)
        .error(&["vm: the images need ", " MB on the host's disk, ", "are free"])
        .hint(&["docker image prune"]);
    let engine = setting.machine.engine();
    assert_eq!(engine.docker(&["images", "--quiet"]), "");
    assert!(engine.all_containers(&setting.project.name).is_empty());
}

#[test]
fn disk_that_fills_up_while_images_are_loaded_leaves_nothing_tagged() {
    // Room enough by bytes, which is all that can be seen before, and not for this many files.
    let kind = Kind { disk: "512m,nr_inodes=1500", ..READY };
    let Some(setting) = Setting::new("full", &kind) else {
        return;
    };
    let names: Vec<String> = (0..3000).map(|n| format!("file{n}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    fs::write(setting.project.path("images.tar"), archive_with(&setting.image.name, &files)).unwrap();
    setting
        .project
        .toolbox(&["deploy", "--images", "images.tar"])
        .exits(1)
        .error(&["vm: loading images: ", "no space left on device", "the images need", "are free now"])
        .hint(&["make room on the host", "df -i"])
        .prints("failed, nothing changed");
    // The helper, which is sent before, stays for the next deploy.
    let engine = setting.machine.engine();
    assert_eq!(engine.docker(&["images", "--format", "{{.Repository}}"]), "toolbox-relay");
    assert!(engine.containers(&setting.project.name).is_empty());
}
