//! Archives refused for their shape: entries, links, documents. Each test asks what the message names.

use serde_json::Value;
use tar::EntryType;

use super::super::super::testing::compress;
use super::*;

pub(super) fn refusal(bytes: Vec<u8>) -> ArchiveError {
    refusal_within(bytes, Limits::default())
}

pub(super) fn refusal_within(bytes: Vec<u8>, limits: Limits) -> ArchiveError {
    let options = Options { limits, ..Options::default() };
    match Archive::open_with(bytes, &options, &mut |_| ()) {
        Err(error) => error,
        Ok(archive) => panic!("was opened: {:?}", archive.images()),
    }
}

#[track_caller]
pub(super) fn assert_says(error: &ArchiveError, parts: &[&str]) {
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text:?} lacks one of {parts:?}");
}

/// A classic archive of one image with one layer, whose parts are given.
pub(super) fn one(config: &Value, layer: &[u8], manifest: &Value) -> Tarball {
    Tarball::new().json("c", config).file("l/layer.tar", layer).json("manifest.json", manifest)
}

pub(super) fn config(layers: &[&[u8]]) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    json!({ "os": "linux", "architecture": "amd64", "rootfs": { "diff_ids": diff_ids } })
}

pub(super) fn manifest(layers: &[&str]) -> Value {
    json!([{ "Config": "c", "RepoTags": ["x:1"], "Layers": layers }])
}

pub(super) fn honest() -> Tarball {
    one(&config(&[b"layer"]), b"layer", &manifest(&["l/layer.tar"]))
}

#[test]
fn the_honest_one_of_these_tests_is_opened() {
    Archive::open(honest().finish()).unwrap();
}

#[test]
fn what_is_no_tar_is_said_to_be_none() {
    let zeros = vec![0; 4096];
    for bytes in [b"hello".to_vec(), vec![b'x'; 4096], zeros, b"PK\x03\x04".repeat(300)] {
        assert!(matches!(refusal(bytes), ArchiveError::NotATar));
    }
    assert!(matches!(refusal(Vec::new()), ArchiveError::Empty));
}

#[test]
fn compressed_archives_are_handed_back_to_be_spooled() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let error = refusal(compress(compression, &honest().finish()));
        assert!(matches!(error, ArchiveError::Compressed(c) if c == compression));
    }
}

#[test]
fn a_cut_archive_names_the_byte_and_the_entry() {
    let whole = honest().finish();
    // The last entry's header and content end before the end mark of two blocks.
    for cut in (512..whole.len() - 1023).step_by(100) {
        let error = refusal(whole[..cut].to_vec());
        assert!(matches!(error, ArchiveError::CutShort { length, .. } if length == cut as u64), "{cut}: {error}");
    }
    assert_says(&refusal(whole[..1600].to_vec()), &["cut short at byte 1600", "l/layer.tar"]);
}

#[test]
fn a_damaged_header_names_its_byte_and_the_entry_before() {
    let mut bytes = honest().finish();
    bytes[1024 + 3] = b'!';
    let error = refusal(bytes);
    assert!(matches!(&error, ArchiveError::Corrupt { offset: 1024, after } if after == "c"), "{error:?}");
}

#[test]
fn a_size_beyond_the_archive_is_a_cut() {
    for size in [1 << 30, u64::MAX / 2, u64::MAX] {
        let mut header = tar::Header::new_gnu();
        header.set_path("huge").unwrap();
        header.set_size(size);
        header.set_cksum();
        let bytes = [&header.as_bytes()[..], &[0; 1024]].concat();
        let error = refusal(bytes);
        assert!(matches!(error, ArchiveError::CutShort { .. } | ArchiveError::NotATar), "{size}: {error:?}");
    }
}

#[test]
fn a_size_in_base_256_that_is_negative_or_overflows_is_damage() {
    let negative = [0xff; 12];
    let beyond_64_bits = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let plain = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (size, is_honest) in [(negative, false), (beyond_64_bits, false), (plain, true)] {
        let mut header = tar::Header::new_gnu();
        header.set_path("odd").unwrap();
        header.as_mut_bytes()[124..136].copy_from_slice(&size);
        header.set_cksum();
        let start = honest().finish();
        let bytes = [&start[..start.len() - 1024], header.as_bytes(), &[0; 1024]].concat();
        let opened = Archive::open(bytes);
        assert_eq!(opened.is_ok(), is_honest, "{size:?}");
        assert!(matches!(opened, Ok(_) | Err(ArchiveError::Corrupt { .. })), "{opened:?}");
    }
}

