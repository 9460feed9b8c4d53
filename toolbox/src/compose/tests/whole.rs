//! Projects as a whole: files, names, profiles, variables, order, fingerprints.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Directory, loaded, try_load, web};
use crate::compose::{LoadRequest, MountSource, Project, load};

const CLOCK: &str = include_str!("clock.yaml");

#[test]
fn the_clock_has_two_services_without_a_profile() {
    let project = loaded(CLOCK);
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["clock-backend", "frontend"]);
    assert_eq!(project.start_order(), [["clock-backend"], ["frontend"]]);
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!(project.networks["default"].name, "shop_default");
    assert!(project.volumes.is_empty());
    assert!(project.warnings.is_empty());
    let frontend = &project.services["frontend"];
    assert_eq!(frontend.toolbox.verify.as_deref(), Some("http://localhost:80/clock"));
    assert_eq!(frontend.tmpfs["/tmp"], "");
    assert_eq!(project.services["clock-backend"].environment["CLOCK_LOG"], "info");
}

#[test]
fn profiles_that_are_asked_for_enable_services_with_what_they_use() {
    let project = try_load(CLOCK, &["demo"]).unwrap();
    assert!(project.services.contains_key("vm") && !project.services.contains_key("toolbox"));
    assert_eq!(project.volumes.keys().collect::<Vec<_>>(), ["vm-disk", "vm-known-hosts"]);
    assert_eq!(project.volumes["vm-disk"].name, "shop_vm-disk");
    let all = try_load(CLOCK, &["*"]).unwrap();
    assert_eq!(all.services.len(), 4);
    assert_eq!(all.services["toolbox"].environment["COMPOSE_PROJECT_NAME"], "shop");
    let sources: Vec<_> = all.services["toolbox"].mounts.iter().map(|mount| &mount.source).collect();
    assert!(matches!(sources[0], MountSource::Bind { path, .. } if *path == all.working_dir.to_string_lossy()));
}

#[test]
fn a_service_under_another_profile_may_need_what_is_not_there() {
    let text = web("x-note: 1")
        + "  db:\n    profiles: [db]\n    image: ${DB:?set DB}\n    secrets: [a]\n    ports: nonsense\n";
    assert_eq!(loaded(&text).services.len(), 1);
    let said = try_load(&text, &["db"]).unwrap_err();
    assert_eq!(
        said,
        "compose.yaml:7:12: services.db.image: required variable DB is missing a value: set DB \
         (set DB in .env or in the environment)\n\
         compose.yaml:8:15: services.db.secrets[0]: the secret \"a\" is not defined \
         (declare it under the top-level secrets:)\n\
         compose.yaml:9:12: services.db.ports: must be a list, not a single value"
    );
    let misspelt = web("x-note: 1") + "  db:\n    profiles: [db]\n    imgae: x\n";
    assert_eq!(
        try_load(&misspelt, &[]).unwrap_err(),
        "compose.yaml:7:5: services.db.imgae: unknown key (did you mean image?)"
    );
}

fn name_of(files: &[(&str, &str)], asked: Option<&str>, variable: Option<&str>) -> Result<String, String> {
    let directory = Directory::new(files);
    let mut request = LoadRequest { project_name: asked.map(str::to_owned), ..directory.request() };
    request.environment.extend(variable.map(|name| ("COMPOSE_PROJECT_NAME".to_owned(), name.to_owned())));
    load(&request).map(|project| project.name).map_err(|problems| directory.told(&problems))
}

#[test]
fn the_project_name_comes_from_the_first_source_that_has_one() {
    let named = ("compose.yaml", "name: ${N:-file}\nservices: {a: {image: i}}\n");
    let unnamed = ("compose.yaml", "services: {a: {image: i}}\n");
    let env = (".env", "COMPOSE_PROJECT_NAME=dotenv\n");
    assert_eq!(name_of(&[named, env], Some("asked"), Some("environment")).unwrap(), "asked");
    assert_eq!(name_of(&[named, env], None, Some("environment")).unwrap(), "environment");
    assert_eq!(name_of(&[named, env], None, None).unwrap(), "dotenv");
    assert_eq!(name_of(&[named], None, None).unwrap(), "file");
    assert!(name_of(&[unnamed], None, None).unwrap().starts_with("shop"));
    assert_eq!(
        name_of(&[unnamed], Some("Shop"), None).unwrap_err(),
        "compose.yaml: the project name asked for is \"Shop\", which is no project name \
         (a project name holds only a-z, 0-9, - and _ and starts with a letter or a digit)"
    );
}

#[test]
fn the_environment_goes_before_dotenv_and_unset_variables_are_warned_of() {
    let directory = Directory::new(&[
        ("compose.yml", "services:\n  a:\n    image: i:$TAG\n    environment: [SET, OTHER, NONE, \"X=${MISSING}\"]\n"),
        (".env", "TAG=7\nSET=from-dotenv\nOTHER=\"o $SET\"\n"),
    ]);
    let project = load(&directory.request()).unwrap();
    let service = &project.services["a"];
    assert_eq!(service.image, "i:7");
    let environment: Vec<_> = service.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(environment, ["OTHER=o value", "SET=value", "X="]);
    assert_eq!(project.warnings.len(), 1);
    assert!(project.warnings[0].ends_with(
        "compose.yml:4:37: services.a.environment[3]: the variable MISSING is not set, an empty text takes its place"
    ), "{:?}", project.warnings);
}

