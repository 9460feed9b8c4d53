//! What Docker Compose makes of a file is what toolbox makes of it, field by field.
//!
//! Each directory of `tests/compose` is a case: its `expected.json` is the answer of `docker compose config --format
//! json` (`refresh.sh` asks again). The answer is rewritten into the form of our model, units included, and compared
//! with the loaded project. [`DIFFERENCES`] are the ones that remain, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use toolbox::compose::{LoadRequest, Project, load};

use crate::compose_json::{network, service, unescaped, volume};

/// Case, path in the model, and why the two differ there on purpose.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("elk", ".networks.elk.ipam.options.foo", DROPPED),
    ("extends-lists", ".services.web.mounts[2].source.bind.create_host_path", CREATED),
    ("gitea", ".services.server.mounts[1].source.bind.create_host_path", CREATED),
    ("long-forms", ".services.web.mounts[1].source.bind.create_host_path", CREATED),
    ("override", ".services.web.secrets", TWICE),
];
const TWICE: &str = "Compose 2.26 would show two secrets at /run/secrets/one: it compares targets by their text";
const DROPPED: &str = "Compose 2.26 drops the options, which the Specification names";
const CREATED: &str = "the Specification makes the directory by default; Compose 2.26 only in the short form";

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose")
}

fn cases() -> Vec<String> {
    let entries = std::fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join("expected.json").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The request that the case's `arguments` and refresh.sh make of Compose.
fn request(directory: &Path) -> LoadRequest {
    let arguments = std::fs::read_to_string(directory.join("arguments")).unwrap_or_default();
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let after = |flag: &'static str| {
        words.windows(2).filter(move |pair| pair[0] == flag).map(|pair| pair[1].to_owned()).collect::<Vec<_>>()
    };
    LoadRequest {
        files: after("-f").iter().map(|file| directory.join(file)).collect(),
        env_files: after("--env-file").iter().map(|file| directory.join(file)).collect(),
        working_dir: directory.to_owned(),
        project_name: None,
        profiles: after("--profile").into_iter().collect::<BTreeSet<_>>(),
        environment: BTreeMap::from([("HOME".into(), "/home/me".into()), ("FROM_SHELL".into(), "shell".into())]),
    }
}

fn ours(project: &Project, directory: &Path) -> Value {
    let text = serde_json::to_string(project).unwrap().replace(directory.to_str().unwrap(), "/project");
    let mut value: Value = serde_json::from_str(&text).unwrap();
    let all = value.as_object_mut().unwrap();
    for ours_alone in ["working_dir", "files", "warnings", "toolbox", "inactive"] {
        all.remove(ours_alone);
    }
    for service in all["services"].as_object_mut().unwrap().values_mut() {
        service.as_object_mut().unwrap().remove("toolbox");
        for device in service["devices"].as_array_mut().unwrap() {
            *device = whole_device(device.as_str().unwrap()).into();
        }
    }
    value
}

/// `HOST[:CONTAINER[:rwm]]` with all three parts.
fn whole_device(text: &str) -> String {
    match text.split(':').collect::<Vec<_>>()[..] {
        [one] => format!("{one}:{one}:rwm"),
        [host, container] => format!("{host}:{container}:rwm"),
        _ => text.to_owned(),
    }
}

fn theirs(answer: &Value, directory: &Path) -> Value {
    let name = answer["name"].as_str().unwrap();
    let section = |key: &str, read: &dyn Fn(&str, &Value) -> Value| -> Value {
        let entries = answer[key].as_object().into_iter().flatten();
        Value::Object(entries.map(|(key, value)| (key.clone(), read(key, value))).collect::<Map<_, _>>())
    };
    json!({
        "name": name,
        "services": section("services", &|key, value| service(name, key, value)),
        "networks": section("networks", &|_, value| network(value)),
        "volumes": section("volumes", &|_, value| volume(value)),
        "configs": section("configs", &|_, value| file_object(value, directory)),
        "secrets": section("secrets", &|_, value| file_object(value, directory)),
    })
}

/// Compose only names where the content is; the variables are those of the corpus.
fn file_object(value: &Value, directory: &Path) -> Value {
    let content = match (value["file"].as_str(), value["environment"].as_str()) {
        (Some(file), _) => std::fs::read(file.replace("/project", directory.to_str().unwrap())).unwrap(),
        (_, Some("SECRET_VALUE")) => b"s3cret".to_vec(),
        (_, Some("MOTD")) => b"hello".to_vec(),
        _ => unescaped(value["content"].as_str().unwrap()).into_bytes(),
    };
    json!({"digest": hex::encode(Sha256::digest(content))})
}

/// Every path below which the two differ.
fn compare(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let absent = json!("(absent)");
                let (a, b) = (a.get(key).unwrap_or(&absent), b.get(key).unwrap_or(&absent));
                compare(&format!("{path}.{key}"), a, b, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{index}]"), a, b, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{path}: ours {ours}, Compose's {theirs}")),
    }
}

fn differences(case: &str) -> Vec<String> {
    let directory = corpus().join(case);
    let project = match load(&request(&directory)) {
        Ok(project) => project,
        Err(problems) => return vec![format!("is refused: {problems}")],
    };
    let answer = std::fs::read_to_string(directory.join("expected.json")).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let mut found = Vec::new();
    compare("", &ours(&project, &directory), &theirs(&answer, &directory), &mut found);
    found
}

#[test]
fn projects_are_what_compose_makes_of_the_same_files() {
    let cases = cases();
    assert!(cases.len() >= 25, "the corpus was not found");
    let mut wrong = Vec::new();
    for case in &cases {
        let mut found = differences(case);
        for (_, path, reason) in DIFFERENCES.iter().filter(|(of, ..)| of == case) {
            let place =
                found.iter().position(|text| text.strip_prefix(path).is_some_and(|rest| rest.starts_with(": ")));
            match place {
                Some(place) => drop(found.remove(place)),
                None => found.push(format!("{path}: no longer differs ({reason})")),
            }
        }
        wrong.extend(found.into_iter().map(|text| format!("{case} {text}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
