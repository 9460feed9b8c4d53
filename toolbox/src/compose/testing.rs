//! Projects for the tests of other modules.

use super::{LoadRequest, Project, load};

/// The project that a compose file of this text is.
pub(crate) fn project(text: &str) -> Project {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("compose.yaml");
    std::fs::write(&file, text).unwrap();
    let working_dir = directory.path().to_owned();
    load(&LoadRequest { files: vec![file], working_dir, ..LoadRequest::default() }).unwrap()
}