#[test]
fn of_two_entries_of_one_name_the_last_counts() {
    let twice = Tarball::new().file("l/layer.tar", "other");
    let start = twice.finish();
    let bytes = [&start[..start.len() - 1024], &honest().finish()].concat();
    Archive::open(bytes).unwrap();
    let other = honest().file("l/layer.tar", "other");
    assert!(matches!(refusal(other.finish()), ArchiveError::DigestMismatch { .. }));
}

#[test]
fn entries_are_bounded() {
    let tarball = (0..20).fold(honest(), |tarball, n| tarball.file(&format!("f{n}"), ""));
    let error = refusal_within(tarball.finish(), Limits { entries: 10, ..Limits::default() });
    assert!(matches!(error, ArchiveError::TooManyEntries { limit: 10 }));
}

/// A tar of so many empty files, each with another name.
#[derive(Debug)]
struct Entries(u64);

impl ReadAt for Entries {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (entry, within) = (offset / 512, (offset % 512) as usize);
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("files/{entry}"))?;
        header.set_size(0);
        header.set_cksum();
        let bytes = if entry < self.0 { &header.as_bytes()[within..] } else { &[] };
        io::Read::read(&mut &*bytes, buffer)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0 * 512)
    }
}

#[test]
fn of_a_million_entries_no_more_are_read_than_an_image_can_have() {
    let error = Archive::open(Entries(1_000_000)).unwrap_err();
    assert!(matches!(error, ArchiveError::TooManyEntries { limit: 65_536 }), "{error}");
}

#[test]
fn names_are_bounded() {
    let mut builder = tar::Builder::new(Vec::new());
    let long = "x/".repeat(4000);
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    builder.append_data(&mut header, &long, &b""[..]).unwrap();
    let start = builder.into_inner().unwrap();
    let bytes = [&start[..start.len() - 1024], &honest().finish()].concat();
    let error = refusal(bytes);
    assert!(matches!(error, ArchiveError::NameTooLong { .. }), "{error:?}");
    let record = Tarball::new().entry(EntryType::XHeader, "pax", "", &vec![b'x'; 1 << 20]);
    let error = refusal(record.finish());
    assert!(matches!(error, ArchiveError::NameTooLong { .. }), "{error:?}");
}

#[test]
fn entries_and_links_outside_are_refused_by_name() {
    for name in ["../evil", "/etc/passwd", "a/../../b", "a/.."] {
        let error = refusal(honest().file(name, "x").finish());
        assert!(matches!(&error, ArchiveError::EntryOutside { entry } if entry == name), "{error}");
    }
    for target in ["/etc/passwd", "../../x", ".."] {
        let kind = if target == ".." { EntryType::Link } else { EntryType::Symlink };
        let error = refusal(honest().entry(kind, "a/link", target, b"").finish());
        assert_says(&error, &["a/link", target, "outside"]);
    }
}

#[test]
fn links_that_lead_nowhere_are_refused() {
    let link = |from: &str, to: &str| {
        Tarball::new()
            .json("c", &config(&[b"layer"]))
            .symlink(from, to)
            .symlink("b", from)
            .json("manifest.json", &manifest(&[from]))
            .finish()
    };
    assert!(matches!(refusal(link("a", "b")), ArchiveError::LinkLoop { entry } if entry == "a"));
    assert!(matches!(refusal(link("a", "gone")), ArchiveError::Missing { entry, .. } if entry == "gone"));
}

#[test]
fn an_exported_container_is_recognised() {
    let export = Tarball::new().file(".dockerenv", "").symlink("etc/mtab", "/proc/mounts").finish();
    assert_says(&refusal(export), &["docker export"]);
    let other = refusal(Tarball::new().file("notes.txt", "").finish());
    assert!(matches!(other, ArchiveError::NoManifest { looks_like_export: false }));
    assert!(other.hint().unwrap().contains("docker save"));
}

#[test]
fn a_manifest_without_images_is_named() {
    let docker = Tarball::new().json("manifest.json", &json!([])).finish();
    assert!(matches!(refusal(docker), ArchiveError::NoImages { entry } if entry == "manifest.json"));
    let oci = Tarball::new().json("index.json", &json!({ "manifests": [] })).finish();
    assert!(matches!(refusal(oci), ArchiveError::NoImages { entry } if entry == "index.json"));
}

