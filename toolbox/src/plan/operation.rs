//! Plans and their operations.
//!
//! As JSON a plan is an object with the fields of [`Plan`]; each operation has the fields of its [`Action`] with its
//! name in snake case under `action`, and its [`Cause`] under `cause`, whose name is under `reason`. Durations are
//! `{"secs", "nanos"}`, images are familiar names. It is read back as the same value; unknown fields are refused.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::compose::{Service, UpdateOrder};
use crate::image::Reference;

use super::cause::Cause;

/// What must happen on one host, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The host's name in the inventory.
    pub host: String,
    /// The operations, in the order in which they are carried out.
    pub operations: Vec<Operation>,
    /// The engine's ids of each service's containers as the plan found them, running or not, without left-overs: what a
    /// relay sends to until an operation says otherwise.
    pub running: BTreeMap<String, Vec<String>>,
    /// Services before which a relay stands once the plan is carried out, with the TCP ports that it listens on, which
    /// are those of the service's containers. Such containers publish nothing and have no alias.
    pub relays: BTreeMap<String, Vec<u16>>,
    /// Name of the image that relays and the keeper are made from.
    pub helper: String,
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

    /// Some layer to send may be made out of an older one that the host holds.
    pub fn may_send_less(&self) -> bool {
        let mut actions = self.operations.iter().map(|o| &o.action);
        actions.any(|action| matches!(action, Action::PushImage { changed, .. } if !changed.is_empty()))
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// Why.
    pub cause: Cause,
}

/// What is done to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Install the engine from the host's own package archive.
    InstallEngine,
    /// Start the installed engine.
    StartEngine,
    /// Change the engine's own settings.
    ChangeSettings {
        /// The file that holds them on the host.
        file: String,
        /// What differs, as `live-restore: absent -> true`.
        fields: Vec<String>,
        /// The engine has to be started again for it.
        restart: bool,
        /// Containers that stop meanwhile.
        stops: usize,
    },
    /// Boot the host again.
    Reboot,
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
        /// The layers to send of which the host holds an older version, counted from 1 at the bottom.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<usize>,
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
    /// Give an image that the host holds a name (a rollback).
    TagImage {
        /// The name.
        #[serde(serialize_with = "familiar")]
        reference: Reference,
        /// The engine's id of the image.
        id: String,
    },
    /// Create the project's volume for files and releases, and the keeper that holds it.
    CreateKeeper {
        /// The name of both.
        name: String,
    },
    /// Store configs and secrets in the keeper's volume.
    StoreFiles {
        /// Keys of the configs, sorted.
        configs: Vec<String>,
        /// Keys of the secrets, sorted.
        secrets: Vec<String>,
    },
    /// Run a command to its end in a container of the service's new image.
    RunHook {
        /// The service.
        service: String,
        /// Before or after its containers are replaced.
        when: When,
        /// Its place among the service's hooks of this time, from 0.
        index: usize,
        /// What is shown of it, as [`shown_hook`] says.
        program: String,
    },
    /// Create and start a container.
    CreateContainer {
        /// The service.
        service: String,
        /// The container's name.
        container: String,
        /// Its number among the service's containers, from 1.
        number: u32,
    },
    /// Replace containers of one service, all of the batch at once.
    ReplaceContainers {
        /// The service.
        service: String,
        /// What goes first.
        order: UpdateOrder,
        /// Why it is not start-first; absent where it is.
        reason: Option<String>,
        /// What those who use the service notice.
        downtime: Downtime,
        /// Time to wait before this batch.
        delay: Duration,
        /// The containers.
        batch: Vec<Replacement>,
    },
    /// Wait until the service's containers are well, then create the relay that owns its ports and names.
    CreateRelay {
        /// The service.
        service: String,
        /// The relay's container name.
        relay: String,
        /// Published ports as `80->8080/tcp`.
        ports: Vec<String>,
        /// The engine's id of the relay that it replaces, which goes first.
        replaces: Option<String>,
        /// What those who use the service notice.
        downtime: Downtime,
    },
    /// Send new connections to the service's containers as they are.
    SwitchRelay {
        /// The service.
        service: String,
        /// The relay's container name.
        relay: String,
    },
    /// Stop a relay that is not needed any more; it is removed when everything has succeeded.
    RetireRelay {
        /// The service.
        service: String,
        /// The relay's container name.
        relay: String,
        /// The engine's id.
        id: String,
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
    /// Stop a container ahead of its turn, as it publishes a port that another service takes before.
    StopContainer {
        /// The service.
        service: String,
        /// The container's name.
        container: String,
        /// The engine's id.
        id: String,
    },
    /// Stop and remove a container; one of a service leaves its relay first.
    RemoveContainer {
        /// The service, where it is one of its containers.
        service: Option<String>,
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
    /// Take a name from an image that kept it for a release; the image goes with its last name.
    RemovePin {
        /// The name.
        #[serde(serialize_with = "familiar")]
        reference: Reference,
    },
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before the first container is replaced.
    Before,
    /// After the last new one is well.
    After,
}

impl When {
    /// The word in the compose file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }

    /// The service's commands for this time.
    pub fn hooks(self, service: &Service) -> &[Vec<String>] {
        match self {
            Self::Before => &service.toolbox.hooks.before,
            Self::After => &service.toolbox.hooks.after,
        }
    }
}

/// A hook's first word, and `…` for more: those may be secrets.
pub fn shown_hook(command: &[String]) -> String {
    match command {
        [] => String::new(),
        [program] => program.clone(),
        [program, ..] => format!("{program} …"),
    }
}

/// What those who use a service notice of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downtime {
    /// Nothing.
    None,
    /// Nothing where another of its containers runs meanwhile; who asks for it by name may be refused: the engine's name
    /// server answers with every container of that name from its start to its end, healthy or not, and takes a name from
    /// one that runs only together with its network, which cuts the container's own connections.
    ByName,
    /// A second or two, while its ports move to or from a relay.
    Ports,
    /// From the old container's stop until the new one is healthy.
    UntilHealthy,
}

/// One container and its successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The container's name.
    pub container: String,
    /// Its number among the service's containers, from 1.
    pub number: u32,
    /// The engine's id of the container that is replaced.
    pub replaces: String,
    /// That container's name, which is another one where something else than a deploy made it.
    pub replaced_name: String,
}

fn familiar<S: serde::Serializer>(reference: &Reference, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&reference.familiar())
}
