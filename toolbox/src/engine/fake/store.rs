//! Images of the engine in memory, and the volume of its receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;
use tokio::sync::Notify;
use toolbox_wire::Range;

use crate::image::{DiffId, Digest, Reference};
use crate::state::ImageFacts;

use super::receiver::Fault;

/// A host's images and spool.
#[derive(Debug, Default)]
pub(crate) struct Host {
    state: Mutex<State>,
    /// Something has arrived.
    pub(super) arrived: Notify,
}

/// How it keeps images, and what it makes of one whose layers are neither sent nor held.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// A graph driver, which refuses it.
    #[default]
    Classic,
    /// containerd's store of Docker 26: it is there, and not listed.
    Unlisted,
    /// That of Docker 28: it is there, without layers.
    Hollow,
}

#[derive(Debug, Default)]
pub(super) struct State {
    keeps: Keeps,
    images: BTreeMap<String, ImageFacts>,
    unlisted: BTreeSet<String>,
    /// Images that have no room to be unpacked, by their familiar names.
    crowded: Vec<&'static str>,
    pub(super) layers: BTreeMap<DiffId, Vec<u8>>,
    pub(super) parts: BTreeMap<DiffId, Spooled>,
    pub(super) bases: BTreeMap<DiffId, Vec<u8>>,
    /// Requests of receivers so far, by name.
    pub(super) requests: Vec<&'static str>,
    /// Compressed bytes that receivers were sent.
    pub(super) payload: usize,
    pub(super) faults: Vec<Fault>,
    streamed: Vec<usize>,
}

/// What has arrived of a layer.
#[derive(Debug, Default, Clone)]
pub(super) struct Spooled {
    pub(super) bytes: Vec<u8>,
    pub(super) ranges: BTreeSet<Range>,
}

impl Spooled {
    /// Ascending, apart from each other.
    pub(super) fn merged(&self) -> Vec<Range> {
        let mut merged: Vec<Range> = Vec::new();
        for (from, to) in &self.ranges {
            match merged.last_mut() {
                Some((_, end)) if from <= end => *end = (*end).max(*to),
                _ => merged.push((*from, *to)),
            }
        }
        merged
    }
}

impl Host {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on it keeps images so.
    pub(crate) fn keeps(&self, keeps: Keeps) {
        self.state().keeps = keeps;
    }

    /// From now on there is no room to unpack these images, which Docker 28 says in the middle of a good answer.
    pub(crate) fn cannot_unpack(&self, images: &[&'static str]) {
        self.state().crowded = images.to_vec();
    }

    /// Somebody removes a layer.
    pub(crate) fn loses(&self, layer: &[u8]) {
        self.state().layers.remove(&Digest::of(layer).into());
    }

    pub(super) fn lists(&self, reference: &Reference, id: &str) -> bool {
        let state = self.state();
        state.images.get(&reference.full()).is_some_and(|image| image.id == id) && !state.unlisted.contains(id)
    }

    pub(super) fn forget_parts(&self) {
        self.state().parts.clear();
    }

    pub(super) fn forget(&self, reference: &str) {
        self.state().images.remove(reference);
    }

    /// What receivers do wrong.
    pub(crate) fn break_with(&self, faults: Vec<Fault>) {
        self.state().faults = faults;
    }

    /// Forgets what was asked and sent so far.
    pub(crate) fn count_anew(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.payload = 0;
    }

    /// Requests of receivers so far, by name.
    pub(crate) fn requests(&self) -> Vec<&'static str> {
        self.state().requests.clone()
    }

    /// Compressed bytes that receivers were sent.
    pub(crate) fn payload(&self) -> usize {
        self.state().payload
    }

    /// Lengths of the tarballs that came in one stream.
    pub(crate) fn streams(&self) -> Vec<usize> {
        self.state().streamed.clone()
    }

    /// Layers of which something is kept.
    pub(crate) fn spooled(&self) -> usize {
        self.state().parts.len()
    }

