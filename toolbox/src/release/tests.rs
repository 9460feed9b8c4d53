use super::*;
use crate::compose::{Content, FileMount, FileObject};

const SECRET: &str = "correct horse battery staple";

/// A project of these services; all see the config `settings` with this content and the secret `password`.
fn project(services: &str, settings: &str) -> Project {
    let text = format!("name: shop\nservices:\n{services}volumes: {{ data: }}\n");
    let mut project = crate::compose::testing::project(&text);
    let object = |content: &str| FileObject {
        digest: hex::encode(Sha256::digest(content)),
        content: Content(content.as_bytes().to_vec().into()),
    };
    project.configs.insert("settings".into(), object(settings));
    project.secrets.insert("password".into(), object(SECRET));
    for service in project.services.values_mut() {
        let mount = |key: &str| FileMount { key: key.into(), target: format!("/{key}"), uid: 7, gid: 8, mode: 0o440 };
        (service.configs, service.secrets) = (vec![mount("settings")], vec![mount("password")]);
    }
    project
}

fn release(id: &str, project: Project) -> Release {
    let service = |service: &crate::compose::Service| ReleasedService {
        config_hash: format!("hash of {}", service.name),
        image: ReleasedImage {
            reference: Reference::parse(&service.image).unwrap(),
            id: format!("sha256:{id}"),
            layers: Vec::new(),
            architecture: "amd64".into(),
            loaded: id.ends_with('7'),
        },
    };
    let services = project.services.iter().map(|(name, s)| (name.clone(), service(s))).collect();
    Release::new(id.parse().unwrap(), "ann@box".into(), None, project, services)
}

fn both() -> &'static str {
    "  web: { image: shop-web, environment: { MODE: fast }, volumes: [data:/data] }\n  db: { image: postgres }\n"
}

/// What is left of it where it was written to a host.
fn stored(release: &Release) -> Release {
    Release::from_json(&release.to_json()).unwrap()
}

#[test]
fn a_record_comes_back_as_it_was_but_for_contents() {
    let before = release("20261122-175437", project(both(), "a"));
    let after = stored(&before);
    assert_eq!(after.project.services, before.project.services);
    assert_eq!((&after.services, after.id, &after.created), (&before.services, before.id, &before.created));
    assert_eq!(after.files(), before.files());
    let canonical = |release: &Release| release.project.services["web"].canonical(&release.project);
    assert_eq!(canonical(&after), canonical(&before));
}

#[test]
fn no_content_of_a_config_or_secret_is_in_a_record() {
    let release = release("20261122-175437", project(both(), "the settings"));
    let text = String::from_utf8(release.to_json()).unwrap();
    assert!(!text.contains("the settings") && !text.contains(SECRET) && !text.contains("horse"), "{text}");
    assert!(text.contains(&hex::encode(Sha256::digest(SECRET))));
    assert!(!format!("{release:?}").contains("horse"));
}

#[test]
fn no_beginning_of_a_record_is_taken_for_whole() {
    let text = release("20261122-175437", project(both(), "a")).to_json();
    for length in 0..text.len() {
        assert!(Release::from_json(&text[..length]).is_err(), "{length} bytes");
    }
    assert!(Release::from_json(&text).is_ok());
}