#[test]
fn missing_entries_are_named_with_who_wants_them() {
    let layer = one(&config(&[b"layer"]), b"layer", &manifest(&["gone/layer.tar"]));
    assert_says(&refusal(layer.finish()), &["gone/layer.tar", "manifest.json", "missing"]);
    let config = Tarball::new().json("manifest.json", &manifest(&[]));
    assert_says(&refusal(config.finish()), &["\"c\"", "manifest.json"]);
    let outside = one(&self::config(&[b"layer"]), b"layer", &manifest(&["../../etc/passwd"]));
    assert_says(&refusal(outside.finish()), &["../../etc/passwd", "missing"]);
}

#[test]
fn a_layer_that_is_no_file_is_named() {
    let folder = honest().entry(EntryType::Directory, "l/layer.tar", "", b"");
    assert!(matches!(refusal(folder.finish()), ArchiveError::NotAFile { entry } if entry == "l/layer.tar"));
}

#[test]
fn documents_are_bounded() {
    let limits = Limits { json: 64, ..Limits::default() };
    let error = refusal_within(honest().finish(), limits);
    assert_says(&error, &["\"c\"", "allowed are 64"]);
    let big = vec![b' '; (4 << 20) + 1];
    let error = refusal(Tarball::new().file("c", big).json("manifest.json", &manifest(&[])).finish());
    assert!(matches!(error, ArchiveError::TooLarge { entry, size: 4_194_305, limit: 4_194_304 } if entry == "c"));
}

#[test]
fn one_document_named_many_times_is_paid_each_time() {
    let image = &manifest(&["l/layer.tar"])[0];
    let listed = Value::Array(vec![image.clone(); 1000]);
    let bytes = one(&config(&[b"layer"]), b"layer", &listed).finish();
    Archive::open(bytes.clone()).unwrap();
    let error = refusal_within(bytes, Limits { documents: 100_000, ..Limits::default() });
    assert!(matches!(error, ArchiveError::TooManyDocuments { limit: 100_000 }), "{error:?}");
}

#[test]
fn indexes_that_lead_to_each_other_many_times_stop_at_the_bound() {
    let mut tarball = Tarball::new();
    let mut below = json!({ "manifests": [] }).to_string();
    for _ in 0..3 {
        tarball = tarball.file(&format!("blobs/sha256/{}", hex(below.as_bytes())), &below);
        let child = json!({ "digest": Digest::of(below.as_bytes()) });
        below = json!({ "manifests": vec![child; 1000] }).to_string();
    }
    let error = refusal(tarball.file("index.json", below).finish());
    assert!(matches!(error, ArchiveError::TooManyDocuments { .. }), "{error:?}");
}

#[test]
fn broken_json_is_named_with_its_entry() {
    let broken = [
        Tarball::new().file("manifest.json", "[{"),
        Tarball::new().json("manifest.json", &json!([{ "RepoTags": [] }])),
        Tarball::new().file("manifest.json", "[".repeat(100_000)),
        Tarball::new().file("index.json", "nonsense"),
    ];
    for tarball in broken {
        let error = refusal(tarball.finish());
        assert!(matches!(error, ArchiveError::BadJson { .. }), "{error:?}");
    }
    for bad in [json!({}), json!({ "os": "linux", "architecture": "amd64", "rootfs": { "diff_ids": ["x"] } })] {
        let error = refusal(one(&bad, b"layer", &manifest(&["l/layer.tar"])).finish());
        assert!(matches!(error, ArchiveError::BadJson { entry, .. } if entry == "c"));
    }
}

#[test]
fn malformed_names_and_digests_are_named_with_their_entry() {
    let tags = json!([{ "Config": "c", "RepoTags": ["Not A Name"], "Layers": [] }]);
    let error = refusal(one(&config(&[]), b"", &tags).finish());
    assert!(matches!(error, ArchiveError::BadReference { entry, .. } if entry == "manifest.json"));
    let digest = json!({ "manifests": [{ "digest": "sha256:../../x" }] });
    let error = refusal(Tarball::new().json("index.json", &digest).finish());
    assert!(matches!(error, ArchiveError::BadDigest { entry, .. } if entry == "index.json"));
}
