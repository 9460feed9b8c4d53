//! The helper's image: one static program in an otherwise empty root, made here, from the program's bytes.
//!
//! Contract: pure; equal programs give equal bytes. What comes out is a tarball like one that was saved:
//! [`super::spool`] and [`super::Archive`] take it, and from there it is an image like any other. Its name
//! holds the program's digest, so that another version is another image. The image says what the program
//! was built for; a program that could not run in an empty root is refused before it is sent anywhere.
//!
//! Deliberately absent: finding the program, and what it does (`relay/`).

use std::io;

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use thiserror::Error;

use super::{Archive, ArchivedImage, ArchivedLayer, DiffId, Digest, Location, PartialArchive, Platform, Reference};

/// Where the program is in the image.
pub const HELPER_PROGRAM: &str = "/toolbox-relay";
/// The image's name without its tag.
pub const HELPER_NAME: &str = "toolbox-relay";
/// User and group: nobody's on any common system.
const OWNER: u64 = 65532;
/// Digits of the program's digest in the tag.
const DIGITS: usize = 12;

/// ELF: the file's start up to `e_machine`, and the fields that are read (System V ABI, chapter 4).
const MAGIC: [u8; 6] = *b"\x7fELF\x02\x01";
const MACHINE: usize = 18;
const TABLE_OFFSET: usize = 32;
const ENTRY_SIZE: usize = 54;
const ENTRY_COUNT: usize = 56;
/// `p_type` of the entry that names a dynamic linker.
const PT_INTERP: u32 = 3;

/// A program that cannot be the helper.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HelperError {
    /// It is something else, or cut off.
    #[error("the helper program is no 64-bit little-endian ELF file")]
    NotElf,
    /// It is for a processor that is not known here.
    #[error("the helper program is for an unknown processor (ELF machine {0})")]
    Machine(u16),
    /// It needs libraries, which the image does not have.
    #[error("the helper program is not statically linked")]
    Dynamic,
}

impl HelperError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some("set TOOLBOX_RELAY to a static toolbox-relay, such as /relay of the toolbox image".to_owned())
    }
}

/// The image, as a tarball.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperImage {
    /// `toolbox-relay:` and the first 12 hex digits of the program's SHA-256.
    pub reference: Reference,
    /// What it runs on.
    pub platform: Platform,
    /// A tarball in the form of [`PartialArchive`], whole.
    pub tarball: Vec<u8>,
}

impl HelperImage {
    /// Makes the image of this program.
    ///
    /// # Errors
    /// [`HelperError`], when the program cannot run there.
    pub fn of(program: &[u8]) -> Result<Self, HelperError> {
        let platform = platform(program)?;
        let reference = reference(program);
        let layer = layer(program).expect("memory takes every write");
        let diff_id = DiffId::from(Digest::of(&layer));
        let config_json = config(&platform, diff_id).to_string().into_bytes();
        let image = ArchivedImage {
            tags: vec![reference.clone()],
            config: Digest::of(&config_json).into(),
            config_json,
            platform: platform.clone(),
            layers: vec![ArchivedLayer {
                diff_id,
                size: layer.len() as u64,
                location: Location::Archive { offset: 0 },
            }],
        };
        let mut tarball = Vec::new();
        let archive = Archive::of_layers(layer);
        PartialArchive::plan([(&image, 0)]).write_to(&archive, &mut tarball).expect("memory takes every write");
        Ok(Self { reference, platform, tarball })
    }
}

/// The name of this program's image.
fn reference(program: &[u8]) -> Reference {
    let digest = Digest::of(program).hex();
    format!("{HELPER_NAME}:{}", &digest[..DIGITS]).parse().expect("a lower-case name and hex digits")
}

/// The program is root's, so that nobody in the container changes it; what it keeps is in `/state`, what it
/// receives in `/spool`. A new volume takes over the owner of the directory that it covers.
fn layer(program: &[u8]) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    append(&mut layer, "spool/", (EntryType::Directory, 0o755, OWNER), &[])?;
    append(&mut layer, "state/", (EntryType::Directory, 0o755, OWNER), &[])?;
    append(&mut layer, "state/lock", (EntryType::Regular, 0o600, OWNER), &[])?;
    append(&mut layer, HELPER_PROGRAM.trim_start_matches('/'), (EntryType::Regular, 0o755, 0), program)?;
    layer.into_inner()
}

fn append(
    layer: &mut Builder<Vec<u8>>,
    path: &str,
    (kind, mode, owner): (EntryType, u32, u64),
    content: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    layer.append(&header, content)
}

/// OCI image-spec, config.md. The date is fixed, or equal programs would give different images.
fn config(platform: &Platform, diff_id: DiffId) -> Value {
    const EPOCH: &str = "1970-01-01T00:00:00Z";
    json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "created": EPOCH,
        "config": {
            "User": format!("{OWNER}:{OWNER}"),
            "Entrypoint": [HELPER_PROGRAM],
            "Labels": { "io.toolbox.role": "helper" },
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": EPOCH, "created_by": "toolbox" }],
    })
}

