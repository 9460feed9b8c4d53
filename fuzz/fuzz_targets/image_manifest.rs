//! Whatever the JSON documents of an archive say: they are refused, or lead to layers that are what they are named.
//!
//! The input is a list of files: a byte for the kind, two for the length, the content. `@0` to `@9` in a content stands
//! for the digest of that file, so that the fuzzer need not find digests; `%0` for its name in a tarball.
#![no_main]

use std::io::Read as _;

use libfuzzer_sys::fuzz_target;
use toolbox::image::{Archive, DiffId, Digest, Limits, Options, PartialArchive};

fuzz_target!(|input: &[u8]| {
    let options = Options {
        limits: Limits { entries: 1000, json: 64 << 10, documents: 1 << 20, unpacked: 1 << 20 },
        ..Options::default()
    };
    let Ok(archive) = Archive::open_with(tarball(input), &options, &mut |_| ()) else { return };
    for image in archive.images() {
        assert_eq!(Digest::of(&image.config_json), image.config.digest());
        for layer in &image.layers {
            let mut content = Vec::new();
            archive.layer(layer).read_to_end(&mut content).unwrap();
            assert_eq!(DiffId::from(Digest::of(&content)), layer.diff_id);
        }
    }
    let plan = PartialArchive::plan(archive.images().iter().map(|image| (image, 0)));
    if plan.size() < 4 << 20 {
        let mut written = Vec::new();
        plan.write_to(&archive, &mut written).unwrap();
        Archive::open(written).unwrap();
    }
});

fn tarball(input: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut files: Vec<(String, Digest)> = Vec::new();
    for (kind, content) in split(input) {
        let content = resolved(content, &files);
        let digest = Digest::of(&content);
        let name = match kind % 4 {
            0 => format!("blobs/sha256/{}", digest.hex()),
            1 => format!("{}.json", digest.hex()),
            2 => "index.json".to_owned(),
            _ => "manifest.json".to_owned(),
        };
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, &name, &content[..]).unwrap();
        files.push((name, digest));
    }
    builder.into_inner().unwrap()
}

fn split(mut input: &[u8]) -> Vec<(u8, &[u8])> {
    let mut files = Vec::new();
    while let [kind, high, low, rest @ ..] = input {
        let (content, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()));
        files.push((*kind, content));
        input = rest;
    }
    files
}

fn resolved(content: &[u8], files: &[(String, Digest)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let file =
            content.get(at + 1).filter(|digit| digit.is_ascii_digit()).and_then(|d| files.get(usize::from(d - b'0')));
        match (content[at], file) {
            (b'@', Some((_, digest))) => out.extend(digest.to_string().bytes()),
            (b'%', Some((name, _))) => out.extend(name.bytes()),
            (byte, _) => {
                out.push(byte);
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    out
}
