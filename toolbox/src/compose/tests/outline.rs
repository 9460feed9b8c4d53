//! The names of projects that do not load.

use std::path::Path;

use super::Directory;
use crate::compose::{LoadRequest, load, outlined_name};

fn request(directory: &Path) -> LoadRequest {
    LoadRequest { working_dir: directory.to_owned(), ..LoadRequest::default() }
}

#[test]
fn name_is_the_one_that_the_mended_file_would_give() {
    for (broken, mended) in [
        ("name: shop\nservices: {web: {image: \"${TAG:?}\"}}\n", "name: shop\nservices: {web: {image: web}}\n"),
        ("name: shop\nservices: {web: {imag: web}}\n", "name: shop\nservices: {web: {image: web}}\n"),
        ("services:\n  web: [\nname: \"shop\" # ours\n", "services: {web: {image: web}}\nname: shop\n"),
        ("services: {web: {imag: web}}\n", "services: {web: {image: web}}\n"),
        ("services:\n  web: [\n  name: x\n", "services: {web: {image: web}}\n"),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("Corner.Shop");
        std::fs::create_dir(&directory).unwrap();
        let file = directory.join("compose.yaml");
        std::fs::write(&file, broken).unwrap();
        load(&request(&directory)).unwrap_err();
        let name = outlined_name(&request(&directory));
        std::fs::write(&file, mended).unwrap();
        assert_eq!(name, Some(load(&request(&directory)).unwrap().name), "{broken}");
    }
}

#[test]
fn without_a_file_the_directory_gives_no_name() {
    let directory = Directory::new(&[]);
    assert_eq!(outlined_name(&request(directory.0.path())), None);
    let asked = LoadRequest { project_name: Some("shop".into()), ..request(directory.0.path()) };
    assert_eq!(outlined_name(&asked), Some("shop".into()));
    std::fs::write(directory.0.path().join(".env"), "COMPOSE_PROJECT_NAME=corner\n").unwrap();
    assert_eq!(outlined_name(&request(directory.0.path())), Some("corner".into()));
}

#[test]
fn what_is_no_name_is_none() {
    let directory = Directory::new(&[("compose.yaml", "name: ${NAME:?}\nservices: {}\n")]);
    assert_eq!(outlined_name(&request(directory.0.path())), None);
    let asked = LoadRequest { project_name: Some("Not A Name".into()), ..request(directory.0.path()) };
    assert_eq!(outlined_name(&asked), None);
}
