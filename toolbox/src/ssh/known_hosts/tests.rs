//! Lines of every form against the hosts that they are, or are not, about.

use std::path::PathBuf;

use super::*;
use crate::ssh_config::glob;

const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJphuN+18WoyvNeAUK2Pw3kWFHGlJsxVVsZWdUOFvC9rOGpM/TBfu3BIF2MIOQCnQ/k+gsQDB+6jpVzL2HnK16Q=";

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add_file(Path::new("/kh"), text);
    known
}

/// Whether a line with these hosts is about `address` and `port`.
fn about(hosts: &str, address: &str, port: u16) -> bool {
    let known = known(&format!("{hosts} {ECDSA} a comment of several words\n"));
    assert_eq!(known.skipped(), [], "{hosts}");
    known.about(&host_name(address, port)).count() == 1
}

#[test]
fn lines_are_about_the_hosts_that_they_name() {
    let table = [
        ("web", "web", 22, true),
        ("web", "db", 22, false),
        ("web", "web", 2222, false),
        ("[web]:2222", "web", 2222, true),
        ("[web]:2222", "web", 22, false),
        ("[WEB]:2222", "web", 2222, true),
        ("Web.Example.COM", "wEB.example.com", 22, true),
        ("db,web,10.0.0.5", "10.0.0.5", 22, true),
        ("::1", "::1", 22, true),
        ("[::1]:2222", "::1", 2222, true),
        ("*.example.com", "web.example.com", 22, true),
        ("*.example.com", "example.com", 22, false),
        ("web?", "web1", 22, true),
        ("web?", "web12", 22, false),
        ("*", "anything", 2222, true),
        ("[*.example.com]:2222", "web.example.com", 2222, true),
        ("*.example.com,!web.example.com", "web.example.com", 22, false),
        ("!web.example.com,*.example.com", "web.example.com", 22, false),
        ("*.example.com,!web.example.com", "db.example.com", 22, true),
        ("!web", "db", 22, false),
        // Written by `ssh-keygen -H` for Web.Example.com and [web.example.com]:2222.
        ("|1|ooasV6hT39RRsh6KxhmSwaRtoW8=|hT6RKJZSI0HfvfbGLaJr55876mM=", "web.example.com", 22, true),
        ("|1|ooasV6hT39RRsh6KxhmSwaRtoW8=|hT6RKJZSI0HfvfbGLaJr55876mM=", "WEB.example.com", 22, true),
        ("|1|ooasV6hT39RRsh6KxhmSwaRtoW8=|hT6RKJZSI0HfvfbGLaJr55876mM=", "web.example.com", 2222, false),
        ("|1|ooasV6hT39RRsh6KxhmSwaRtoW8=|hT6RKJZSI0HfvfbGLaJr55876mM=", "web.example.org", 22, false),
        ("|1|GMzWCjpT2a1CrE91bJyvdkI5oQw=|9Xdn5oK9qfoSUka5iwW+33tv+Xc=", "web.example.com", 2222, true),
    ];
    for (hosts, address, port, expected) in table {
        assert_eq!(about(hosts, address, port), expected, "{hosts} about {address} port {port}");
    }
}

#[test]
fn white_space_comments_and_line_ends_do_not_matter() {
    let texts = [
        format!("web {ECDSA}"),
        format!("\tweb\t{}  some one@some where\r\n", ECDSA.replace(' ', "\t \t")),
        format!("# web {ECDSA}\n\n   \n  # indented\n  web  {ECDSA}\n"),
        format!("@revoked \t web {ECDSA}"),
    ];
    for text in texts {
        let known = known(&text);
        assert_eq!(known.about("web").count(), 1, "{text:?}");
        assert_eq!(known.skipped(), [], "{text:?}");
    }
}

#[test]
fn markers_are_told_apart() {
    let known = known(&format!("@revoked web {ECDSA}\n@cert-authority web {ECDSA}\nweb {ECDSA}\n"));
    let markers: Vec<_> = known.about("web").map(Entry::marker).collect();
    assert_eq!(markers, [Some(Marker::Revoked), Some(Marker::CertAuthority), None]);
}

#[test]
fn a_malformed_line_is_skipped_with_its_place_and_hides_no_other() {
    let malformed = [
        "web",
        "web ssh-ed25519",
        "web ssh-ed25519 not-base64!",
        "web ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAA",
        "web 2048 65537 1234567890",
        "@trusted web ssh-ed25519 AAAA",
        "@revoked",
        "|1|xx|yy ssh-ed25519 AAAA",
        "|2|c2FsdA==|aGFzaA== ssh-ed25519 AAAA",
    ];
    for line in malformed {
        let known = known(&format!("{line}\nweb {ECDSA}\n"));
        assert_eq!(known.about("web").count(), 1, "{line}");
        let [skipped] = known.skipped() else { panic!("{line} was not skipped") };
        assert_eq!(skipped.place.to_string(), "/kh:1");
        assert!(!skipped.reason.is_empty());
    }
}

#[test]
fn places_count_lines_from_one() {
    let known = known(&format!("\n# x\nweb {ECDSA}\n"));
    assert_eq!(known.about("web").next().unwrap().place().to_string(), "/kh:3");
}

#[test]
fn missing_and_empty_files_are_fine_and_remembered() {
    let files = [PathBuf::from("/nonexistent/known_hosts"), PathBuf::from("/dev/null")];
    let known = KnownHosts::load(&files).unwrap();
    assert_eq!(known.files(), files);
    assert_eq!(known.about("web").count(), 0);
}

#[test]
fn bytes_that_are_no_text_hide_only_their_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), [b"\xff\xfe \xff\n".as_slice(), format!("web {ECDSA}\n").as_bytes()].concat()).unwrap();
    let known = KnownHosts::load(&[file.path().to_owned()]).unwrap();
    assert_eq!(known.about("web").count(), 1);
    assert_eq!(known.skipped().len(), 1);
}

#[test]
fn an_unreadable_file_is_an_error_that_names_it() {
    // A directory cannot be read as a file, by root neither.
    let directory = tempfile::tempdir().unwrap();
    let error = KnownHosts::load(&[directory.path().to_owned()]).unwrap_err();
    assert!(matches!(&error, SshError::KnownHostsUnreadable { file, .. } if file == directory.path()));
    assert!(error.hint().unwrap().contains("chmod"));
}

#[test]
fn pins_are_about_their_host_whatever_it_is_called() {
    let known = KnownHosts::pinned("vm", &[format!("{ECDSA} root@vm"), format!("@revoked {ECDSA}")]).unwrap();
    assert_eq!(known.about("[10.0.0.5]:2222").count(), 2);
    assert_eq!(known.about("x").next().unwrap().place().to_string(), "toolbox_host_key of vm in the inventory");
}

#[test]
fn a_malformed_pin_is_an_error_that_names_host_and_line() {
    for line in ["", "ssh-ed25519", "vm ssh-ed25519 AAAA", "SHA256:abc", "@x ssh-ed25519 AAAA"] {
        let error = KnownHosts::pinned("vm", &[line.to_owned()]).unwrap_err();
        assert!(matches!(&error, SshError::PinMalformed { name, line: given, .. } if name == "vm" && given == line));
    }
}

#[test]
fn matching_takes_no_exponential_time() {
    let pattern = format!("{}b", "*a".repeat(200));
    assert!(!glob(&pattern, &"a".repeat(2000)));
}