#[test]
fn a_record_that_contradicts_itself_is_damaged() {
    let mut release = release("20261122-175437", project(both(), "a"));
    release.git = Some(Git { revision: "a".repeat(40), branch: Some("main".into()) });
    let good = serde_json::to_value(&release).unwrap();
    assert!(Release::from_json(good.to_string().as_bytes()).is_ok());
    let lacks = |field: &str| (format!("/project/{field}"), serde_json::json!({}));
    let says = |place: &str, text: &str| (place.to_owned(), serde_json::json!(text));
    for (place, value) in [
        lacks("networks"),
        lacks("volumes"),
        lacks("configs"),
        lacks("secrets"),
        says("/git/revision", "012345678éf"),
        says("/git/branch", "main\u{1b}[2J"),
        says("/by", "ann\nbob"),
        says("/project/name", "shop\r"),
        says("/project/services/web/name", "db"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(&place).unwrap() = value;
        let read = Release::from_json(bad.to_string().as_bytes());
        assert!(matches!(read, Err(ReleaseError::Damaged(_))), "{place}: {read:?}");
    }
}

#[test]
fn a_newer_record_is_refused_and_not_guessed_at() {
    let newer = br#"{"format":2,"id":"someday","anything":{}}"#;
    assert!(matches!(Release::from_json(newer), Err(ReleaseError::Newer { format: 2 })));
}

#[test]
fn a_partial_deploy_keeps_the_others_as_they_were() {
    let before = stored(&release("20261122-175437", project(both(), "old")));
    let after = release("20261123-000000", project(&both().replace("fast", "slow"), "new"));
    let merged = after.with(&before, &BTreeSet::from(["web".to_owned()]));
    assert_eq!(merged.project.services["web"].environment["MODE"], "slow");
    assert_eq!(merged.services["web"].image.id, "sha256:20261123-000000");
    assert_eq!(merged.services["db"], before.services["db"]);
    let digest = |content: &str| hex::encode(Sha256::digest(content));
    let settings = |service: &str| {
        let key = &merged.project.services[service].configs[0].key;
        merged.project.configs[key].digest.clone()
    };
    assert_eq!((settings("web"), settings("db")), (digest("new"), digest("old")), "one key, two contents");
    assert_eq!(merged.project.secrets.len(), 1, "the same content stays one");
    assert_eq!(merged.files().len(), 3);
    assert_eq!(merged.project.networks.len(), 1);
    assert_eq!(merged.project.volumes.len(), 1);
}

#[test]
fn a_partial_deploy_has_what_it_needs_and_nothing_that_was_never_deployed() {
    let before = release("20261122-175437", project("  web: { image: shop-web, volumes: [data:/data] }\n", "a"));
    let mut now = project(&format!("{}  job: {{ image: job }}\n", both().replace("volumes: [data:/data]", "")), "a");
    now.volumes.clear();
    let merged = release("20261123-000000", now).with(&before, &BTreeSet::from(["db".to_owned()]));
    assert_eq!(merged.services.keys().collect::<Vec<_>>(), ["db", "web"]);
    assert_eq!(merged.project.services.keys().collect::<Vec<_>>(), ["db", "web"]);
    assert!(merged.project.volumes.contains_key("data"), "the volume of a service that was not deployed");
}

#[test]
fn pins_name_their_project_service_and_release() {
    let release = release("20261122-175437", project(both(), "a"));
    let pin = release.pin("web").full();
    assert_eq!(pin, "toolbox.local/shop/web:20261122-175437");
    assert_eq!(pinned("shop", &pin), Some(release.id));
    for other in [
        "docker.io/library/web:20261122-175437",
        "toolbox.local/shop2/web:20261122-175437",
        "toolbox.local/shop/web:latest",
    ] {
        assert_eq!(pinned("shop", other), None, "{other}");
    }
}

#[test]
fn every_name_that_compose_allows_has_a_pin_of_its_own() {
    let release = release("20261122-175437", project(both(), "a"));
    let (long, longer) = ("l".repeat(300), "l".repeat(301));
    let names = [&long, &longer, "web", "Web", "WEB", "a..b", "a.b", "_x", "x_", "x___y", "web-1"];
    let pins: BTreeSet<String> = names.iter().map(|name| release.pin(name).full()).collect();
    assert_eq!(pins.len(), names.len());
    assert_ne!(super::pins("shop_"), super::pins("shop"));
}

#[test]
fn a_file_is_named_by_content_owner_and_mode() {
    let object = FileObject { digest: "ab".into(), content: Content::default() };
    let mount = FileMount { key: "k".into(), target: "/k".into(), uid: 7, gid: 8, mode: 0o440 };
    assert_eq!(file_name(&object, &mount), "ab-7-8-440");
}
