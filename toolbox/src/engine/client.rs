//! The Docker Engine API through bollard.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::errors::Error as ApiError;
use bollard::models::{EndpointSettings, NetworkConnectRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ImportImageOptionsBuilder, ListImagesOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
    RenameContainerOptionsBuilder, StopContainerOptionsBuilder, TagImageOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker as Api};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};

use crate::compose::Project;
use crate::image::Reference;
use crate::plan::volume_labels;
use crate::state::{EngineState, ImageFacts, ObservedImage, Scope};

use super::hijack::Hijack;
use super::questions::Questions;
use super::transport::connect;
use super::{
    ArchiveStream, ContainerSpec, ContainerStatus, Dialer, Engine, EngineError, ExecOutput, ExecStream, HelperSpec,
    LogRequest, Output, create, exec, files, helper, observe, says_not_unpacked,
};

/// A request that only asks or flips a switch.
const QUICK: Duration = Duration::from_secs(120);
/// A request whose body or answer may take as long as the line is slow.
const BULK: Duration = Duration::from_secs(24 * 3600);

/// Questions for [`Engine::round_trip`].
const PINGS: usize = 3;

/// What is sent to measure a line, bytes: a two-hundredth of a second at 100 Mbit/s. Go's servers take headers of 1 MiB.
const PADDING: usize = 64 << 10;

/// Files up to this size may stand before other requests, bytes.
const SMALL: usize = 1024 * 1024;

/// A Docker Engine (or what speaks its API).
#[derive(Clone)]
pub struct Docker {
    pub(super) quick: Api,
    bulk: Api,
    /// As `bulk`, for streams without an end of their own.
    pub(super) streams: Arc<Hijack>,
    pub(super) questions: Arc<Questions>,
}

impl Docker {
    /// Connects through `control` and agrees on an API version; `bulk` is dialed when a load or export begins.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] where nothing answers as an engine does.
    pub async fn connect(control: Dialer, bulk: Dialer) -> Result<Self, EngineError> {
        Self::connect_asking(control, bulk, &[]).await
    }

    /// As [`Docker::connect`], where a look for this scope comes next: most of it is asked at once.
    ///
    /// # Errors
    /// As [`Docker::connect`].
    pub async fn connect_to_look(control: Dialer, bulk: Dialer, scope: &Scope<'_>) -> Result<Self, EngineError> {
        Self::connect_asking(control, bulk, &observe::first(scope).concat()).await
    }

    async fn connect_asking(control: Dialer, bulk: Dialer, first: &[String]) -> Result<Self, EngineError> {
        let (questions, version) = Questions::open(control.clone(), API_DEFAULT_VERSION, first).await?;
        let quick = connect(control, QUICK, &version)?;
        let streams = Arc::new(Hijack::new(bulk.clone(), version.to_string()));
        let bulk = connect(bulk, BULK, &version)?;
        Ok(Self { quick, bulk, streams, questions: Arc::new(questions) })
    }

    /// One snapshot of what `scope` needs.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn look(&self, scope: &Scope<'_>) -> Result<EngineState, EngineError> {
        let state = observe::snapshot(&self.questions, scope).await?;
        Ok(EngineState { api: Some(self.api_version()), ..state })
    }

    /// Every image, those without a name too.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn images(&self) -> Result<Vec<ObservedImage>, EngineError> {
        observe::images(&self.questions).await
    }

    /// The same engine, reached another way for everything but snapshots.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`].
    pub fn over(&self, dialer: Dialer) -> Result<Self, EngineError> {
        let version = self.quick.client_version();
        let streams = Arc::new(Hijack::new(dialer.clone(), version.to_string()));
        let (quick, bulk) = (connect(dialer.clone(), QUICK, &version)?, connect(dialer, BULK, &version)?);
        Ok(Self { quick, bulk, streams, questions: Arc::clone(&self.questions) })
    }

    /// A saved tarball of these images.
    pub fn save(&self, references: &[String]) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + 'static {
        let what = format!("saving {}", references.join(", "));
        let names: Vec<&str> = references.iter().map(String::as_str).collect();
        self.bulk.export_images(&names).map_err(move |e| refused(what.clone(), e)).boxed()
    }

    /// Connects a new container to further networks, and removes it where that fails.
    async fn connect_all(
        &self,
        id: &str,
        name: &str,
        networks: Vec<(String, EndpointSettings)>,
    ) -> Result<(), EngineError> {
        for (network, endpoint) in networks {
            let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint) };
            if let Err(e) = self.quick.connect_network(&network, request).await {
                let _ = self.remove(id, true).await;
                return Err(refused(format!("connecting {name} to network {network}"), e));
            }
        }
        Ok(())
    }
}

impl Engine for Docker {
    fn api_version(&self) -> (usize, usize) {
        let version = self.quick.client_version();
        (version.major_version, version.minor_version)
    }

