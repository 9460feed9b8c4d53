//! Configs and secrets: what they hold, where they stand, and what is said of wrong ones.

use super::{Directory, loaded};
use crate::compose::{FileMount, load};

const APP: &str = "services:\n  app:\n    image: i\n";

fn digest(text: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(text))
}

fn mount(key: &str, target: &str) -> FileMount {
    FileMount { key: key.into(), target: target.into(), uid: 0, gid: 0, mode: 0o444 }
}

#[test]
fn contents_come_from_files_variables_and_the_file_itself() {
    let text = format!(
        "{APP}    secrets: [a, b]\n    configs: [c]\nsecrets:\n  a: {{file: ./sub/a.txt}}\n  b: {{environment: SET}}\n  unused: {{file: ./gone}}\nconfigs:\n  c: {{content: \"x=${{SET}} $$y\"}}\n"
    );
    let directory = Directory::new(&[("compose.yaml", &text), ("sub/a.txt", "\u{0}bytes\n")]);
    let project = load(&directory.request()).unwrap();
    for (object, expected) in [
        (&project.secrets["a"], "\u{0}bytes\n"),
        (&project.secrets["b"], "value"),
        (&project.configs["c"], "x=value $y"),
    ] {
        assert_eq!((&**object.content.0, &*object.digest), (expected.as_bytes(), &*digest(expected)));
    }
    assert_eq!(project.secrets.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn contents_are_in_no_output() {
    let project = loaded(&format!("{APP}    configs: [c]\nconfigs: {{c: {{content: hunter2}}}}\n"));
    let shown = format!("{project:?}{}", serde_json::to_string(&project).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("Content(7 bytes)") && shown.contains(&digest("hunter2")), "{shown}");
}

#[test]
fn targets_owners_and_modes_have_the_specifications_defaults() {
    let project = loaded(&format!(
        "{APP}    secrets: [a, {{source: a, target: b.key, uid: '7', gid: 8, mode: 0400}}, {{source: a, target: /etc/c}}]\n    configs: [d, {{source: d, target: /e}}, {{source: d, target: f/g}}]\nsecrets: {{a: {{environment: SET}}}}\nconfigs: {{d: {{content: x}}}}\n"
    ));
    let app = &project.services["app"];
    let owned = FileMount { uid: 7, gid: 8, mode: 0o400, ..mount("a", "/run/secrets/b.key") };
    assert_eq!(app.secrets, [mount("a", "/run/secrets/a"), owned, mount("a", "/etc/c")]);
    assert_eq!(app.configs, [mount("d", "/d"), mount("d", "/e"), mount("d", "/f/g")]);
}

#[test]
fn wrong_files_are_named_with_the_next_step() {
    for (body, rest, expected) in [
        (
            "secrets: [a]",
            "secrets: {a: {file: ./gone.txt}}",
            "5:21: secrets.a.file: cannot read DIR/gone.txt: No such file or directory (os error 2) (look at it: ls -l DIR/gone.txt)",
        ),
        (
            "secrets: [a]",
            "secrets: {a: {file: .}}",
            "5:21: secrets.a.file: cannot read DIR: Is a directory (os error 21) (look at it: ls -l DIR)",
        ),
        (
            "secrets: [a]",
            "secrets: {a: {environment: NONE}}",
            "5:28: secrets.a.environment: the variable NONE is not set (set NONE in .env or in the environment)",
        ),
        (
            "secrets: [a]",
            "secrets: {a: {external: true}}",
            "5:15: secrets.a.external: not supported: only Swarm keeps configs and secrets; give file, environment or (for a config) content",
        ),
        (
            "secrets: [a]",
            "secrets: {a: {content: x}}",
            "5:15: secrets.a.content: not supported: a secret must not stand in the file; give file or environment",
        ),
        (
            "configs: [a]",
            "configs: {a: {file: x, content: y}}",
            "5:14: configs.a: must have exactly one of file, environment, content",
        ),
        ("configs: [a]", "configs: {a: }", "5:12: configs.a: must have exactly one of file, environment, content"),
        (
            "configs: [b]",
            "configs: {a: {content: x}}",
            "4:15: services.app.configs[0]: the config \"b\" is not defined (declare it under the top-level configs:)",
        ),
        ("configs: [{target: /x}]", "", "4:15: services.app.configs[0]: source is missing"),
        (
            "configs: [{source: a, mode: 444}]",
            "configs: {a: {content: x}}",
            "4:33: services.app.configs[0].mode: \"444\" is no mode in octal; write it with a leading zero, such as 01777",
        ),
        (
            "configs: [a, {source: a, target: /a}]",
            "configs: {a: {content: x}}",
            "4:18: services.app.configs[1]: two mounts at /a",
        ),
        (
            "configs: [a]",
            "configs: {a: {file: large}}",
            "5:21: configs.a.file: larger than 1048576 bytes (put it into the image or into a volume)",
        ),
    ] {
        let large = "x".repeat(1024 * 1024 + 1);
        let directory = Directory::new(&[("compose.yaml", &format!("{APP}    {body}\n{rest}\n")), ("large", &large)]);
        let expected = expected.replace("DIR/", "").replace("DIR", &directory.0.path().display().to_string());
        assert_eq!(directory.problems(), format!("compose.yaml:{expected}"), "{body} {rest}");
    }
}

#[test]
fn a_missing_file_of_a_service_under_another_profile_is_no_problem() {
    let text = format!("{APP}  b: {{image: i, profiles: [p], secrets: [s]}}\nsecrets: {{s: {{file: ./gone}}}}\n");
    assert!(loaded(&text).secrets.is_empty());
}

#[test]
fn the_fingerprint_follows_content_place_and_owner_and_not_the_name() {
    let hash = |mount: &str, key: &str, content: &str| {
        let project = loaded(&format!("{APP}    configs: [{mount}]\nconfigs: {{{key}: {{content: {content}}}}}\n"));
        serde_json::to_string(&project.services["app"].canonical(&project)).unwrap()
    };
    let base = hash("{source: a, target: /t}", "a", "one");
    assert_eq!(base, hash("{source: b, target: /t}", "b", "one"));
    for (mount, content) in [
        ("{source: a, target: /t}", "two"),
        ("{source: a, target: /u}", "one"),
        ("{source: a, target: /t, uid: 5}", "one"),
        ("{source: a, target: /t, gid: 5}", "one"),
        ("{source: a, target: /t, mode: 0400}", "one"),
    ] {
        assert_ne!(base, hash(mount, "a", content), "{mount} {content}");
    }
}
