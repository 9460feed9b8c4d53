//! Plans and their operations.

use std::fmt;

use serde::Serialize;

use crate::image::Reference;

/// What must happen on one host, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The host's name in the inventory.
    pub host: String,
    /// The operations, in the order in which they are carried out.
    pub operations: Vec<Operation>,
    /// Services that are as they should be.
    pub unchanged: Vec<String>,
    /// What a person should know and nothing is done about.
    pub notes: Vec<String>,
}

impl Plan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Uncompressed bytes of the layers to send, as far as they are known.
    pub fn bytes_to_send(&self) -> u64 {
        let sizes = self.operations.iter().filter_map(|o| match &o.action {
            Action::PushImage { bytes, .. } => *bytes,
            _ => None,
        });
        sizes.sum()
    }

    /// Images that have to be sent.
    pub fn pushes(&self) -> impl Iterator<Item = &Reference> {
        self.operations.iter().filter_map(|o| match &o.action {
            Action::PushImage { reference, .. } => Some(reference),
            _ => None,
        })
    }
}

/// One step and why it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// Why.
    pub cause: Cause,
}

/// What is done to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Install the engine from the host's own package archive.
    InstallEngine,
    /// Start the installed engine.
    StartEngine,
    /// Send an image, without the layers that the host holds.
    PushImage {
        /// The image.
        #[serde(serialize_with = "familiar")]
        reference: Reference,
        /// Layers that the host holds already, counted from the bottom.
        held_layers: usize,
        /// All layers of the image.
        layers: usize,
        /// Uncompressed bytes of the layers to send; absent until the image was read.
        bytes: Option<u64>,
    },
    /// Create a network.
    CreateNetwork {
        /// Its key in the compose file.
        key: String,
        /// The engine's name for it.
        name: String,
    },
    /// Create a named volume.
    CreateVolume {
        /// Its key in the compose file.
        key: String,
        /// The engine's name for it.
        name: String,
    },
    /// Create and start a container.
    CreateContainer {
        /// The service.
        service: String,
        /// The container's name.
        container: String,
    },
    /// Stop a container, create its successor under the same name and start it.
    RecreateContainer {
        /// The service.
        service: String,
        /// The container's name.
        container: String,
        /// The engine's id of the container that is replaced.
        replaces: String,
        /// That container's name, which is another one where something else than a deploy made it.
        replaced_name: String,
    },
    /// Start a container that is as it should be and does not run.
    StartContainer {
        /// The service.
        service: String,
        /// The container's name.
        container: String,
        /// The engine's id.
        id: String,
    },
    /// Stop and remove a container.
    RemoveContainer {
        /// The container's name.
        container: String,
        /// The engine's id.
        id: String,
        /// Its anonymous volumes go too.
        volumes: bool,
    },
    /// Remove a network.
    RemoveNetwork {
        /// The engine's name for it.
        name: String,
    },
    /// Remove a named volume and what it holds.
    RemoveVolume {
        /// The engine's name for it.
        name: String,
    },
}

fn familiar<S: serde::Serializer>(reference: &Reference, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&reference.familiar())
}

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Cause {
    /// The host has no container engine.
    NoEngine,
    /// The engine is installed and does not answer.
    EngineStopped,
    /// It does not exist on the host.
    Missing,
    /// The host holds another image under this name.
    ImageDiffers,
    /// The container was made from another image.
    ImageChanged,
    /// The service's definition changed.
    ConfigChanged,
    /// The container's state, which is not `running`.
    NotRunning {
        /// The engine's word for the state.
        state: String,
    },
    /// An earlier run was interrupted and left it.
    LeftOver,
    /// A person asked for it.
    Asked,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEngine => f.write_str("the host has no container engine"),
            Self::EngineStopped => f.write_str("the engine is installed and does not run"),
            Self::Missing => f.write_str("not on the host"),
            Self::ImageDiffers => f.write_str("the host holds another image under this name"),
            Self::ImageChanged => f.write_str("image changed"),
            Self::ConfigChanged => f.write_str("definition changed"),
            Self::NotRunning { state } => write!(f, "state is {state}"),
            Self::LeftOver => f.write_str("left over from an interrupted run"),
            Self::Asked => f.write_str("as asked"),
        }
    }
}
