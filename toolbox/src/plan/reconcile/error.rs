//! What stands in the way of a plan.

use crate::compose::{Protocol, PublishedPort, UnknownService};

/// Why no plan can be made; nothing was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Neither the image source nor the host holds the image.
    #[error("{host}: service {service}: image {image} is neither here nor on the host")]
    ImageNowhere {
        /// The host.
        host: String,
        /// The service.
        service: String,
        /// The image as the compose file names it.
        image: String,
        /// The service can be built.
        has_build: bool,
    },
    /// The image was made for another processor.
    #[error("{host}: service {service}: image {image} is for {image_architecture}, the host is {host_architecture}")]
    Architecture {
        /// The host.
        host: String,
        /// The service.
        service: String,
        /// The image as the compose file names it.
        image: String,
        /// What the image was made for.
        image_architecture: String,
        /// What the host is.
        host_architecture: String,
    },
    /// The same, where no service asks for it.
    #[error("{host}: image {image} is for {image_architecture}, the host is {host_architecture}")]
    ImageArchitecture {
        /// The host.
        host: String,
        /// The image.
        image: String,
        /// What the image was made for.
        image_architecture: String,
        /// What the host is.
        host_architecture: String,
    },
    /// The helper that relays and the keeper run was made for another processor.
    #[error("{host}: the helper of this toolbox is for {helper_architecture}, the host is {host_architecture}")]
    HelperArchitecture {
        /// The host.
        host: String,
        /// What the helper was made for.
        helper_architecture: String,
        /// What the host is.
        host_architecture: String,
    },
    /// A published port is in use.
    #[error("{host}: service {service}: port {} is taken on the host by {holder}", on_host(.port))]
    PortTaken {
        /// The host.
        host: String,
        /// The service.
        service: String,
        /// What the service would publish.
        port: PublishedPort,
        /// Who holds it: a container's name, or "another process".
        holder: String,
    },
    /// A service was asked for that the project does not have.
    #[error("{host}: {unknown}")]
    UnknownService {
        /// The host.
        host: String,
        /// What was asked for.
        unknown: UnknownService,
    },
    /// The file asks for start-first where two containers cannot run at once.
    #[error("{host}: service {service}: update_config.order start-first is impossible with {reason}")]
    OrderImpossible {
        /// The host.
        host: String,
        /// The service.
        service: String,
        /// What stands against it.
        reason: String,
    },
    /// The file asks for a header that only a relay sends, and none stands before the service.
    #[error("{host}: service {service}: no relay stands before it for x-toolbox.proxy_protocol ({})", why_none(.reason))]
    NoRelay {
        /// The host.
        host: String,
        /// The service.
        service: String,
        /// Why it is stop-first; `None` where a relay has no ports to listen on.
        reason: Option<String>,
    },
    /// A network or volume of ours was made from another definition; changing it would cut or lose what uses it.
    #[error("{host}: {kind} {name} exists with another definition than the file's")]
    Differs {
        /// The host.
        host: String,
        /// `network` or `volume`.
        kind: &'static str,
        /// The engine's name.
        name: String,
    },
    /// `external: true` and not there.
    #[error("{host}: {kind} {name} is external and does not exist on the host")]
    ExternalMissing {
        /// The host.
        host: String,
        /// `network` or `volume`.
        kind: &'static str,
        /// The engine's name.
        name: String,
    },
}

impl PlanError {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::ImageNowhere { service, has_build: true, .. } => {
                format!("build it here first: docker compose build {service}")
            }
            Self::ImageNowhere { image, .. } => format!("fetch it here first: docker pull {image}"),
            Self::Architecture { host_architecture, image, .. }
            | Self::ImageArchitecture { host_architecture, image, .. } => {
                format!("build or pull {image} for linux/{host_architecture}")
            }
            Self::HelperArchitecture { host_architecture, .. } => {
                format!("deploy from a toolbox image for linux/{host_architecture}")
            }
            Self::PortTaken { port, holder, .. } if holder.starts_with("container ") => {
                format!("stop that container, or publish another port than {} in the compose file", on_host(port))
            }
            Self::PortTaken { port, .. } => {
                let number = port.published.unwrap_or_default();
                format!("see who listens with `ss -ltnp 'sport = :{number}'` on the host, or publish another port")
            }
            Self::UnknownService { unknown, .. } => unknown.hint(),
            Self::OrderImpossible { service, .. } => {
                format!("take `order: start-first` out of service {service}, or what stands against it")
            }
            Self::NoRelay { service, reason: None, .. } => {
                format!("name the port of service {service} under `expose`, or leave proxy_protocol out")
            }
            Self::NoRelay { .. } => {
                "write deploy.update_config.order: start-first if it may have two containers for a moment, or leave \
                 proxy_protocol out"
                    .into()
            }
            Self::Differs { kind: "network", name, .. } => {
                format!(
                    "give it another name in the file, or make it anew: toolbox down, then deploy ({name} holds no data)"
                )
            }
            Self::Differs { kind, name, .. } => {
                format!(
                    "give it another name in the file, or save its data and remove it on the host: docker {kind} rm {name}"
                )
            }
            Self::ExternalMissing { kind, name, .. } => {
                format!("create it on the host: docker {kind} create {name}")
            }
        }
    }
}

fn why_none(reason: &Option<String>) -> String {
    reason.as_ref().map_or_else(|| "it exposes no TCP port".into(), |reason| format!("stop-first: {reason}"))
}

/// The host's side of a published port: `80`, `53/udp`, `192.0.2.7:8080`.
fn on_host(port: &PublishedPort) -> String {
    let shown = port.shown();
    let address = shown.split("->").next().unwrap_or_default().to_owned();
    match port.protocol {
        Protocol::Tcp => address,
        other => format!("{address}/{}", other.as_str()),
    }
}