#[test]
fn env_files_stand_below_environment() {
    let directory = Directory::new(&[
        (
            "compose.yaml",
            "services:\n  a:\n    image: i\n    env_file: [one.env, {path: two.env}, {path: no.env, required: false}]\n    environment: {B: own}\n",
        ),
        ("one.env", "A=1\nB=1\nC=1\n"),
        ("two.env", "C=2 # later wins\nD=$C-$SET\n"),
    ]);
    let project = load(&directory.request()).unwrap();
    let environment: Vec<_> = project.services["a"].environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(environment, ["A=1", "B=own", "C=2", "D=2-value"]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let empty = Directory::new(&[]);
    let said = empty.told(&load(&empty.request()).unwrap_err());
    assert!(
        said.contains("no compose file here (compose.yaml, compose.yml, docker-compose.yaml, docker-compose.yml)"),
        "{said}"
    );

    let missing = LoadRequest { files: vec!["/nowhere/c.yaml".into()], ..empty.request() };
    assert_eq!(
        load(&missing).unwrap_err().to_string(),
        "/nowhere/c.yaml: cannot open: No such file or directory (os error 2)"
    );

    let large = Directory::new(&[("compose.yaml", &"#".repeat(1024 * 1024 + 1))]);
    assert_eq!(large.told(&load(&large.request()).unwrap_err()), "compose.yaml: larger than 1048576 bytes");
}

fn hash(text: &str) -> String {
    let project = loaded(text);
    serde_json::to_string(&project.services["web"].canonical(&project)).unwrap()
}

const BASE: &str = "image: i\ncap_add: [A, B]\nenvironment: {X: '1'}\nvolumes: ['v:/v']\nnetworks: [n]";

fn with(body: &str, rest: &str) -> String {
    let indented: String = body.lines().map(|line| format!("    {line}\n")).collect();
    format!("services:\n  web:\n{indented}  db: {{image: d}}\n{rest}")
}

#[test]
fn the_fingerprint_is_stable_and_ignores_what_makes_no_container() {
    let rest = "volumes: {v: }\nnetworks: {n: }\n";
    let base = hash(&with(BASE, rest));
    for (body, rest) in [
        (BASE.to_owned(), rest),
        (BASE.replace("[A, B]", "[B, A]"), rest),
        (BASE.replace("{X: '1'}", "[X=1]"), rest),
        (format!("{BASE}\ndepends_on: [db]"), rest),
        (format!("{BASE}\nbuild: ."), rest),
        (format!("{BASE}\nx-toolbox: {{verify: 'http://a'}}"), rest),
        (BASE.replace("[n]", "[m]"), "volumes: {v: }\nnetworks: {m: {name: shop_n}}\n"),
    ] {
        assert_eq!(hash(&with(&body, rest)), base, "{body}");
    }
}

#[test]
fn the_fingerprint_changes_with_what_makes_the_container() {
    let rest = "volumes: {v: }\nnetworks: {n: }\n";
    let mut seen = BTreeSet::from([hash(&with(BASE, rest))]);
    for (body, rest) in [
        (BASE.replace("image: i", "image: j"), rest),
        (BASE.replace("'1'", "'2'"), rest),
        (format!("{BASE}\nread_only: true"), rest),
        (format!("{BASE}\nports: ['80:80']"), rest),
        (format!("{BASE}\nports: ['81:80']"), rest),
        (format!("{BASE}\ncommand: []"), rest),
        (BASE.to_owned(), "volumes: {v: {name: other}}\nnetworks: {n: }\n"),
        (BASE.to_owned(), "volumes: {v: }\nnetworks: {n: {name: other}}\n"),
    ] {
        assert!(seen.insert(hash(&with(&body, rest))), "{body} {rest}");
    }
}

fn order(text: &str) -> String {
    let project: Project = loaded(text);
    project.start_order().iter().map(|level| level.join(",")).collect::<Vec<_>>().join(" | ")
}

#[test]
fn services_start_after_what_they_need() {
    assert_eq!(
        order(
            "services:\n  a: {image: i, depends_on: [c, d]}\n  b: {image: i}\n  c: {image: i, depends_on: {d: {condition: service_healthy}}}\n  d: {image: i}\n  e: {image: i, network_mode: 'service:a'}\n"
        ),
        "b,d | c | a | e"
    );
}

#[test]
fn the_repositorys_own_file_loads() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = directory.join("compose.yaml");
    let request = LoadRequest { files: vec![file], working_dir: directory, ..LoadRequest::default() };
    let project = load(&request).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["clock-backend", "frontend"]);
}
