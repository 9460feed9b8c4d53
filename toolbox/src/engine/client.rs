//! The Docker Engine API through bollard.

use std::time::Duration;

use bollard::errors::Error as ApiError;
use bollard::models::{NetworkConnectRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ImportImageOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptionsBuilder, RenameContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker as Api};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};

use crate::compose::Project;
use crate::plan::volume_labels;
use crate::state::{EngineState, ImageFacts};

use super::transport::connect;
use super::{ArchiveStream, ContainerSpec, ContainerStatus, Dialer, Engine, EngineError, create, observe};

/// A request that only asks or flips a switch.
const QUICK: Duration = Duration::from_secs(120);
/// A request whose body or answer may take as long as the line is slow.
const BULK: Duration = Duration::from_secs(24 * 3600);

/// A Docker Engine (or what speaks its API).
#[derive(Clone)]
pub struct Docker {
    quick: Api,
    bulk: Api,
}

impl Docker {
    /// Connects through `control` and agrees on an API version; `bulk` is dialed when a load or export begins.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] where nothing answers as an engine does.
    pub async fn connect(control: Dialer, bulk: Dialer) -> Result<Self, EngineError> {
        let unreachable = |e: ApiError| EngineError::Unreachable { reason: root_cause(&e) };
        let quick = connect(control, QUICK, API_DEFAULT_VERSION)?.negotiate_version().await.map_err(unreachable)?;
        let bulk = connect(bulk, BULK, &quick.client_version())?;
        Ok(Self { quick, bulk })
    }

    /// A saved tarball of these images.
    pub fn save(&self, references: &[String]) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + 'static {
        let what = format!("saving {}", references.join(", "));
        let names: Vec<&str> = references.iter().map(String::as_str).collect();
        self.bulk.export_images(&names).map_err(move |e| refused(what.clone(), e)).boxed()
    }
}

impl Engine for Docker {
    async fn observe(&self) -> Result<EngineState, EngineError> {
        observe::snapshot(&self.quick).await
    }

    async fn image_facts(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        match self.quick.inspect_image(reference).await {
            Ok(image) => Ok(Some(observe::image_facts(&image))),
            Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(e) => Err(refused(format!("inspecting image {reference}"), e)),
        }
    }

    async fn load(&self, archive: ArchiveStream) -> Result<(), EngineError> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut answers = self.bulk.import_image_stream(options, archive, None);
        while let Some(answer) = answers.next().await {
            answer.map_err(|e| refused("loading images".into(), e))?;
        }
        Ok(())
    }

    async fn create_network(&self, project: &Project, key: &str) -> Result<(), EngineError> {
        let request = create::network(project, key);
        let what = format!("creating network {}", request.name);
        self.quick.create_network(request).await.map(drop).map_err(|e| refused(what, e))
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.quick.remove_network(name).await.map_err(|e| refused(format!("removing network {name}"), e))
    }

    async fn create_volume(&self, project: &Project, key: &str) -> Result<(), EngineError> {
        let volume = &project.volumes[key];
        let request = VolumeCreateRequest {
            name: Some(volume.name.clone()),
            driver: volume.driver.clone(),
            driver_opts: Some(volume.driver_opts.clone().into_iter().collect()),
            labels: Some(volume_labels(project, key).into_iter().collect()),
            ..Default::default()
        };
        let what = format!("creating volume {}", volume.name);
        self.quick.create_volume(request).await.map(drop).map_err(|e| refused(what, e))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveVolumeOptionsBuilder::default().build();
        let what = format!("removing volume {name}");
        self.quick.remove_volume(name, Some(options)).await.map_err(|e| refused(what, e))
    }

    async fn create_container(&self, spec: ContainerSpec<'_>) -> Result<String, EngineError> {
        let what = format!("creating container {}", spec.name);
        let image = self.quick.inspect_image(spec.image).await;
        let image_id = image.map_err(|e| refused(what.clone(), e))?.id.unwrap_or_default();
        let mut options = CreateContainerOptionsBuilder::default().name(spec.name);
        if let Some(platform) = &spec.service.platform {
            options = options.platform(platform);
        }
        let mut body = create::container(spec, &image_id);
        if let Some(before) = spec.successor_of {
            let before = self.quick.inspect_container(before, None).await.map_err(|e| refused(what.clone(), e))?;
            create::take_over_volumes(&mut body, &before);
        }
        let made = self.quick.create_container(Some(options.build()), body).await;
        let id = made.map_err(|e| refused(what.clone(), e))?.id;
        for (network, endpoint) in create::further_networks(spec) {
            let request = NetworkConnectRequest { container: id.clone(), endpoint_config: Some(endpoint) };
            if let Err(e) = self.quick.connect_network(&network, request).await {
                let _ = self.remove(&id, true).await;
                return Err(refused(format!("connecting {} to network {network}", spec.name), e));
            }
        }
        Ok(id)
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.quick.start_container(id, None).await.map_err(|e| refused("starting the container".into(), e))
    }

    async fn stop(&self, id: &str, grace: Option<Duration>) -> Result<(), EngineError> {
        let mut options = StopContainerOptionsBuilder::default();
        if let Some(grace) = grace {
            options = options.t(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX));
        }
        let stopped = self.bulk.stop_container(id, Some(options.build())).await;
        stopped.map_err(|e| refused("stopping the container".into(), e))
    }

    async fn remove(&self, id: &str, volumes: bool) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(volumes).build();
        let removed = self.quick.remove_container(id, Some(options)).await;
        removed.map_err(|e| refused("removing the container".into(), e))
    }

    async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let renamed = self.quick.rename_container(id, options).await;
        renamed.map_err(|e| refused(format!("renaming a container to {name}"), e))
    }

    async fn status(&self, id: &str) -> Result<ContainerStatus, EngineError> {
        let inspected = self.quick.inspect_container(id, None).await;
        Ok(observe::status(&inspected.map_err(|e| refused("inspecting the container".into(), e))?))
    }

    async fn logs(&self, id: &str, lines: usize) -> Result<Vec<String>, EngineError> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let output: Vec<_> = self
            .quick
            .logs(id, Some(options))
            .map_err(|e| refused("reading the container's log".into(), e))
            .try_collect()
            .await?;
        let text: String = output.iter().map(|o| String::from_utf8_lossy(o.as_ref()).into_owned()).collect();
        Ok(text.lines().map(str::to_owned).collect())
    }
}

pub(super) fn refused(what: String, error: ApiError) -> EngineError {
    match error {
        ApiError::DockerResponseServerError { status_code, message } => {
            EngineError::Refused { what, message, status: status_code }
        }
        ApiError::DockerStreamError { error } => EngineError::Refused { what, message: error, status: 0 },
        other => EngineError::Unreachable { reason: format!("{what}: {}", root_cause(&other)) },
    }
}

/// The innermost error says what happened ("no such file"); the outer ones say which layer noticed.
fn root_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => root_cause(source),
        None => error.to_string(),
    }
}
