//! An image as the engine inspects it.
//!
//! Contract: what an engine leaves out is empty. Docker 28 with containerd's store says nothing of an image's layers
//! where some of it is missing, and leaves out what the API wants; bollard's own type would refuse the answer.

use serde::Deserialize;
use serde_json::Value;

use crate::state::{ImageFacts, ObservedImage};

use super::references;

/// The answer to `GET /images/{name}/json`, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct Inspected {
    id: String,
    repo_tags: Option<Vec<String>>,
    created: Option<String>,
    os: Option<String>,
    architecture: Option<String>,
    config: Option<Value>,
    #[serde(rename = "RootFS")]
    root_fs: Option<RootFs>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    layers: Option<Vec<String>>,
}

impl Inspected {
    /// What it contains.
    pub(in super::super) fn facts(&self) -> ImageFacts {
        let layers = self.root_fs.iter().filter_map(|root| root.layers.as_ref()).flatten();
        let layers = layers.filter_map(|layer| layer.parse().ok()).collect();
        ImageFacts::new(self.id.clone(), layers, self.created.as_deref(), &self.config)
            .on(self.os.as_deref().unwrap_or_default(), self.architecture.as_deref().unwrap_or_default())
    }

    /// With its names.
    pub(super) fn observed(&self) -> ObservedImage {
        let references = references(self.repo_tags.as_deref().unwrap_or_default());
        ObservedImage { facts: self.facts(), references }
    }
}

#[cfg(test)]
mod tests {
    use super::Inspected;

    #[test]
    fn image_with_missing_parts_is_one_without_layers() {
        let text = r#"{"Id": "sha256:1", "RepoTags": ["shop:1"], "RootFS": {}, "Os": "", "Config": null}"#;
        let image = serde_json::from_str::<Inspected>(text).unwrap().observed();
        assert!(image.facts.layers.is_empty());
        assert!(image.references.contains("docker.io/library/shop:1"));
    }
}
