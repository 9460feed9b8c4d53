//! Older layers that are still here: what a new layer differs from them in is less than the layer.
//!
//! Contract: a layer is looked for once, when the first host wants it, in the same engine or files as the images: there
//! an image that was built anew mostly lies, without a name. It is verified by its digest, and read from disk by
//! positions. That it is not here, or cannot be read, is no error: then it does without.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::engine::Docker;
use crate::image::{ArchivedLayer, DiffId, ListedImage, Location, Options};
use crate::state::ObservedImage;

use super::saved::Saved;
use super::{ImageSource, Kind, SourceError, Spool, blocking, save};

/// What was looked for so far.
pub(super) type Known = Mutex<BTreeMap<DiffId, Option<OlderLayer>>>;

/// An older layer on this machine.
#[derive(Debug, Clone)]
pub struct OlderLayer {
    spool: Arc<Spool>,
    layer: ArchivedLayer,
}

impl OlderLayer {
    /// Its digest.
    pub fn diff_id(&self) -> DiffId {
        self.layer.diff_id
    }

    /// Bytes of its uncompressed tar.
    pub fn size(&self) -> u64 {
        self.layer.size
    }

    /// So many bytes of its uncompressed tar from `offset` on, which must lie within it.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        self.spool.layer_range(&self.layer, offset, length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl ImageSource {
    /// Those of these layers that are here.
    pub async fn older(self: &Arc<Self>, wanted: &BTreeSet<DiffId>) -> BTreeMap<DiffId, OlderLayer> {
        let mut known = self.older.lock().await;
        let new: BTreeSet<DiffId> = wanted.iter().filter(|id| !known.contains_key(id)).copied().collect();
        if !new.is_empty() {
            let found = self.look_for(&new).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "looking for older layers");
                Vec::new()
            });
            known.extend(new.into_iter().map(|id| (id, None)));
            known.extend(found.into_iter().map(|layer| (layer.diff_id(), Some(layer))));
        }
        wanted.iter().filter_map(|id| Some((*id, known.get(id)?.clone()?))).collect()
    }

    async fn look_for(self: &Arc<Self>, wanted: &BTreeSet<DiffId>) -> Result<Vec<OlderLayer>, SourceError> {
        match &self.kind {
            Kind::Engine { docker, socket } => self.in_engine(docker, socket, wanted).await,
            Kind::Files(_) => {
                let (source, wanted) = (Arc::clone(self), wanted.clone());
                blocking(move || source.in_files(&wanted)).await
            }
        }
    }

    async fn in_engine(
        &self,
        docker: &Docker,
        socket: &str,
        wanted: &BTreeSet<DiffId>,
    ) -> Result<Vec<OlderLayer>, SourceError> {
        let images = docker.images().await;
        let images = images.map_err(|error| SourceError::Engine { socket: socket.to_owned(), error })?;
        let mut found = Vec::new();
        for (image, layers) in holders(&images, wanted) {
            let options = self.options(&image.facts.layers, &layers);
            let saved = save(docker, socket, std::slice::from_ref(&image.facts.id), &options).await?;
            found.extend(blocking(move || read(&saved, &layers, &options)).await?);
        }
        Ok(found)
    }

    fn in_files(&self, wanted: &BTreeSet<DiffId>) -> Result<Vec<OlderLayer>, SourceError> {
        let Kind::Files(files) = &self.kind else { return Ok(Vec::new()) };
        let (mut left, mut found) = (wanted.clone(), Vec::new());
        for file in files {
            let all = file.images().iter().flat_map(|image| &image.diff_ids);
            let here: BTreeSet<DiffId> = all.clone().filter(|id| left.remove(id)).copied().collect();
            if !here.is_empty() {
                let all: Vec<DiffId> = all.copied().collect();
                found.extend(read(file, &here, &self.options(&all, &here))?);
            }
        }
        Ok(found)
    }

    /// All but these layers are left out.
    fn options(&self, all: &[DiffId], wanted: &BTreeSet<DiffId>) -> Options {
        let spare = all.iter().filter(|id| !wanted.contains(id)).copied().collect();
        Options { spool_directory: self.cache.clone(), spare, ..Options::default() }
    }
}

/// Images that hold these layers, each of them once: the engine reads a whole image for any layer, so of those that
/// share one the one with the fewest.
fn holders<'a>(images: &'a [ObservedImage], wanted: &BTreeSet<DiffId>) -> Vec<(&'a ObservedImage, BTreeSet<DiffId>)> {
    let mut holders: BTreeMap<&str, (&ObservedImage, BTreeSet<DiffId>)> = BTreeMap::new();
    for id in wanted {
        let holding = images.iter().filter(|image| image.facts.layers.contains(id));
        if let Some(image) = holding.min_by_key(|image| (image.facts.layers.len(), &image.facts.id)) {
            holders.entry(&image.facts.id).or_insert((image, BTreeSet::new())).1.insert(*id);
        }
    }
    holders.into_values().collect()
}

/// These layers out of saved images; an image that has none of them is not looked at.
fn read(saved: &Saved, wanted: &BTreeSet<DiffId>, options: &Options) -> Result<Vec<OlderLayer>, SourceError> {
    let has_any = |image: &ListedImage| image.diff_ids.iter().any(|id| wanted.contains(id));
    let spool = Arc::new(saved.verify(&|image| has_any(image).then(Vec::new), options)?);
    let layers: BTreeMap<DiffId, ArchivedLayer> =
        spool.images().iter().flat_map(|image| &image.layers).map(|layer| (layer.diff_id, *layer)).collect();
    let here = layers.into_values().filter(|l| wanted.contains(&l.diff_id) && l.location != Location::LeftOut);
    Ok(here.map(|layer| OlderLayer { spool: Arc::clone(&spool), layer }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;
    use crate::state::ImageFacts;

    fn id(layer: u8) -> DiffId {
        Digest::of(&[layer]).into()
    }

    fn image(name: &str, layers: &str) -> ObservedImage {
        let layers = layers.bytes().map(id).collect();
        ObservedImage { facts: ImageFacts::new(name.into(), layers, None, &()), references: BTreeSet::new() }
    }

    #[test]
    fn the_image_with_the_fewest_layers_is_read_for_those_that_it_holds() {
        let images = [image("large", "abcd"), image("small", "abc"), image("other", "xd")];
        let found = |layers: &str| -> Vec<(String, usize)> {
            let wanted = layers.bytes().map(id).collect();
            holders(&images, &wanted).into_iter().map(|(image, ids)| (image.facts.id.clone(), ids.len())).collect()
        };
        assert_eq!(found("bc"), [("small".to_owned(), 2)]);
        assert_eq!(found("cd"), [("other".to_owned(), 1), ("small".to_owned(), 1)]);
        assert_eq!(found("z"), []);
    }
}
