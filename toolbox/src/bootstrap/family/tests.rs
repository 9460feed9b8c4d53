//! The scripts, with stand-ins for the package managers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use super::*;

/// A directory with this program in it, which also writes its arguments and its proxy down.
fn host(name: &str, script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    let log = "printf '%s|%s\\n' \"$*\" \"${http_proxy-}\" >>\"${0%/*}/calls\"";
    fs::write(&path, format!("#!/bin/sh\n{log}\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn install(host: &Path, family: &Family, proxy: Option<u16>) -> (Output, Vec<String>) {
    let path = format!("{}:/usr/bin:/bin", host.display());
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &family.installer(proxy)]).env("PATH", path).output().unwrap();
    let calls = fs::read_to_string(host.join("calls")).unwrap();
    (output, calls.lines().map(str::to_owned).collect())
}

#[test]
fn every_script_is_one_of_a_posix_shell_and_gets_the_proxy() {
    for family in ALL {
        let script = family.installer(Some(8080));
        assert!(script.starts_with("proxy='http://127.0.0.1:8080'\n"), "{script}");
        assert!(family.installer(None).starts_with("proxy=''\n"));
        let read = Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
        assert!(read.status.success() && read.stderr.is_empty(), "{}: {read:?}", family.name);
    }
}

#[test]
fn fedora_gets_moby_engine_with_its_command_line_where_that_is_a_package() {
    let host = host("dnf", ":");
    let (output, calls) = install(host.path(), &dnf::DNF, None);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(calls.last().unwrap(), "-q install -y moby-engine docker-cli|");
}

#[test]
fn amazon_linux_gets_docker_through_the_proxy() {
    let host = host("dnf", "case $* in *'list docker') exit 0;; *list*) exit 1;; esac");
    let (output, calls) = install(host.path(), &dnf::DNF, Some(81));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(calls.last().unwrap(), "-q --setopt=proxy=http://127.0.0.1:81 install -y docker|");
}

#[test]
fn a_dnf_that_offers_nothing_says_why() {
    let host = host("dnf", "case $* in *list*) exit 1;; *makecache*) echo 'Could not resolve host: a'; exit 1;; esac");
    let (output, _) = install(host.path(), &dnf::DNF, None);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "Could not resolve host: a\nNo match for argument: moby-engine\n");
}

#[test]
fn alpine_gets_docker_through_the_proxy_also_with_an_old_list() {
    let host = host("apk", "case $* in *update*) exit 1;; esac");
    let (output, calls) = install(host.path(), &apk::APK, Some(81));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(calls.last().unwrap(), "--wait 300 --no-progress add docker|http://127.0.0.1:81");
}
