//! Projects of several files: what the corpus of `tests/compose` cannot show, which is what is said of wrong ones.

use super::Directory;
use crate::compose::{LoadRequest, MountSource, load};

const BASE: &str = "services:\n  web: {image: web}\n";

fn problems(files: &[(&str, &str)]) -> String {
    Directory::new(files).problems()
}

#[test]
fn problems_stand_where_the_value_was_written() {
    let over = "services:\n  web:\n    ports: ['x:80']\n    environment: {A: '${GONE:?why}'}\n";
    let said = problems(&[
        ("compose.yaml", "services:\n  web: {image: web, mem_limit: lots}\n"),
        ("compose.override.yml", over),
    ]);
    assert_eq!(
        said,
        "compose.override.yml:3:13: services.web.ports[0]: \"x\" is no port from 1 to 65535 (write [[address:]published:]target[/protocol])\n\
         compose.override.yml:4:22: services.web.environment.A: required variable GONE is missing a value: why (set GONE in .env or in the environment)\n\
         compose.yaml:2:32: services.web.mem_limit: \"lots\" is no size; write bytes, or a number with b, k, m or g, such as 64m"
    );
}

#[test]
fn a_value_that_is_replaced_needs_no_variable() {
    let base = "services:\n  web: {image: 'web:${GONE:?why}', ports: ['${GONE:?why}:80']}\n";
    let over = "services:\n  web: {image: web, ports: !reset [], labels: {a: '$UNSET'}}\n";
    let directory = Directory::new(&[("compose.yaml", base), ("compose.override.yaml", over)]);
    let project = load(&directory.request()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(project.services["web"].image, "web");
    assert_eq!(project.warnings.len(), 1, "{:?}", project.warnings);
}

#[test]
fn files_that_are_named_alone_have_no_override() {
    let over = "services: {web: {image: other}}\n";
    let directory = Directory::new(&[("compose.yaml", BASE), ("compose.override.yaml", over)]);
    let request = LoadRequest { files: vec![directory.0.path().join("compose.yaml")], ..directory.request() };
    assert_eq!(load(&request).unwrap().services["web"].image, "web");
    assert_eq!(load(&directory.request()).unwrap().services["web"].image, "other");
    assert_eq!(load(&directory.request()).unwrap().files.len(), 2);
}

#[test]
fn values_of_different_shapes_are_not_merged() {
    for (base, over, expected) in [
        (
            "services:\n  web: {image: web, ports: ['80:80']}\n",
            "services:\n  web: {ports: {a: 1}}\n",
            "2:16: services.web.ports: is a mapping here and a list in compose.yaml:2 (write both in one form, or !override before this one)",
        ),
        (
            BASE,
            "services: [web]\n",
            "1:11: services: is a list here and a mapping in compose.yaml:2 (write both in one form, or !override before this one)",
        ),
        (BASE, "services:\n  web: !vault {a: b}\n", "2:8: services.web: the tag !vault is not supported"),
    ] {
        let said = problems(&[("compose.yaml", base), ("compose.override.yaml", over)]);
        assert!(said.lines().any(|line| line == format!("compose.override.yaml:{expected}")), "{over}\n{said}");
    }
}

#[test]
fn wrong_extends_are_named() {
    for (files, expected) in [
        (
            &[("compose.yaml", "services:\n  a: {extends: b}\n  b: {extends: {service: c}}\n  c: {extends: a}\n")][..],
            "compose.yaml:4:16: services.c.extends: the services extend each other in a circle: a -> b -> c -> a",
        ),
        (
            &[("compose.yaml", "services:\n  a: {extends: a}\n")],
            "compose.yaml:2:16: services.a.extends: the services extend each other in a circle: a -> a",
        ),
        (
            &[
                ("compose.yaml", "services:\n  a: {extends: {file: x/o.yaml, service: b}}\n"),
                ("x/o.yaml", "services:\n  b: {extends: {file: ../compose.yaml, service: a}}\n"),
            ],
            "x/o.yaml:2:16: services.b.extends: the services extend each other in a circle: a of compose.yaml -> b of x/o.yaml -> a of compose.yaml",
        ),
        (
            &[("compose.yaml", "services:\n  a: {image: i, extends: gone}\n")],
            "compose.yaml:2:26: services.a.extends: the service \"gone\" is not defined in compose.yaml",
        ),
        (
            &[("compose.yaml", "services:\n  a: {image: i, extends: {file: gone.yaml, service: b}}\n")],
            "compose.yaml:2:26: services.a.extends: gone.yaml: cannot open: No such file or directory (os error 2)",
        ),
        (
            &[("compose.yaml", "services:\n  a: {image: i, extends: {file: o.yaml}}\n")],
            "compose.yaml:2:26: services.a.extends: service is missing (name the service to extend)",
        ),
        (
            &[
                ("compose.yaml", "services:\n  a: {extends: {file: o.yaml, service: b}}\n"),
                ("o.yaml", "services:\n  b: {image: i, prots: [1]}\n"),
            ],
            "o.yaml:2:17: services.b.prots: unknown key (did you mean ports?)",
        ),
    ] {
        let said = problems(files);
        assert!(said.lines().any(|line| line == expected), "{files:?}\n{said}");
    }
}

#[test]
fn a_long_row_of_extends_is_refused_and_not_followed_to_the_end() {
    let services: String = (0..100).map(|n| format!("  s{n}: {{image: i, extends: s{}}}\n", n + 1)).collect();
    let said = problems(&[("compose.yaml", &format!("services:\n{services}  s5000: {{image: i}}\n"))]);
    assert!(said.contains("more than 32 services extend each other in a row"), "{}", &said[..300]);
}

#[test]
fn wrong_includes_are_named() {
    for (files, expected) in [
        (
            &[
                ("compose.yaml", "include: [a.yaml]\n"),
                ("a.yaml", "include: [b.yaml]\n"),
                ("b.yaml", "include: [a.yaml]\n"),
            ][..],
            "b.yaml:1:11: include[0]: the files include each other: compose.yaml -> a.yaml -> b.yaml -> a.yaml",
        ),
        (
            &[("compose.yaml", "include: [gone.yaml]\nservices: {a: {image: i}}\n")],
            "compose.yaml:1:11: include[0]: gone.yaml: cannot open: No such file or directory (os error 2)",
        ),
        (
            &[("compose.yaml", "include: [{env_file: x}]\nservices: {a: {image: i}}\n")],
            "compose.yaml:1:11: include[0]: path is missing (name the file to include)",
        ),
        (
            &[
                ("compose.yaml", "include: [a.yaml]\nservices:\n  web: {image: one}\n"),
                ("a.yaml", "services:\n  web: {image: two}\n"),
            ],
            "compose.yaml:3:3: services.web: is defined differently in a.yaml:2, which is included (rename one of them, or change the included one in compose.override.yaml)",
        ),
        (
            &[("compose.yaml", "include: [{path: a.yaml, env_file: no.env}]\n"), ("a.yaml", BASE)],
            "compose.yaml:1:36: include[0].env_file: no.env: cannot open: No such file or directory (os error 2)",
        ),
        (
            &[
                ("compose.yaml", "include: [a.yaml]\n"),
                ("a.yaml", "services: {a: {image: i}}\nx-toolbox: {batch: 2}\n"),
            ],
            "a.yaml:2:12: x-toolbox: is read in the project's own files only, not in included ones",
        ),
    ] {
        let said = problems(files);
        assert!(said.lines().any(|line| line == expected), "{files:?}\n{said}");
    }
}

#[test]
fn the_same_definition_may_be_included_twice() {
    let files = [
        ("compose.yaml", "include: [a/c.yaml, b.yaml]\nservices:\n  web: {image: i, networks: [n]}\n"),
        ("a/c.yaml", "include: [../b.yaml]\n"),
        ("b.yaml", "services:\n  db: {image: db, networks: [n]}\nnetworks: {n: {internal: true}}\n"),
    ];
    let project = load(&Directory::new(&files).request()).unwrap();
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["db", "web"]);
    assert!(project.networks["n"].internal);
}

