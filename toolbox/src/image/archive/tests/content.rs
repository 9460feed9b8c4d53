//! Archives refused for their layers and configurations not being what they are said to be.

use super::super::super::testing::compress;
use super::hostile::{assert_says, config, honest, manifest, one, refusal, refusal_within};
use super::*;

#[test]
fn a_layer_that_is_not_the_one_configured_is_named_with_both_digests() {
    let error = refusal(one(&config(&[b"layer"]), b"other", &manifest(&["l/layer.tar"])).finish());
    let (expected, found) = (Digest::of(b"layer").to_string(), Digest::of(b"other").to_string());
    assert_says(&error, &["l/layer.tar", &expected, &found]);
}

#[test]
fn content_that_does_not_match_a_name_that_is_a_digest_is_refused() {
    let sample = [Sample::new("x:1", &["base"])];
    for bytes in [classic(&sample), layout(&sample, Compression::None, true)] {
        // The configuration stays valid JSON: only its digest tells.
        let text = b"amd64";
        let at = bytes.windows(5).position(|window| window == text).unwrap();
        let mut bytes = bytes;
        bytes[at..at + 5].copy_from_slice(b"arm64");
        assert!(matches!(refusal(bytes), ArchiveError::DigestMismatch { .. }));
    }
    let compressed = layout(&sample, Compression::Gzip, true);
    let at = compressed.windows(2).position(|window| window == [0x1f, 0x8b]).unwrap();
    let mut damaged = compressed;
    damaged[at + 12] ^= 0x40;
    assert!(matches!(refusal(damaged), ArchiveError::DigestMismatch { .. }));
}

#[test]
fn layers_that_configuration_and_manifest_count_differently_are_refused() {
    let error = refusal(one(&config(&[b"layer"]), b"layer", &manifest(&[])).finish());
    assert!(matches!(error, ArchiveError::LayerCount { diff_ids: 1, layers: 0, .. }));
}

#[test]
fn compressed_layers_that_do_not_unpack_are_named() {
    let packed = compress(Compression::Gzip, &vec![7; 10_000]);
    let cut = one(&config(&[b"layer"]), &packed[..packed.len() - 9], &manifest(&["l/layer.tar"]));
    assert!(matches!(refusal(cut.finish()), ArchiveError::BadLayer { entry, .. } if entry == "l/layer.tar"));
    let bzip2 = one(&config(&[b"layer"]), b"BZh91AY&SY", &manifest(&["l/layer.tar"]));
    assert_says(&refusal(bzip2.finish()), &["l/layer.tar", "bzip2"]);
}

#[test]
fn a_foreign_layer_that_is_not_in_the_archive_is_called_that() {
    let layer_digest = Digest::of(b"layer").to_string();
    let docker = json!([{ "Config": "c", "RepoTags": ["x:1"], "Layers": ["l/layer.tar"],
        "LayerSources": { layer_digest: { "urls": ["https://example.test/layer"] } } }]);
    let absent = Tarball::new().json("c", &config(&[b"layer"])).json("manifest.json", &docker);
    let error = refusal(absent.finish());
    assert!(matches!(&error, ArchiveError::Foreign { entry } if entry == "l/layer.tar"), "{error:?}");
    assert!(error.hint().unwrap().contains("pull the image on the host"));
    Archive::open(one(&config(&[b"layer"]), b"layer", &docker).finish()).unwrap();

    let config = config(&[b"layer"]).to_string();
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", hex(bytes));
    let manifest = json!({ "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(config.as_bytes()) },
        "layers": [{ "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": Digest::of(b"elsewhere") }] })
    .to_string();
    let index = json!({ "manifests": [{ "digest": Digest::of(manifest.as_bytes()) }] });
    let oci = Tarball::new().file(&blob(config.as_bytes()), &config).file(&blob(manifest.as_bytes()), &manifest);
    assert!(matches!(refusal(oci.json("index.json", &index).finish()), ArchiveError::Foreign { .. }));
}

#[test]
fn a_bomb_among_the_layers_stops_at_the_limit() {
    let bomb = compress(Compression::Zstd, &vec![0; 32 << 20]);
    let bytes = one(&config(&[b"layer"]), &bomb, &manifest(&["l/layer.tar"])).finish();
    let error = refusal_within(bytes, Limits { unpacked: 1 << 20, ..Limits::default() });
    assert_says(&error, &["l/layer.tar", "1048576"]);
}

#[test]
fn compressed_layers_share_one_limit() {
    let layers = [vec![1; 600_000], vec![2; 600_000]];
    let tarball = layers
        .iter()
        .enumerate()
        .fold(Tarball::new(), |tarball, (n, layer)| tarball.file(&n.to_string(), compress(Compression::Gzip, layer)));
    let bytes =
        tarball.json("c", &config(&[&layers[0], &layers[1]])).json("manifest.json", &manifest(&["0", "1"])).finish();
    let unpacked = |unpacked| Limits { unpacked, ..Limits::default() };
    let error = refusal_within(bytes.clone(), unpacked(1_199_999));
    assert!(matches!(error, ArchiveError::UnpacksTooLarge { entry, .. } if entry == "1"));
    let options = Options { limits: unpacked(1_200_000), ..Options::default() };
    Archive::open_with(bytes, &options, &mut |_| ()).unwrap();
}

#[test]
fn an_unwritable_spool_is_named_with_the_layer() {
    let sample = [Sample::new("x:1", &["base"])];
    let options = Options { spool_directory: "/nonexistent".into(), ..Options::default() };
    let bytes = layout(&sample, Compression::Gzip, true);
    let error = Archive::open_with(bytes, &options, &mut |_| ()).unwrap_err();
    assert!(matches!(error, ArchiveError::Unpack { .. }), "{error:?}");
}

#[derive(Debug)]
struct Failing(Vec<u8>, u64);

impl ReadAt for Failing {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        // EIO, as a dying disk says it.
        if offset >= self.1 { Err(std::io::Error::from_raw_os_error(5)) } else { self.0.read_at(buffer, offset) }
    }

    fn size(&self) -> std::io::Result<u64> {
        self.0.size()
    }
}

#[test]
fn a_failing_disk_is_named_with_the_byte() {
    for from in [512, 1024] {
        let error = Archive::open(Failing(honest().finish(), from)).unwrap_err();
        assert!(matches!(error, ArchiveError::Read { .. }), "{error:?}");
    }
}