    async fn round_trip(&self) -> Result<Duration, EngineError> {
        let mut shortest = Duration::MAX;
        for _ in 0..PINGS {
            let began = Instant::now();
            self.quick.ping().await.map_err(|e| refused("asking the engine whether it is there".into(), e))?;
            shortest = shortest.min(began.elapsed());
        }
        Ok(shortest)
    }

    async fn rate(&self, round_trip: Duration, enough: u64) -> Option<u64> {
        let (padding, mut best) = (padding(), 0);
        for _ in 0..PINGS {
            let took = self.questions.ping_with(&padding).await?.saturating_sub(round_trip);
            let rate = PADDING as f64 / took.as_secs_f64().max(1e-6);
            best = best.max(rate as u64);
            if best >= enough {
                break;
            }
        }
        Some(best)
    }

    async fn observe(&self, project: &str) -> Result<EngineState, EngineError> {
        self.look(&Scope::all(project)).await
    }

    async fn image_facts(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        let [answer] = self.questions.each([format!("/images/{reference}/json")]).await?;
        match answer.read::<observe::Inspected>(&format!("inspecting image {reference}")) {
            Ok(image) => Ok(Some(image.facts())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn is_listed(&self, reference: &Reference, id: &str) -> Result<bool, EngineError> {
        let filters = HashMap::from([("reference".to_owned(), vec![reference.familiar()])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = self.quick.list_images(Some(options)).await;
        let images = images.map_err(|e| refused("asking the engine for its images".into(), e))?;
        Ok(images.iter().any(|image| image.id == id))
    }

    async fn load(&self, archive: ArchiveStream) -> Result<(), EngineError> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut answers = self.bulk.import_image_stream(options, archive, None);
        let mut problems = Vec::new();
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|e| refused("loading images".into(), e))?;
            problems.extend(answer.stream.filter(|said| says_not_unpacked(said)).map(|said| said.trim().to_owned()));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(EngineError::Refused { what: "loading images".into(), message: problems.join("; "), status: 0 })
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
        self.connect_all(&id, spec.name, create::further_networks(spec)).await?;
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

    async fn create_helper(&self, spec: &HelperSpec) -> Result<String, EngineError> {
        let options = CreateContainerOptionsBuilder::default().name(&spec.name);
        let made = self.quick.create_container(Some(options.build()), helper::container(spec)).await;
        let id = made.map_err(|e| refused(format!("creating container {}", spec.name), e))?.id;
        self.connect_all(&id, &spec.name, helper::further_networks(spec)).await?;
        Ok(id)
    }

    async fn create_plain_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<(), EngineError> {
        let labels = Some(labels.clone().into_iter().collect());
        let request = VolumeCreateRequest { name: Some(name.to_owned()), labels, ..Default::default() };
        let made = self.quick.create_volume(request).await;
        made.map(drop).map_err(|e| refused(format!("creating volume {name}"), e))
    }

    async fn mountpoint(&self, volume: &str) -> Result<String, EngineError> {
        let inspected = self.quick.inspect_volume(volume).await;
        Ok(inspected.map_err(|e| refused(format!("inspecting volume {volume}"), e))?.mountpoint)
    }

    async fn exec(&self, id: &str, command: &[String], input: &[u8]) -> Result<ExecOutput, EngineError> {
        exec::run(&self.quick, id, command, input).await
    }

    async fn exec_stream(&self, id: &str, command: &[String]) -> Result<ExecStream, EngineError> {
        exec::stream(&self.quick, id, command).await
    }

    async fn put_files(&self, id: &str, directory: &str, tarball: Vec<u8>) -> Result<(), EngineError> {
        let api = if tarball.len() > SMALL { &self.bulk } else { &self.quick };
        files::put(api, id, directory, tarball).await
    }

    async fn get_files(&self, id: &str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
        files::get(&self.quick, id, path).await
    }

    async fn tag(&self, image: &str, reference: &Reference) -> Result<(), EngineError> {
        let repository = format!("{}/{}", reference.domain(), reference.path());
        let options = TagImageOptionsBuilder::default().repo(&repository).tag(reference.tag().unwrap_or_default());
        let tagged = self.quick.tag_image(image, Some(options.build())).await;
        tagged.map_err(|e| refused(format!("naming an image {reference}"), e))
    }

    async fn untag(&self, reference: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(false).build();
        match self.quick.remove_image(reference, Some(options), None).await {
            Ok(_) => Ok(()),
            // Gone already; or the last name of an image that a container uses.
            Err(ApiError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(e) => Err(refused(format!("removing the image name {reference}"), e)),
        }
    }

    async fn follow(&self, id: &str) -> Result<Output, EngineError> {
        self.log_stream(id, &LogRequest { follow: true, ..LogRequest::default() }).await
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

/// Text that SSH's compression makes little of.
fn padding() -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state >> 58) as u8)
    };
    (0..PADDING).map(|_| next()).collect()
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
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => root_cause(source),
        None => error.to_string(),
    }
}
