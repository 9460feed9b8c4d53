//! Bundles that are not what they say, and one that is.

use serde_json::json;

use super::*;

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        // As it stands: the library itself would refuse some of them.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn manifest(files: serde_json::Value, suite: &str) -> Vec<u8> {
    let source = json!({"directory": "archive", "suite": suite, "components": ["main"], "compression": "xz"});
    let manifest = json!({
        "format": 1, "release": "bookworm", "architecture": "amd64", "origin": "Debian", "sources": [source],
        "packages": ["docker.io"], "files": files,
    });
    manifest.to_string().into_bytes()
}

fn open(bytes: &[u8]) -> Result<Bundle, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Bundle::open(file.path()).map_err(|e| e.to_string())
}

fn good() -> Vec<u8> {
    let files = json!({"archive/a": 3, "archive/b": 700});
    tar(&[(MANIFEST, &manifest(files, "bookworm")), ("archive/a", b"abc"), ("archive/b", &[7; 700])])
}

#[tokio::test]
async fn files_are_read_in_place() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), good()).unwrap();
    let bundle = Bundle::open(file.path()).unwrap();
    assert_eq!(bundle.manifest.release, "bookworm");
    let (length, body) = bundle.open_file("archive/b").await.unwrap();
    assert_eq!((length, body.collect().await.unwrap().to_bytes().to_vec()), (700, vec![7; 700]));
    let (_, body) = bundle.open_file("archive/a").await.unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    assert!(bundle.open_file(MANIFEST).await.is_none() && bundle.open_file("archive/c").await.is_none());
}

#[test]
fn a_bundle_that_was_cut_anywhere_is_told() {
    let whole = good();
    assert!(open(&whole).is_ok());
    // What follows on the last file, its padding and two empty blocks, says nothing.
    let end = whole.iter().rposition(|byte| *byte == 7).unwrap();
    for length in (0..=end).step_by(128).chain([end]) {
        assert!(open(&whole[..length]).is_err(), "{length} of {}", whole.len());
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../etc/passwd", "/etc/passwd", "archive/../../x", "archive/a b", "archive//a", "archive/$(id)"] {
        let error = open(&tar(&[(MANIFEST, &manifest(json!({}), "bookworm")), (name, b"x")])).unwrap_err();
        assert!(error.contains("is no plain file below it"), "{name}: {error}");
    }
    for suite in ["a b", "x\n[trusted=yes]", "$(id)", "../x", "`id`", "a'b"] {
        let error = open(&tar(&[(MANIFEST, &manifest(json!({}), suite))])).unwrap_err();
        assert!(error.contains("is no name"), "{suite}: {error}");
    }
}

#[test]
fn what_is_missing_twice_or_no_file_is_refused() {
    let listed = manifest(json!({"archive/a": 3}), "bookworm");
    for (files, words) in [
        (vec![(MANIFEST, listed.as_slice())], "archive/a is missing"),
        (vec![(MANIFEST, &listed), ("archive/a", b"abcd")], "another size"),
        (vec![(MANIFEST, &listed), ("archive/a", b"abc"), ("archive/a", b"abc")], "twice"),
        (vec![("archive/a", b"abc")], "does not begin with"),
        (vec![(MANIFEST, b"{}")], MANIFEST),
        (vec![], "empty"),
    ] {
        let error = open(&tar(&files)).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "archive/a", "/etc/passwd").unwrap();
    assert!(open(&link.into_inner().unwrap()).unwrap_err().contains("no plain file"));
}

#[test]
fn a_form_of_another_program_is_told() {
    let later = String::from_utf8(manifest(json!({}), "bookworm")).unwrap().replace("\"format\":1", "\"format\":9");
    let error = open(&tar(&[(MANIFEST, later.as_bytes())])).unwrap_err();
    assert!(error.contains("form 9"), "{error}");
}
