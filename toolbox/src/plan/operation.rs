//! Plans and their operations.
//!
//! As JSON a plan is an object with the fields of [`Plan`]; each operation has the fields of its [`Action`] with its
//! name in snake case under `action`, and its [`Cause`] under `cause`, whose name is under `reason`. Durations are
//! `{"secs", "nanos"}`, images are familiar names. It is read back as the same value; unknown fields are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::compose::{Service, UpdateOrder};
use crate::image::Reference;

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
    /// Nothing where another of its containers runs meanwhile; who asks for it by name may be refused for a moment.
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

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case", deny_unknown_fields)]
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
    ImageChanged {
        /// The id of the image it was made from, shortened.
        from: String,
        /// The id of the image it will be made from, shortened; for an image still to be sent that of its source.
        to: String,
    },
    /// The service's definition changed.
    ConfigChanged {
        /// What differs, sorted by field; empty where the container does not say what it was made from.
        fields: Vec<FieldChange>,
    },
    /// Somebody changed it on the host.
    Drift {
        /// What, one short text each.
        what: Vec<String>,
    },
    /// Something that it depends on is replaced.
    DependencyReplaced {
        /// The service.
        service: String,
    },
    /// The container's state, which is not `running`.
    NotRunning {
        /// The engine's word for the state.
        state: String,
    },
    /// The service has more containers than it asks for.
    ScaledDown,
    /// The project's file does not name its service any more.
    Orphan,
    /// An earlier run was interrupted and left it.
    LeftOver,
    /// An earlier run was interrupted and left it before it was put in charge of anything.
    NeverInCharge,
    /// A service is changed that uses it.
    Needed,
    /// A person asked for it.
    Asked,
}

/// A field of a definition that differs; never its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// The field as in the compose file: `environment.FOO`, `ports`, `deploy.resources.limits.memory`.
    pub field: String,
    /// How it differs.
    pub change: Change,
}

/// How a field differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// It went.
    Removed,
    /// Its value is another.
    Changed,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            Change::Added => "+",
            Change::Removed => "-",
            Change::Changed => "~",
        };
        write!(f, "{sign}{}", self.field)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEngine => f.write_str("the host has no container engine"),
            Self::EngineStopped => f.write_str("the engine is installed and does not run"),
            Self::Missing => f.write_str("not on the host"),
            Self::ImageDiffers => f.write_str("the host holds another image under this name"),
            Self::ImageChanged { from, to } => write!(f, "image changed: {from} -> {to}"),
            Self::ConfigChanged { fields } if fields.is_empty() => f.write_str("definition changed"),
            Self::ConfigChanged { fields } => {
                let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
                write!(f, "definition changed: {}", fields.join(", "))
            }
            Self::Drift { what } => write!(f, "changed on the host: {}", what.join(", ")),
            Self::DependencyReplaced { service } => write!(f, "{service} is replaced"),
            Self::NotRunning { state } => write!(f, "state is {state}"),
            Self::ScaledDown => f.write_str("more containers than replicas"),
            Self::Orphan => f.write_str("its service is not in the file"),
            Self::LeftOver | Self::NeverInCharge => f.write_str("left over from an interrupted run"),
            Self::Needed => f.write_str("needed by what is changed"),
            Self::Asked => f.write_str("as asked"),
        }
    }
}
