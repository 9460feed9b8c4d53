use proptest::prelude::*;

use super::super::testing::{Sample, classic, layout};
use super::super::{ArchiveError, Compression, Expected};
use super::*;

fn written(plan: &PartialArchive, archive: &Archive<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    plan.write_to(archive, &mut out).unwrap();
    assert_eq!(out.len() as u64, plan.size());
    out
}

fn entries(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        io::copy(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

fn full(archive: &Archive<Vec<u8>>) -> PartialArchive {
    PartialArchive::plan(archive.images().iter().map(|image| (image, 0)))
}

fn clock() -> Archive<Vec<u8>> {
    let samples = [
        Sample::new("clock-backend", &["base", "libs", "binary"]),
        Sample::new("clock-frontend", &["base", "libs", "nginx", "base"]),
    ];
    Archive::open(classic(&samples)).unwrap()
}

fn by_tag<'a>(archive: &'a Archive<Vec<u8>>, name: &str) -> &'a ArchivedImage {
    let name = name.parse().unwrap();
    archive.images().iter().find(|image| image.tags.contains(&name)).unwrap()
}

#[test]
fn source_form_does_not_show_in_what_is_written() {
    let samples = [Sample::new("x:1", &["a", "b", "a"]), Sample::new("y:1", &["a", "c"])];
    let from_classic = Archive::open(classic(&samples)).unwrap();
    let expected = written(&full(&from_classic), &from_classic);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let archive = Archive::open(layout(&samples, compression, true)).unwrap();
        assert!(written(&full(&archive), &archive) == expected, "{compression}");
    }
}

#[test]
fn what_was_written_reads_back_and_writes_the_same_again() {
    let archive = clock();
    let first = written(&full(&archive), &archive);
    let again = Archive::open(first.clone()).unwrap();
    let diff_ids = |archive: &Archive<Vec<u8>>| {
        archive.images().iter().map(|i| (i.config, (i.tags.clone(), i.diff_ids()))).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(diff_ids(&again), diff_ids(&archive));
    assert!(written(&full(&again), &again) == first);
}

#[test]
fn held_layers_are_named_but_not_sent() {
    let archive = clock();
    let image = by_tag(&archive, "clock-backend");
    let plan = PartialArchive::plan([(image, 2)]);
    let sent: Vec<_> = plan.layers().map(|layer| layer.diff_id).collect();
    assert_eq!(sent, [image.layers[2].diff_id]);
    let bytes = written(&plan, &archive);
    let manifest = String::from_utf8(entries(&bytes)["manifest.json"].clone()).unwrap();
    assert!(image.layers.iter().all(|layer| manifest.contains(&layer.diff_id.digest().hex())));
    let error = Archive::open(bytes).unwrap_err();
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
}

#[test]
fn a_layer_held_for_one_image_is_sent_when_another_needs_it() {
    let archive = clock();
    let (backend, frontend) = (by_tag(&archive, "clock-backend"), by_tag(&archive, "clock-frontend"));
    let plan = PartialArchive::plan([(backend, 3), (frontend, 2)]);
    let sent: Vec<_> = plan.layers().map(|layer| layer.diff_id).collect();
    // "base" comes again at the top of the frontend.
    assert!(sent.contains(&frontend.layers[3].diff_id) && sent.contains(&frontend.layers[2].diff_id));
    assert_eq!(sent.len(), 2);
}

#[test]
fn omitting_leaves_the_manifest_digest_as_it_is() {
    let archive = clock();
    let image = by_tag(&archive, "clock-backend");
    let digest = PartialArchive::manifest_digest(image);
    assert_eq!(Expected::of(image).manifest, digest);
    for omitted in [0, 2, 3, 99] {
        let bytes = written(&PartialArchive::plan([(image, omitted)]), &archive);
        let entries = entries(&bytes);
        let manifest = &entries[&blob(digest.digest())];
        assert_eq!(Digest::of(manifest), digest.digest());
        assert!(String::from_utf8_lossy(&entries["index.json"]).contains(&digest.to_string()));
    }
}

#[test]
fn names_are_full_and_every_tag_is_listed() {
    let archive = clock();
    let mut image = by_tag(&archive, "clock-backend").clone();
    image.tags.push("localhost:5000/clock:2".parse().unwrap());
    let entries = entries(&written(&PartialArchive::plan([(&image, 0)]), &archive));
    let index: serde_json::Value = serde_json::from_slice(&entries["index.json"]).unwrap();
    let annotation = |n: usize, key: &str| index["manifests"][n]["annotations"][key].as_str().unwrap().to_owned();
    assert_eq!(annotation(0, "io.containerd.image.name"), "docker.io/library/clock-backend:latest");
    assert_eq!(annotation(0, "org.opencontainers.image.ref.name"), "latest");
    assert_eq!(annotation(1, "io.containerd.image.name"), "localhost:5000/clock:2");
    let manifest: serde_json::Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "docker.io/library/clock-backend:latest");
    assert_eq!(manifest[0]["RepoTags"][1], "localhost:5000/clock:2");
}