    /// The content of a layer.
    pub(crate) fn layer(&self, diff_id: DiffId) -> Option<Vec<u8>> {
        self.state().layers.get(&diff_id).cloned()
    }

    /// A few bytes of a layer are not what its digest says any more.
    pub(crate) fn damage_layer(&self, diff_id: DiffId) {
        self.state().layers.get_mut(&diff_id).unwrap().iter_mut().step_by(100_000).for_each(|byte| *byte ^= 1);
    }

    /// Overwrites what has arrived with zeros.
    pub(crate) fn damage_spool(&self) {
        self.state().parts.values_mut().for_each(|part| part.bytes.fill(0));
    }

    pub(super) fn streamed(&self, length: usize) {
        self.state().streamed.push(length);
    }

    pub(super) fn image(&self, reference: &str) -> Option<ImageFacts> {
        let full = reference.parse::<Reference>().unwrap().full();
        self.state().images.get(&full).cloned()
    }

    /// Takes a tarball as an engine does.
    pub(super) fn load(&self, tarball: &[u8]) -> Result<(), String> {
        let files = files(tarball)?;
        let manifest: Value = serde_json::from_slice(files.get("manifest.json").ok_or("no manifest")?).unwrap();
        let mut state = self.state();
        let keeps = state.keeps;
        for image in manifest.as_array().unwrap() {
            let config = &files[image["Config"].as_str().unwrap()];
            let parsed: Value = serde_json::from_slice(config).unwrap();
            let layers: Vec<DiffId> = serde_json::from_value(parsed["rootfs"]["diff_ids"].clone()).unwrap();
            let mut is_whole = true;
            for (diff_id, path) in layers.iter().zip(image["Layers"].as_array().unwrap()) {
                match files.get(path.as_str().unwrap()) {
                    Some(content) if Digest::of(content) == diff_id.digest() => {
                        state.layers.insert(*diff_id, content.clone());
                    }
                    Some(_) => return Err(format!("{path} is not {diff_id}")),
                    None if state.layers.contains_key(diff_id) => {}
                    None if keeps == Keeps::Classic => return Err(format!("open {path}: no such file or directory")),
                    None => is_whole = false,
                }
            }
            let mut facts = ImageFacts::new(Digest::of(config).to_string(), layers, None, &parsed["config"]);
            for tag in image["RepoTags"].as_array().unwrap() {
                let full = tag.as_str().unwrap().parse::<Reference>().unwrap().full();
                if keeps != Keeps::Classic {
                    facts.id = manifest_digest(&files, &full);
                    state.unlisted.remove(&facts.id);
                }
                match keeps {
                    Keeps::Unlisted if !is_whole => drop(state.unlisted.insert(facts.id.clone())),
                    Keeps::Hollow if !is_whole => facts.layers.clear(),
                    _ => {}
                }
                state.images.insert(full, facts.clone());
            }
        }
        let said = |name: &&str| format!("Error unpacking image {name}: mkdir: no space left on device");
        let problems: Vec<String> = state.crowded.iter().map(said).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }
}

/// The manifest that `index.json` names so.
fn manifest_digest(files: &BTreeMap<String, Vec<u8>>, full: &str) -> String {
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let named = |manifest: &&Value| manifest["annotations"]["io.containerd.image.name"] == full;
    let manifest = index["manifests"].as_array().unwrap().iter().find(named);
    manifest.unwrap()["digest"].as_str().unwrap().to_owned()
}

/// What was sent in members or frames.
pub(super) fn unpacked(stream: &[u8]) -> Vec<u8> {
    let mut tarball = Vec::new();
    flate2::read::MultiGzDecoder::new(stream).read_to_end(&mut tarball).unwrap();
    tarball
}

fn files(tarball: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tarball).entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| e.to_string())?;
        let (path, mut content) = (entry.path().unwrap().display().to_string(), Vec::new());
        entry.read_to_end(&mut content).map_err(|e| e.to_string())?;
        files.insert(path, content);
    }
    Ok(files)
}
