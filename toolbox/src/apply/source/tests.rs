use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::image::{Digest, Location, PartialArchive};

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A tarball of these files.
fn tarball(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, &content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An OCI layout under construction.
#[derive(Default)]
struct Oci {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: Vec<Value>,
}

impl Oci {
    fn blob(&mut self, content: Vec<u8>) -> Value {
        let digest = Digest::of(&content);
        self.blobs.insert(digest.hex(), content);
        json!({ "digest": digest })
    }

    /// A manifest of an image with these layers.
    fn image(&mut self, architecture: &str, variant: &str, layers: &[&str]) -> Value {
        let layers: Vec<Vec<u8>> =
            layers.iter().map(|text| tarball(&[("file".into(), text.as_bytes().to_vec())])).collect();
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({ "os": "linux", "architecture": architecture, "variant": variant,
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let mut config = self.blob(config.to_string().into_bytes());
        config["mediaType"] = OCI_CONFIG.into();
        let layers: Vec<Value> = layers.into_iter().map(|layer| self.blob(layer)).collect();
        self.blob(json!({ "config": config, "layers": layers }).to_string().into_bytes())
    }

    fn index(&mut self, platforms: &[Value]) -> Value {
        self.blob(json!({ "manifests": platforms }).to_string().into_bytes())
    }

    fn tag(&mut self, mut child: Value, name: &str) {
        child["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        self.manifests.push(child);
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let index = json!({ "schemaVersion": 2, "manifests": self.manifests }).to_string();
        let blobs = self.blobs.iter().map(|(hex, content)| (format!("blobs/sha256/{hex}"), content.clone()));
        blobs.chain([("index.json".to_owned(), index.into_bytes())]).collect()
    }
}

/// `web:1` for three platforms, `db:1` for one, sharing their lowest layer.
fn multi() -> (Oci, String) {
    let mut oci = Oci::default();
    let mut attestation = oci.image("unknown", "", &[]);
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    let mut platforms: Vec<Value> =
        [("amd64", ""), ("arm", "v6"), ("arm", "v7")].map(|(a, v)| oci.image(a, v, &["base", a, v])).into();
    platforms.push(attestation);
    let index = oci.index(&platforms);
    let digest = index["digest"].as_str().unwrap().to_owned();
    oci.tag(index, "web:1");
    let db = oci.image("amd64", "", &["base", "db"]);
    oci.tag(db, "db:1");
    (oci, digest)
}

async fn open(paths: &[&Path]) -> Result<Arc<ImageSource>, SourceError> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    ImageSource::files(&paths, &std::env::temp_dir()).await.map(Arc::new)
}

async fn hand(source: &ImageSource, names: &[&str]) -> Result<AtHand, SourceError> {
    let names = names.iter().map(|name| ((*name).to_owned(), "service".to_owned()));
    source.describe(&names.collect()).await
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn unpack(tarball: &[u8], directory: PathBuf) -> PathBuf {
    tar::Archive::new(tarball).unpack(&directory).unwrap();
    directory
}

fn whole(archive: &Spool, image: &DesiredImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let found = find(archive, &image.reference).unwrap();
    PartialArchive::plan([(found, 0)]).write_to(archive, &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn every_kind_of_file_gives_each_host_the_image_of_its_platform() {
    let temporary = tempfile::tempdir().unwrap();
    let plain = tarball(&multi().0.files());
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let paths = [
        write(temporary.path(), "plain.tar", &plain),
        write(temporary.path(), "zstd.tar", &zstd),
        unpack(&plain, temporary.path().join("layout")),
    ];
    for path in paths {
        let source = open(&[&path]).await.unwrap();
        let at_hand = hand(&source, &["web:1", "db:1", "other"]).await.unwrap();
        let mut sent = BTreeSet::new();
        for (architecture, variant) in [("amd64", ""), ("arm", "v6"), ("arm", "v7")] {
            let image = at_hand.for_host(architecture, variant).remove("web:1").unwrap();
            assert_eq!(image.facts.architecture, architecture);
            let supplies = source.fetch(std::slice::from_ref(&image), None).await.unwrap();
            let [supply] = &supplies[..] else { panic!("{} supplies", supplies.len()) };
            let [read] = supply.spool().images() else { panic!("more than the image of the platform") };
            assert_eq!(read.diff_ids(), image.facts.layers);
            assert_eq!(read.platform.variant.as_deref().unwrap_or_default(), variant);
            sent.insert(whole(supply.spool(), &image));
        }
        assert_eq!(sent.len(), 3);
        assert!(!at_hand.for_host("amd64", "").contains_key("other"));
        assert_eq!(at_hand.for_host("s390x", "")["web:1"].facts.architecture, "amd64, arm/v6, arm/v7");
    }
}

#[tokio::test]
async fn layers_that_no_host_lacks_are_left_out_and_still_to_be_had() {
    let temporary = tempfile::tempdir().unwrap();
    let path = write(temporary.path(), "images.tar", &tarball(&multi().0.files()));
    let source = open(&[&path]).await.unwrap();
    let images: Vec<DesiredImage> =
        hand(&source, &["web:1", "db:1"]).await.unwrap().for_host("amd64", "").into_values().collect();
    let wanted: BTreeSet<DiffId> = images.iter().flat_map(|image| image.facts.layers[1..].to_vec()).collect();
    let supplies = source.fetch(&images, Some(&wanted)).await.unwrap();
    let spool = supplies[0].spool();
    assert!(!spool.is_whole());
    for image in &images {
        let read = find(spool, &image.reference).unwrap();
        assert_eq!(read.layers[0].location, Location::LeftOut);
        assert!(read.layers[1..].iter().all(|layer| layer.location != Location::LeftOut));
        // The plan's count of bytes, and the manifest, need the sizes of all.
        let sizes = desired(image.reference.clone(), read).layer_sizes;
        assert!(image.facts.layers.iter().all(|layer| sizes[layer] > 0));
        let nothing_left_out = source.fetch(std::slice::from_ref(image), None).await.unwrap();
        assert_eq!(whole(supplies[0].whole().await.unwrap(), image), whole(nothing_left_out[0].spool(), image));
    }
}

#[tokio::test]
async fn images_of_several_files_are_found_in_the_one_that_has_them() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (Oci::default(), Oci::default());
    let (one, both) = (first.image("amd64", "", &["one"]), first.image("amd64", "", &["both"]));
    first.tag(one, "one:1");
    first.tag(both.clone(), "both:1");
    let two = second.image("amd64", "", &["two"]);
    second.image("amd64", "", &["both"]);
    second.tag(two, "two:1");
    second.tag(both, "both:1");
    let first = write(temporary.path(), "first.tar", &tarball(&first.files()));
    let second = write(temporary.path(), "second.tar", &tarball(&second.files()));
    let source = open(&[&first, &second]).await.unwrap();
    let at_hand = hand(&source, &["one:1", "two:1", "both:1"]).await.unwrap().for_host("amd64", "");
    let images: Vec<DesiredImage> = at_hand.into_values().collect();
    let supplies = source.fetch(&images, None).await.unwrap();
    let held: Vec<usize> = supplies.iter().map(|supply| supply.spool().images().len()).collect();
    assert_eq!(held, [2, 1], "an image that both have is read from the first");

    let mut other = Oci::default();
    let changed = other.image("amd64", "", &["changed"]);
    other.tag(changed, "both:1");
    let other = write(temporary.path(), "other.tar", &tarball(&other.files()));
    let error = hand(&open(&[&first, &other]).await.unwrap(), &["both:1"]).await.unwrap_err();
    let text = error.to_string();
    assert!(["both:1", "linux/amd64", "first.tar", "other.tar"].iter().all(|part| text.contains(part)), "{text}");
}

#[tokio::test]
async fn an_image_named_by_its_digest_is_found_by_that_of_its_manifest_or_index() {
    let temporary = tempfile::tempdir().unwrap();
    let (oci, index) = multi();
    let path = write(temporary.path(), "images.tar", &tarball(&oci.files()));
    let source = open(&[&path]).await.unwrap();
    let db = oci.manifests[1]["digest"].as_str().unwrap();
    let (by_index, by_manifest) = (format!("web@{index}"), format!("anything@{db}"));
    let unknown = format!("web@{}", Digest::of(b"unknown"));
    let at_hand = hand(&source, &[&by_index, &by_manifest, &unknown]).await.unwrap();
    let images = at_hand.for_host("arm", "v7");
    assert_eq!(images[&by_index].facts.architecture, "arm");
    assert!(!images.contains_key(&unknown));
    let image = at_hand.for_host("amd64", "").remove(&by_manifest).unwrap();
    assert_eq!(image.reference.full(), format!("docker.io/library/anything:{}", db.replace(':', "-")));
    let supplies = source.fetch(std::slice::from_ref(&image), None).await.unwrap();
    assert!(!whole(supplies[0].spool(), &image).is_empty());
}

#[tokio::test]
async fn images_without_names_are_said_to_have_none() {
    let temporary = tempfile::tempdir().unwrap();
    let mut oci = Oci::default();
    let image = oci.image("amd64", "", &["base"]);
    oci.tag(image, "latest");
    let path = write(temporary.path(), "images.tar", &tarball(&oci.files()));
    let error = hand(&open(&[&path]).await.unwrap(), &["web:1"]).await.unwrap_err();
    assert!(matches!(&error, SourceError::Nameless { file } if file.ends_with("images.tar")), "{error}");
    assert!(error.hint().unwrap().contains("skopeo copy"));
}

#[tokio::test]
async fn standard_input_is_read_for_one_of_the_files_alone() {
    let input = Path::new("-");
    let Err(error) = open(&[input, input]).await else { panic!("read twice") };
    assert!(matches!(error, SourceError::StandardInput(_)), "{error}");
}

#[tokio::test]
async fn a_pipe_is_read_once_as_a_stream() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let (bytes, pipe) = (tarball(&multi().0.files()), path.clone());
    let writer = std::thread::spawn(move || fs::write(pipe, bytes).unwrap());
    let source = open(&[&path]).await.unwrap();
    writer.join().unwrap();
    let image = hand(&source, &["db:1"]).await.unwrap().for_host("amd64", "").remove("db:1").unwrap();
    assert_eq!(source.fetch(&[image], None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_layer_that_changes_between_plan_and_sending_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let mut bytes = tarball(&multi().0.files());
    let path = write(temporary.path(), "images.tar", &bytes);
    let source = open(&[&path]).await.unwrap();
    let image = hand(&source, &["db:1"]).await.unwrap().for_host("amd64", "").remove("db:1").unwrap();
    let at = bytes.windows(4).position(|window| window == b"db\0\0").unwrap();
    assert!(bytes[at - 512..at].starts_with(b"file"), "the content of the upper layer");
    bytes[at] = b'x';
    fs::write(&path, bytes).unwrap();
    let Err(error) = source.fetch(&[image], None).await else { panic!("was read") };
    assert!(matches!(error, SourceError::Archive { .. }), "{error}");
}

/// The tarball that we would send of an image with these layers.
async fn sendable(name: &str, layers: &[&str]) -> Vec<u8> {
    let temporary = tempfile::tempdir().unwrap();
    let mut oci = Oci::default();
    let image = oci.image("amd64", "", layers);
    oci.tag(image, name);
    let source = open(&[&write(temporary.path(), "images.tar", &tarball(&oci.files()))]).await.unwrap();
    let image = hand(&source, &[name]).await.unwrap().for_host("amd64", "").remove(name).unwrap();
    whole(source.fetch(std::slice::from_ref(&image), None).await.unwrap()[0].spool(), &image)
}

fn run(program: &str, arguments: &[&str]) {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_local_engines_images_are_read_with_and_without_what_no_host_lacks() {
    if std::env::var_os("TOOLBOX_TEST_ENGINE").is_none() {
        eprintln!("the local engine's images: not run, TOOLBOX_TEST_ENGINE is not set");
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let name = format!("toolbox-it-source-{}:1", std::process::id());
    let below = name.repeat(10_000);
    let sent = sendable(&name, &[&below, "above"]).await;
    run("docker", &["load", "--input", write(temporary.path(), "sent.tar", &sent).to_str().unwrap()]);
    let socket = Path::new("/var/run/docker.sock");
    let source = Arc::new(ImageSource::engine(socket, temporary.path()).await.unwrap());
    let image = hand(&source, &[&name]).await.unwrap().for_host("amd64", "").remove(&name);
    let read = async {
        let image = image.unwrap();
        let wanted = BTreeSet::from([image.facts.layers[1]]);
        let supplies = source.fetch(std::slice::from_ref(&image), Some(&wanted)).await.unwrap();
        let found = find(supplies[0].spool(), &image.reference).unwrap();
        assert_eq!(found.layers[0].location, Location::LeftOut);
        assert!(found.layers[0].size > below.len() as u64);
        assert_ne!(found.layers[1].location, Location::LeftOut);
        whole(supplies[0].whole().await.unwrap(), &image)
    };
    let whole = read.await;
    run("docker", &["image", "rm", &name]);
    assert!(whole == sent);
    assert!(fs::read_dir(temporary.path()).unwrap().all(|file| file.unwrap().file_name() == "sent.tar"));
}

#[tokio::test]
async fn a_layout_that_skopeo_made_is_read_as_it_lies() {
    if std::process::Command::new("skopeo").arg("--version").output().is_err() {
        eprintln!("a layout that skopeo made: not run, there is no skopeo");
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let sent = sendable("shop/web:2", &["base", "web"]).await;
    let tarball = write(temporary.path(), "sent.tar", &sent);
    let directory = temporary.path().join("layout");
    let (from, to) = (format!("docker-archive:{}", tarball.display()), format!("oci:{}", directory.display()));
    run("skopeo", &["copy", "--insecure-policy", &from, &format!("{to}:shop/web:2")]);
    let source = open(&[&directory]).await.unwrap();
    let image = hand(&source, &["shop/web:2"]).await.unwrap().for_host("amd64", "").remove("shop/web:2").unwrap();
    let supplies = source.fetch(std::slice::from_ref(&image), None).await.unwrap();
    let read = find(supplies[0].spool(), &image.reference).unwrap();
    let again = Archive::open(sent).unwrap();
    assert_eq!(read.diff_ids(), again.images()[0].diff_ids());
    assert!(read.layers.iter().all(|layer| matches!(layer.location, Location::Unpacked { .. })), "skopeo compresses");
}
