//! Which images of containerd stores are ours, so that their layers count as held.
//!
//! Contract: on such a store it is not enough that a layer has been unpacked: an image that is loaded in part needs the
//! layer's blob under the digest that our manifest names, which is its DiffID. A base that was pulled has other blobs. So
//! an image counts only where its id is a manifest that we wrote and loaded somewhere, and where the engine lists it with
//! its layers. Manifests are named by their content: it does not matter on which host that was, or who says so. Nothing
//! that is read here is believed further than that: every load is checked, and one upon a base that was not ours is
//! repeated in whole. What cannot be read or written costs no more than that either, and is passed over.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;

use crate::engine::Engine;
use crate::image::ManifestDigest;
use crate::state::{EngineState, Role, Store as ImageStore};

use super::store::{Shelf, Store};

/// The list's name in the cache directory.
const NAME: &str = "toolbox.loaded";
/// Manifests that the list holds, of which the oldest goes.
const MOST: usize = 1000;
/// A line: `sha256:`, 64 hex digits, the line's end.
const LINE: usize = 72;
/// Keepers of a host that are asked for their records.
const KEEPERS: usize = 8;

/// Manifests that were loaded by us and found whole, oldest first: by this process, by earlier ones with the same cache
/// directory, and by whoever left a record on a host.
#[derive(Debug, Default)]
pub struct Ours(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Where they stay between runs.
    list: Option<PathBuf>,
    loaded: Vec<ManifestDigest>,
    recorded: BTreeSet<ManifestDigest>,
    /// Somebody wants to know.
    asked: bool,
}

impl Ours {
    /// From now on hosts are asked, and what the list in this directory says is known.
    pub fn open(&self, cache: Option<&Path>) {
        let mut known = self.known();
        known.asked = true;
        known.list = cache.map(|cache| cache.join(NAME));
        known.loaded = known.list.as_deref().map(read).unwrap_or_default();
    }

    /// The engine calls an image so that is ours.
    pub fn contains(&self, id: &str) -> bool {
        let known = self.known();
        id.parse().is_ok_and(|id| known.loaded.contains(&id) || known.recorded.contains(&id))
    }

    /// An image was loaded, and is whole.
    pub fn add(&self, manifest: ManifestDigest) {
        let mut known = self.known();
        if let Some(list) = known.list.clone() {
            // Another process may have written it meanwhile.
            known.loaded = read(&list);
        }
        known.loaded.retain(|one| *one != manifest);
        known.loaded.push(manifest);
        let surplus = known.loaded.len().saturating_sub(MOST);
        known.loaded.drain(..surplus);
        if let Some(list) = &known.list {
            let _ = write(list, &known.loaded);
        }
    }

    /// Says of a host's images which are ours; asks the host's records too.
    pub(super) async fn recognise(&self, engine: &impl Engine, state: &mut EngineState) {
        if state.store != ImageStore::Containerd || !self.known().asked {
            return;
        }
        let keepers = state.containers.iter().filter(|container| container.role == Role::Keeper).take(KEEPERS);
        let shelves = join_all(keepers.map(|keeper| async { Store::new(engine, &keeper.id).shelf().await })).await;
        shelves.iter().flatten().for_each(|shelf| self.learn(shelf));
        let ids = state.images.iter().map(|image| &image.facts.id);
        state.ours = ids.filter(|id| self.contains(id)).cloned().collect();
    }

    /// What a host's records tell.
    pub fn learn(&self, shelf: &Shelf) {
        let images = shelf.releases.iter().flat_map(|release| release.services.values()).map(|service| &service.image);
        let loaded = images.filter(|image| image.loaded);
        self.known().recorded.extend(loaded.filter_map(|image| image.id.parse::<ManifestDigest>().ok()));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is no digest is left out.
fn read(list: &Path) -> Vec<ManifestDigest> {
    let mut text = String::new();
    let opened = open(list).and_then(|file| file.take((MOST * LINE) as u64).read_to_string(&mut text));
    opened.map(|_| text.lines().filter_map(|line| line.parse().ok()).collect()).unwrap_or_default()
}

/// A regular file; nobody waits for a pipe.
fn open(list: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(list)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Whole, or not at all.
fn write(list: &Path, manifests: &[ManifestDigest]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(list.parent().unwrap_or(Path::new(".")))?;
    let text: String = manifests.iter().map(|manifest| format!("{manifest}\n")).collect();
    file.write_all(text.as_bytes())?;
    file.persist(list)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn manifest(name: usize) -> ManifestDigest {
        Digest::of(&name.to_le_bytes()).into()
    }

    fn opened(cache: &Path) -> Ours {
        let ours = Ours::default();
        ours.open(Some(cache));
        ours
    }

    #[test]
    fn what_one_process_loaded_another_one_knows() {
        let cache = tempfile::tempdir().unwrap();
        let (first, second) = (opened(cache.path()), opened(cache.path()));
        first.add(manifest(1));
        second.add(manifest(2));
        let third = opened(cache.path());
        assert!(third.contains(&manifest(1).to_string()) && third.contains(&manifest(2).to_string()));
        assert!(!third.contains(&manifest(3).to_string()) && !third.contains("shop:1"));
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_list_holds_so_many_and_the_oldest_goes() {
        let cache = tempfile::tempdir().unwrap();
        let all: Vec<_> = (0..MOST).map(manifest).collect();
        write(&cache.path().join(NAME), &all).unwrap();
        opened(cache.path()).add(manifest(MOST));
        let ours = opened(cache.path());
        assert!(!ours.contains(&manifest(0).to_string()) && ours.contains(&manifest(MOST).to_string()));
        assert_eq!(read(&cache.path().join(NAME)).len(), MOST);
    }

    #[test]
    fn a_list_that_is_none_is_empty_and_nobody_waits_for_it() {
        let cache = tempfile::tempdir().unwrap();
        let list = cache.path().join(NAME);
        let id = manifest(1).to_string();
        std::fs::write(&list, format!("sha256:../../x\n{}\nno digest\n{id}\n", "f".repeat(200))).unwrap();
        assert!(opened(cache.path()).contains(&id));
        std::fs::write(&list, [0xff; 100]).unwrap();
        assert!(!opened(cache.path()).contains(&id));
        std::fs::remove_file(&list).unwrap();
        let other = cache.path().join("other");
        std::fs::write(&other, format!("{id}\n")).unwrap();
        std::os::unix::fs::symlink(&other, &list).unwrap();
        assert!(!opened(cache.path()).contains(&id), "a link");
        std::fs::remove_file(&list).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &list, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(!opened(cache.path()).contains(&id), "a pipe");
        opened(cache.path()).add(manifest(1));
        assert!(opened(cache.path()).contains(&id), "a pipe was replaced");
    }

    #[test]
    fn without_a_directory_it_is_known_as_long_as_the_process_lives() {
        let ours = Ours::default();
        ours.open(None);
        ours.add(manifest(1));
        assert!(ours.contains(&manifest(1).to_string()));
        opened(Path::new("/nowhere")).add(manifest(1));
    }
}
