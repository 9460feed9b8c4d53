//! Layers of every kind of entry: what is read, written, loaded and saved again is the same, byte for byte.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tar::{Builder, EntryType, Header};
use toolbox::image::{Archive, ArchivedImage, Digest, PartialArchive};

/// One entry of a layer.
#[derive(Debug, Clone)]
struct Entry {
    kind: Kind,
    name: String,
    mode: u32,
    owner: u64,
    time: u64,
    /// Extended attributes, as pax records.
    attributes: Vec<(String, String)>,
    /// GNU's long name or a pax record where the name does not fit.
    is_gnu: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    File(Vec<u8>),
    Directory,
    Symlink(String),
    /// To the file made last.
    HardLink,
    Device(u32, u32),
    Fifo,
    /// Hides a file of a lower layer.
    Whiteout,
    /// Hides a whole directory of a lower layer.
    Opaque,
    /// A hole of this many blocks, then a block.
    Sparse(u64),
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}",
        2 => "(d|e)/[a-c]{1,3}",
        1 => "[a-z]{90,120}",
        1 => "(d/){3}[a-z]{99,101}/[a-z]{150}",
        1 => "[äöü€ ]{1,40}",
    ]
}

fn kind(is_exotic: bool) -> BoxedStrategy<Kind> {
    let common = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..1500).prop_map(Kind::File),
        2 => Just(Kind::Directory),
        2 => "(/|\\.\\./|)[a-c/]{1,110}".prop_map(Kind::Symlink),
        2 => Just(Kind::HardLink),
        1 => Just(Kind::Fifo),
        2 => Just(Kind::Whiteout),
        1 => Just(Kind::Opaque),
    ];
    if !is_exotic {
        return common.boxed();
    }
    let devices = (0..300_u32, 0..70_000_u32).prop_map(|(major, minor)| Kind::Device(major, minor));
    prop_oneof![13 => common, 1 => devices, 1 => (1..5_u64).prop_map(Kind::Sparse)].boxed()
}

fn entry(is_exotic: bool) -> impl Strategy<Value = Entry> {
    let attribute = ("user\\.[a-z]{1,8}", "[a-z]{0,20}");
    let attributes = prop::collection::vec(attribute, if is_exotic { 0..3 } else { 0..1 });
    let numbers = (0..0o7777_u32, 0..3_000_000_u64, 0..2_000_000_000_u64);
    (kind(is_exotic), name(), numbers, attributes, any::<bool>()).prop_map(
        |(kind, name, (mode, owner, time), attributes, is_gnu)| Entry {
            kind,
            name,
            mode,
            owner,
            time,
            attributes,
            is_gnu,
        },
    )
}

fn layers(is_exotic: bool) -> impl Strategy<Value = Vec<Vec<Entry>>> {
    prop::collection::vec(prop::collection::vec(entry(is_exotic), 0..12), 1..4)
}

/// The tar of a layer. What comes second under a name stays away: engines differ in what they make of it.
fn tarball(entries: &[Entry]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut names = std::collections::BTreeSet::new();
    let mut file: Option<String> = None;
    for directory in ["d", "e", "d/d", "d/d/d"] {
        names.insert(directory.to_owned());
        let mut header = header(EntryType::Directory, 0o755, 0);
        builder.append_data(&mut header, directory, &b""[..]).unwrap();
    }
    for entry in entries {
        let name = full_name(entry);
        if names.insert(name.clone()) && !(matches!(entry.kind, Kind::HardLink) && file.is_none()) {
            append(&mut builder, entry, &name, file.as_deref());
            file = if matches!(entry.kind, Kind::File(_)) { Some(name) } else { file };
        }
    }
    builder.into_inner().unwrap()
}

fn full_name(entry: &Entry) -> String {
    let (folder, base) = entry.name.rsplit_once('/').map_or(("", entry.name.as_str()), |(f, b)| (f, b));
    let base = match entry.kind {
        Kind::Whiteout => format!(".wh.{base}"),
        Kind::Opaque => ".wh..wh..opq".to_owned(),
        _ => base.to_owned(),
    };
    if folder.is_empty() { base } else { format!("{folder}/{base}") }
}

fn header(kind: EntryType, mode: u32, owner: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner / 2);
    header.set_size(0);
    header
}