#[test]
fn an_image_listed_twice_is_written_once_with_all_names_and_layers() {
    let archive = clock();
    let image = by_tag(&archive, "clock-backend");
    let mut alias = image.clone();
    alias.tags = vec!["alias:1".parse().unwrap()];
    let plan = PartialArchive::plan([(image, 3), (&alias, 1)]);
    assert_eq!(plan.layers().count(), 2);
    let bytes = written(&plan, &archive);
    let manifest: serde_json::Value = serde_json::from_slice(&entries(&bytes)["manifest.json"]).unwrap();
    assert_eq!(manifest.as_array().unwrap().len(), 1);
    assert_eq!(manifest[0]["RepoTags"].as_array().unwrap().len(), 2);
}

struct Full(usize);

impl Write for Full {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = buffer.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_receiver_that_goes_away_is_named() {
    let archive = clock();
    let plan = full(&archive);
    for room in (0..plan.size() as usize).step_by(700) {
        let error = plan.write_to(&archive, &mut Full(room)).unwrap_err();
        assert!(matches!(error, PartialError::Write { .. }), "{error:?}");
    }
}

#[test]
fn an_archive_that_shrank_since_it_was_opened_is_named() {
    let archive = clock();
    let mut plan = full(&archive);
    for content in plan.entries.values_mut() {
        if let Content::Layer(layer) = content {
            layer.size = 1 << 20;
        }
    }
    let error = plan.write_to(&archive, &mut io::sink()).unwrap_err();
    assert!(matches!(error, PartialError::Read { .. }), "{error:?}");
}

proptest! {
    #[test]
    fn held_part_and_sent_part_are_the_whole(
        contents in prop::collection::vec("[a-c]{0,1}", 0..7),
        omitted in 0_usize..8,
    ) {
        let contents: Vec<_> = contents.iter().map(String::as_str).collect();
        let archive = Archive::open(classic(&[Sample::new("x:1", &contents)])).unwrap();
        let image = &archive.images()[0];
        let bytes = written(&PartialArchive::plan([(image, omitted)]), &archive);
        let sent = entries(&bytes);
        for (position, layer) in image.layers.iter().enumerate() {
            let blob = sent.get(&blob(layer.diff_id.digest()));
            prop_assert!(position < omitted || blob.is_some());
            prop_assert!(blob.is_none_or(|bytes| Digest::of(bytes) == layer.diff_id.digest()));
        }
        let names: Vec<_> = sent.keys().cloned().collect();
        let mut order: Vec<_> = tar::Archive::new(&bytes[..]).entries().unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned()).collect();
        prop_assert_eq!(order.clone(), names);
        order.dedup();
        prop_assert_eq!(order.len(), sent.len());
    }
}
