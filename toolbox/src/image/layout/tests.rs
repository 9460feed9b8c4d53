use std::fs;
use std::os::unix::fs::symlink;

use super::super::testing::{Sample, layout, unpack};
use super::super::{Archive, ArchiveError, Compression, Digest, Limits, Listing, Options, Stored};
use super::*;

fn samples() -> Vec<Sample> {
    vec![Sample::new("web:1", &["base", "web", ""]), Sample::new("db:1", &["base", "db"])]
}

fn directory(compression: Compression) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    unpack(&layout(&samples(), compression, false), directory.path());
    directory
}

fn open(directory: &Path) -> Result<Archive<Stored>, ArchiveError> {
    let layout = Layout::open(directory, 100).unwrap();
    Listing::layout(layout, &Limits::default())?.verify(
        &|image| Some(image.tags.clone()),
        &Options::default(),
        &mut |_| (),
    )
}

fn blob(directory: &Path, content: &[u8]) -> std::path::PathBuf {
    directory.join("blobs/sha256").join(Digest::of(content).hex())
}

#[test]
fn a_directory_holds_the_images_of_its_tarball() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let directory = directory(compression);
        let archive = open(directory.path()).unwrap();
        let samples = samples();
        assert_eq!(archive.images().len(), samples.len());
        for (image, sample) in archive.images().iter().zip(&samples) {
            assert_eq!(image.config_json, sample.config());
            for (layer, expected) in image.layers.iter().zip(&sample.layers) {
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut archive.layer(layer), &mut bytes).unwrap();
                assert!(bytes == *expected, "{compression}");
            }
        }
    }
}

#[test]
fn links_in_a_directory_are_not_followed() {
    let directory = directory(Compression::None);
    let layer = blob(directory.path(), &samples()[0].layers[0]);
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&layer, &elsewhere).unwrap();
    symlink(&elsewhere, &layer).unwrap();
    assert!(matches!(open(directory.path()), Err(ArchiveError::Missing { .. })));

    let linked = tempfile::tempdir().unwrap();
    symlink(directory.path().join("blobs"), linked.path().join("blobs")).unwrap();
    fs::copy(directory.path().join("index.json"), linked.path().join("index.json")).unwrap();
    let error = Layout::open(linked.path(), 100).unwrap_err();
    assert!(matches!(&error, LayoutError::Read { name, .. } if name == "blobs"), "{error:?}");
}

#[test]
fn a_file_that_changes_its_length_after_it_was_listed_is_named() {
    let directory = directory(Compression::None);
    let layout = Layout::open(directory.path(), 100).unwrap();
    let listing = Listing::layout(layout, &Limits::default()).unwrap();
    let layer = blob(directory.path(), &samples()[0].layers[0]);
    fs::OpenOptions::new().write(true).open(layer).unwrap().set_len(100).unwrap();
    let error = listing.verify(&|image| Some(image.tags.clone()), &Options::default(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, ArchiveError::Read { .. }), "{error:?}");
}

#[test]
fn a_file_that_changes_under_its_name_is_refused() {
    let directory = directory(Compression::None);
    let layer = &samples()[0].layers[0];
    let mut other = layer.clone();
    other[700] ^= 1;
    fs::write(blob(directory.path(), layer), other).unwrap();
    assert!(matches!(open(directory.path()), Err(ArchiveError::DigestMismatch { .. })));
}

#[test]
fn what_is_no_layout_is_said_to_be_none() {
    let empty = tempfile::tempdir().unwrap();
    let error = Layout::open(empty.path(), 100).unwrap_err();
    assert!(matches!(error, LayoutError::NotALayout("blobs/sha256")));
    assert!(error.hint().unwrap().contains("skopeo copy"));
    let directory = directory(Compression::None);
    fs::remove_file(directory.path().join("index.json")).unwrap();
    assert!(matches!(Layout::open(directory.path(), 100), Err(LayoutError::NotALayout("index.json"))));
    assert!(matches!(Layout::open(Path::new("/nonexistent"), 100), Err(LayoutError::Read { .. })));
}

#[test]
fn files_of_a_directory_are_bounded() {
    let directory = directory(Compression::None);
    assert!(matches!(Layout::open(directory.path(), 3), Err(LayoutError::TooManyFiles { limit: 3 })));
}

#[test]
fn what_is_no_file_is_left_alone() {
    let directory = directory(Compression::None);
    let layer = blob(directory.path(), &samples()[0].layers[0]);
    fs::remove_file(&layer).unwrap();
    rustix::fs::mknodat(CWD, &layer, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(matches!(open(directory.path()), Err(ArchiveError::Missing { .. })));
}