fn append(builder: &mut Builder<Vec<u8>>, entry: &Entry, name: &str, file: Option<&str>) {
    let records = entry.attributes.iter().map(|(key, value)| (format!("SCHILY.xattr.{key}"), value.clone()));
    let mut records: Vec<(String, String)> = records.collect();
    if !entry.is_gnu && name.len() > 100 {
        records.push(("path".into(), name.into()));
    }
    let records = records.iter().map(|(key, value)| (key.as_str(), value.as_bytes()));
    builder.append_pax_extensions(records).unwrap();
    let make = |kind| {
        let mut header = header(kind, entry.mode, entry.owner);
        header.set_mtime(entry.time);
        header
    };
    // A name in a pax record stands before one that is cut off.
    let name = if entry.is_gnu || name.len() <= 100 { name } else { "cut-off" };
    match &entry.kind {
        Kind::File(content) => {
            let mut header = make(EntryType::Regular);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, &content[..]).unwrap();
        }
        Kind::Directory => builder.append_data(&mut make(EntryType::Directory), name, &b""[..]).unwrap(),
        Kind::Symlink(target) => builder.append_link(&mut make(EntryType::Symlink), name, target).unwrap(),
        Kind::HardLink => builder.append_link(&mut make(EntryType::Link), name, file.unwrap()).unwrap(),
        Kind::Device(major, minor) => {
            let mut header = make(EntryType::Char);
            header.set_device_major(*major).unwrap();
            header.set_device_minor(*minor).unwrap();
            builder.append_data(&mut header, name, &b""[..]).unwrap();
        }
        Kind::Fifo => builder.append_data(&mut make(EntryType::Fifo), name, &b""[..]).unwrap(),
        Kind::Whiteout | Kind::Opaque => builder.append_data(&mut make(EntryType::Regular), name, &b""[..]).unwrap(),
        Kind::Sparse(hole) => {
            let mut header = make(EntryType::GNUSparse);
            header.set_size(512);
            let gnu = header.as_gnu_mut().unwrap();
            gnu.set_real_size(hole * 512 + 512);
            gnu.sparse[0].set_offset(hole * 512);
            gnu.sparse[0].set_length(512);
            builder.append_data(&mut header, name, &[7; 512][..]).unwrap();
        }
    }
}

/// The saved tarball of an image with these layers.
fn saved(name: &str, layers: &[Vec<u8>], is_compressed: bool) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut put = |name: &str, content: &[u8]| {
        let mut header = header(EntryType::Regular, 0o644, 0);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    };
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let names: Vec<String> = (0..layers.len()).map(|n| format!("{n}/layer.tar")).collect();
    for (name, layer) in names.iter().zip(layers) {
        let packed = if is_compressed { zstd::encode_all(&layer[..], 1).unwrap() } else { layer.clone() };
        put(name, &packed);
    }
    let config = json!({ "os": "linux", "architecture": crate::engine::architecture(), "config": { "Cmd": ["/x"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    put("config", config.to_string().as_bytes());
    let manifest = json!([{ "Config": "config", "RepoTags": [name], "Layers": names }]);
    put("manifest.json", manifest.to_string().as_bytes());
    builder.into_inner().unwrap()
}

fn contents(archive: &Archive<Vec<u8>>, image: &ArchivedImage) -> Vec<Vec<u8>> {
    let read = |layer| {
        let mut bytes = Vec::new();
        archive.layer(layer).read_to_end(&mut bytes).unwrap();
        bytes
    };
    image.layers.iter().map(read).collect()
}

fn written(archive: &Archive<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let images = archive.images().iter().map(|image| (image, 0));
    PartialArchive::plan(images).write_to(archive, &mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layers_of_every_kind_of_entry_come_out_as_they_went_in(trees in layers(true), is_compressed in any::<bool>()) {
        let layers: Vec<Vec<u8>> = trees.iter().map(|tree| tarball(tree)).collect();
        let archive = Archive::open(saved("trees:1", &layers, is_compressed)).unwrap();
        prop_assert!(contents(&archive, &archive.images()[0]) == layers);
        let again = Archive::open(written(&archive)).unwrap();
        prop_assert!(contents(&again, &again.images()[0]) == layers);
    }
}

/// Runs docker with this input; its whole output.
fn docker(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("docker is installed");
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let sent = writer.join().unwrap();
    assert!(output.status.success() && sent.is_ok(), "docker {arguments:?}");
    output.stdout
}

/// Devices, sparse files and attributes are left out: whether they can be made depends on the machine.
#[test]
fn engine_gives_back_the_layers_that_were_loaded() {
    if std::env::var_os("TOOLBOX_TEST_ENGINE").is_none() {
        eprintln!("engine_gives_back_the_layers_that_were_loaded: not run, TOOLBOX_TEST_ENGINE is not set");
        return;
    }
    let name = format!("toolbox-it-trees-{}:1", std::process::id());
    let mut runner = TestRunner::deterministic();
    for _ in 0..12 {
        let trees = layers(false).new_tree(&mut runner).unwrap().current();
        let layers: Vec<Vec<u8>> = trees.iter().map(|tree| tarball(tree)).collect();
        let archive = Archive::open(saved(&name, &layers, false)).unwrap();
        docker(&["load", "--quiet"], &written(&archive));
        let again = Archive::open(docker(&["save", &name], b"")).unwrap();
        docker(&["image", "rm", &name], b"");
        assert!(contents(&again, &again.images()[0]) == layers, "{trees:?}");
        assert_eq!(again.images()[0].config, archive.images()[0].config);
    }
}
