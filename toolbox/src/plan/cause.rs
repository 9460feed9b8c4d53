//! Why an operation is in a plan.
//!
//! As JSON a cause is an object with its name in snake case under `reason`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case", deny_unknown_fields)]
pub enum Cause {
    /// The host has no container engine.
    NoEngine,
    /// As [`Cause::NoEngine`], where one would be installed in a way that was never tried.
    NoEngineUntested {
        /// The package manager.
        manager: String,
    },
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
    /// An earlier run was interrupted while it waited for it, and it is not healthy. What it replaced is still there.
    NeverWell,
    /// A service is changed that uses it.
    Needed,
    /// A person asked for it.
    Asked,
    /// The inventory asks for it.
    Settings,
    /// An update of the host waits for it.
    RebootRequired,
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
            Self::NoEngineUntested { manager } => {
                write!(f, "the host has no container engine; installing by {manager} is untested here")
            }
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
            Self::NeverWell => f.write_str("an interrupted run left it, and it is not healthy"),
            Self::LeftOver | Self::NeverInCharge => f.write_str("left over from an interrupted run"),
            Self::Needed => f.write_str("needed by what is changed"),
            Self::Asked => f.write_str("as asked"),
            Self::Settings => f.write_str("as the inventory says"),
            Self::RebootRequired => f.write_str("an update of the host waits for it"),
        }
    }
}