fn platform(program: &[u8]) -> Result<Platform, HelperError> {
    if !program.starts_with(&MAGIC) {
        return Err(HelperError::NotElf);
    }
    let architecture = match half(program, MACHINE)? {
        62 => "amd64",
        183 => "arm64",
        243 => "riscv64",
        machine => return Err(HelperError::Machine(machine)),
    };
    if names_a_linker(program)? {
        return Err(HelperError::Dynamic);
    }
    Ok(Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None })
}

fn names_a_linker(program: &[u8]) -> Result<bool, HelperError> {
    let table = usize::try_from(u64::from_le_bytes(field(program, TABLE_OFFSET)?)).map_err(|_| HelperError::NotElf)?;
    let (size, count) = (usize::from(half(program, ENTRY_SIZE)?), usize::from(half(program, ENTRY_COUNT)?));
    let kinds = (0..count).map(|entry| Ok(u32::from_le_bytes(field(program, table.saturating_add(entry * size))?)));
    let kinds: Vec<u32> = kinds.collect::<Result<_, HelperError>>()?;
    Ok(kinds.contains(&PT_INTERP))
}

fn half(program: &[u8], at: usize) -> Result<u16, HelperError> {
    field(program, at).map(u16::from_le_bytes)
}

fn field<const N: usize>(program: &[u8], at: usize) -> Result<[u8; N], HelperError> {
    let bytes = program.get(at..).and_then(|rest| rest.first_chunk());
    bytes.copied().ok_or(HelperError::NotElf)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    /// An ELF file's bare bones: a head, and program headers of these types.
    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..MAGIC.len()].copy_from_slice(&MAGIC);
        file[MACHINE..MACHINE + 2].copy_from_slice(&machine.to_le_bytes());
        file[TABLE_OFFSET] = 64;
        file[ENTRY_SIZE] = 56;
        file[ENTRY_COUNT] = kinds.len().try_into().unwrap();
        for kind in kinds {
            file.extend(kind.to_le_bytes());
            file.resize(file.len() + 52, 0);
        }
        file
    }

    fn open(image: &HelperImage) -> Archive<Vec<u8>> {
        Archive::open(image.tarball.clone()).unwrap()
    }

    #[test]
    fn our_own_reader_takes_it_for_an_image_of_that_name() {
        let program = elf(62, &[1, 2]);
        let image = HelperImage::of(&program).unwrap();
        let archive = open(&image);
        let [read] = archive.images() else { panic!("one image") };
        assert_eq!(read.tags, std::slice::from_ref(&image.reference));
        assert_eq!(image.reference.familiar(), format!("toolbox-relay:{}", &Digest::of(&program).hex()[..12]));
        assert_eq!((&read.platform, read.platform.architecture.as_str()), (&image.platform, "amd64"));
        let config: Value = serde_json::from_slice(&read.config_json).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/toolbox-relay"]));
        assert_eq!(config["config"]["Labels"], json!({ "io.toolbox.role": "helper" }));
    }

    #[test]
    fn the_layer_holds_the_program_and_directories_that_its_user_may_write() {
        let program = elf(183, &[]);
        let archive = open(&HelperImage::of(&program).unwrap());
        let mut layer = tar::Archive::new(archive.layer(&archive.images()[0].layers[0]));
        let mut found = BTreeMap::new();
        for entry in layer.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let (header, path) = (entry.header(), entry.path().unwrap().to_string_lossy().into_owned());
            found.insert(path, (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap(), content));
        }
        let wanted = [
            ("spool/".to_owned(), (0o755, 65532, 65532, vec![])),
            ("state/".to_owned(), (0o755, 65532, 65532, vec![])),
            ("state/lock".to_owned(), (0o600, 65532, 65532, vec![])),
            ("toolbox-relay".to_owned(), (0o755, 0, 0, program)),
        ];
        assert_eq!(found, BTreeMap::from(wanted));
    }

    #[test]
    fn equal_programs_give_equal_bytes_and_others_another_name() {
        let image = HelperImage::of(&elf(62, &[])).unwrap();
        assert_eq!(HelperImage::of(&elf(62, &[])).unwrap(), image);
        assert_ne!(HelperImage::of(&elf(62, &[1])).unwrap().reference, image.reference);
    }

    #[test]
    fn what_could_not_run_in_an_empty_root_is_refused() {
        let refused = |program: &[u8]| HelperImage::of(program).unwrap_err();
        assert_eq!(refused(b"#!/bin/sh\n"), HelperError::NotElf);
        assert_eq!(refused(&elf(62, &[1, 1])[..80]), HelperError::NotElf);
        assert_eq!(refused(&elf(8, &[])), HelperError::Machine(8));
        assert_eq!(refused(&elf(62, &[1, PT_INTERP])), HelperError::Dynamic);
    }
}