#[test]
fn an_override_changes_what_is_included() {
    let files = [
        ("compose.yaml", "include: [sub/a.yaml]\n"),
        ("compose.override.yaml", "services: {web: {image: over}}\n"),
        ("sub/a.yaml", "services: {web: {image: one, volumes: ['./d:/d']}}\n"),
    ];
    let directory = Directory::new(&files);
    let web = load(&directory.request()).unwrap().services.remove("web").unwrap();
    assert_eq!(web.image, "over");
    let expected = directory.0.path().join("sub/d");
    assert!(matches!(&web.mounts[0].source, MountSource::Bind { path, .. } if *path == expected.to_string_lossy()));
}

#[test]
fn environment_files_are_named_where_they_are_missing() {
    let directory = Directory::new(&[("compose.yaml", BASE)]);
    let request = LoadRequest { env_files: vec![directory.0.path().join("no.env")], ..directory.request() };
    let said = directory.told(&load(&request).unwrap_err());
    assert_eq!(said, "no.env: cannot open: No such file or directory (os error 2)");
}

#[test]
fn labels_come_from_files_below_the_services_own() {
    let files = [
        ("compose.yaml", "services:\n  web: {image: i, label_file: [a.labels], labels: {B: own}}\n"),
        ("a.labels", "A=file\nB=file\n"),
    ];
    let labels = load(&Directory::new(&files).request()).unwrap().services.remove("web").unwrap().labels;
    assert_eq!(labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["A=file", "B=own"]);
}

#[test]
fn raw_environment_files_are_taken_as_they_stand() {
    let files = [
        ("compose.yaml", "services:\n  web: {image: i, env_file: [{path: a.env, format: raw}]}\n"),
        ("a.env", "A='$SET' # x\n"),
    ];
    let service = load(&Directory::new(&files).request()).unwrap().services.remove("web").unwrap();
    assert_eq!(service.environment["A"], "'$SET' # x");
}
