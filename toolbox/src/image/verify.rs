//! Whether an engine made of an archive what we sent.
//!
//! Contract: an engine's reply to a load is never trusted (some report a failed unpack as success);
//! what counts is an inspection afterwards. Pure. Deliberately absent: asking the engine, and whether
//! the image is *listed*, which on containerd stores must be asked as well.

use thiserror::Error;

use super::{ArchivedImage, ConfigDigest, DiffId, ManifestDigest, PartialArchive};

/// What an engine must report of an image after a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The image's ID on graph drivers and podman.
    pub config: ConfigDigest,
    /// The image's ID on containerd stores, for the manifest that [`PartialArchive`] writes.
    pub manifest: ManifestDigest,
    /// `RootFS.Layers`, from the bottom up.
    pub layers: Vec<DiffId>,
}

/// How an engine's image differs from the one that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadMismatch {
    /// Another image, or the tag still names an older one.
    #[error("the engine reports image {found}, sent was config {config} in manifest {manifest}")]
    Id {
        /// The config that was sent.
        config: ConfigDigest,
        /// The manifest that was sent.
        manifest: ManifestDigest,
        /// What the engine calls the image.
        found: String,
    },
    /// Layers missing or too many; containerd stores report none for an image with holes.
    #[error("the engine reports {found} layers, sent were {expected}")]
    LayerCount {
        /// How many the image has.
        expected: usize,
        /// How many the engine reports.
        found: usize,
    },
    /// Another layer than the one sent.
    #[error("the engine reports {found} as layer {position}, sent was {expected}")]
    Layer {
        /// Which, counted from 1 at the bottom.
        position: usize,
        /// What was sent.
        expected: DiffId,
        /// What the engine reports.
        found: DiffId,
    },
}

impl Expected {
    /// What to expect of this image.
    pub fn of(image: &ArchivedImage) -> Self {
        Self { config: image.config, manifest: PartialArchive::manifest_digest(image), layers: image.diff_ids() }
    }

    /// Compares with an engine's inspection: its `Id` and `RootFS.Layers`.
    pub fn check(&self, id: &str, layers: &[DiffId]) -> Result<(), LoadMismatch> {
        self.check_id(id)?;
        let (expected, found) = (self.layers.len(), layers.len());
        if expected != found {
            return Err(LoadMismatch::LayerCount { expected, found });
        }
        let differs = self.layers.iter().zip(layers).enumerate().find(|(_, (a, b))| a != b);
        differs.map_or(Ok(()), |(index, (expected, found))| {
            let (position, expected, found) = (index + 1, *expected, *found);
            Err(LoadMismatch::Layer { position, expected, found })
        })
    }

    fn check_id(&self, id: &str) -> Result<(), LoadMismatch> {
        if id == self.config.to_string() || id == self.manifest.to_string() {
            return Ok(());
        }
        let (config, manifest, found) = (self.config, self.manifest, id.to_owned());
        Err(LoadMismatch::Id { config, manifest, found })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Digest;
    use super::*;

    fn expected() -> Expected {
        let digest = |text: &str| Digest::of(text.as_bytes());
        Expected {
            config: digest("config").into(),
            manifest: digest("manifest").into(),
            layers: vec![digest("a").into(), digest("b").into()],
        }
    }

    #[test]
    fn either_kind_of_image_id_is_accepted() {
        let expected = expected();
        assert_eq!(expected.check(&expected.config.to_string(), &expected.layers), Ok(()));
        assert_eq!(expected.check(&expected.manifest.to_string(), &expected.layers), Ok(()));
    }

    #[test]
    fn another_image_under_the_tag_is_noticed() {
        let found = Digest::of(b"older").to_string();
        let error = expected().check(&found, &expected().layers).unwrap_err();
        assert!(matches!(error, LoadMismatch::Id { found: f, .. } if f == found));
    }

    #[test]
    fn missing_and_different_layers_are_noticed() {
        let expected = expected();
        let id = expected.config.to_string();
        let none = expected.check(&id, &[]).unwrap_err();
        assert_eq!(none, LoadMismatch::LayerCount { expected: 2, found: 0 });
        let (a, b) = (expected.layers[0], expected.layers[1]);
        let swapped = expected.check(&id, &[a, a]).unwrap_err();
        assert_eq!(swapped, LoadMismatch::Layer { position: 2, expected: b, found: a });
    }
}
