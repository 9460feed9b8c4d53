//! An engine in memory, with a fault, a cut or an interrupt at any call: for tests of whoever walks plans.
//!
//! Contract: names, published ports, health and relays are as a real engine has them. After each changing call it looks
//! whether every service that shall be served is: by a relay that runs and sends to a healthy container, or by a healthy
//! container that has the service's name itself.

mod inner;
mod passing;
mod receiver;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::compose::Project;
use crate::image::Reference;
use crate::plan::Fingerprint;
use crate::state::{EngineState, ImageFacts};

use super::{
    ArchiveStream, ContainerSpec, ContainerStatus, Engine, EngineError, ExecOutput, ExecStream, HelperSpec, Output,
    Purpose,
};

use inner::{FakeContainer, Inner, Kind, refuse};
pub(crate) use receiver::Fault;
pub(crate) use store::{Host, Keeps};

/// The engine. Every changing call is counted and written down.
#[derive(Debug, Default)]
pub(crate) struct FakeEngine {
    inner: Arc<Mutex<Inner>>,
    cut: Notify,
    interrupt: Option<(usize, watch::Sender<bool>)>,
    /// Its images, and what receivers keep.
    pub(crate) host: Arc<Host>,
}

impl FakeEngine {
    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        change(&mut self.inner.lock().unwrap());
        self
    }

    /// A container that was there before, healthy where it runs; of the service that its name says.
    pub(crate) fn with_container(self, id: &str, name: &str, state: &str) -> Self {
        let service = name.split('-').nth(1).unwrap_or(name).to_owned();
        self.with(|inner| inner.add(id, FakeContainer::new(name, state, Kind::Service { service, named: true })))
    }

    /// The same, behind a relay.
    pub(crate) fn with_container_behind(self, id: &str, name: &str, state: &str) -> Self {
        let service = name.split('-').nth(1).unwrap_or(name).to_owned();
        self.with(|inner| inner.add(id, FakeContainer::new(name, state, Kind::Service { service, named: false })))
    }

    /// A relay that runs, before a service, with these targets; it holds these ports of the host.
    pub(crate) fn with_relay(self, id: &str, name: &str, targets: &[&str], ports: &[u16]) -> Self {
        let service = name.rsplit('.').next().unwrap_or(name).to_owned();
        let targets = targets.iter().map(|t| (*t).to_owned()).collect();
        let mut relay = FakeContainer::new(name, "running", Kind::Relay { service, targets, listen: json!([]) });
        relay.ports = ports.iter().copied().collect();
        self.with(|inner| inner.add(id, relay))
    }

    /// Ports of the host that a container holds while it runs.
    pub(crate) fn holding(self, id: &str, ports: &[u16]) -> Self {
        self.with(|inner| inner.containers.get_mut(id).unwrap().ports = ports.iter().copied().collect())
    }

    /// What health new containers of this service show once they run, or `exits`; without this it is first starting, then
    /// healthy.
    pub(crate) fn with_health(self, service: &str, health: &str) -> Self {
        self.with(|inner| inner.health.extend([(service.into(), health.into())]))
    }

    /// The status with which hooks of this service exit.
    pub(crate) fn with_hook_status(self, service: &str, status: i64) -> Self {
        self.with(|inner| inner.hooks.extend([(service.into(), status)]))
    }

    /// What a hook of this service writes before it ends, in parts of lines; it ends when that was read.
    pub(crate) fn with_hook_output(self, service: &str, parts: &[&'static str]) -> Self {
        self.with(|inner| inner.output.extend([(service.into(), parts.to_vec())]))
    }

    /// A command in a container answers that the lock is held, so long after it was begun.
    pub(crate) fn with_lock_after(self, time: Duration) -> Self {
        self.with(|inner| inner.lock_after = Some(time))
    }

    /// From now on these services must be served after every call.
    pub(crate) fn watching(self, services: &[&str]) -> Self {
        self.with(|inner| inner.watched = services.iter().map(|s| (*s).to_owned()).collect())
    }

    /// Refuses the calls with these numbers, counted from 0.
    pub(crate) fn failing_at(self, calls: &[usize]) -> Self {
        self.with(|inner| inner.fail_at = calls.iter().copied().collect())
    }

    /// Refuses to say how a container does, at the question with this number.
    pub(crate) fn blind_at(self, look: usize) -> Self {
        self.with(|inner| inner.blind_at = Some(look))
    }

    /// How often it was asked how a container does.
    pub(crate) fn looks(&self) -> usize {
        self.inner.lock().unwrap().looks
    }

    /// Does what this call asks for and never answers.
    pub(crate) fn cut_at(self, call: usize) -> Self {
        self.with(|inner| inner.cut_at = Some(call))
    }

    /// A person interrupts during this call.
    pub(crate) fn interrupted_at(mut self, call: usize, interrupt: watch::Sender<bool>) -> Self {
        self.interrupt = Some((call, interrupt));
        self
    }

    /// Ends when the call was cut.
    pub(crate) async fn was_cut(&self) {
        self.cut.notified().await;
    }

    /// The changing calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.inner.lock().unwrap().calls.clone()
    }

    /// Calls after which a watched service was not served.
    pub(crate) fn gaps(&self) -> Vec<String> {
        self.inner.lock().unwrap().gaps.clone()
    }

    /// Name and state of every container, sorted.
    pub(crate) fn containers(&self) -> Vec<(String, String)> {
        let inner = self.inner.lock().unwrap();
        let mut all: Vec<_> = inner.containers.values().map(|c| (c.name.clone(), c.status.state.clone())).collect();
        all.sort();
        all
    }

    /// Whether a service is served.
    pub(crate) fn serves(&self, service: &str) -> bool {
        self.inner.lock().unwrap().serves(service)
    }

    /// Where a relay sends.
    pub(crate) fn targets(&self, relay: &str) -> BTreeSet<String> {
        let inner = self.inner.lock().unwrap();
        match inner.find(relay).map(|c| &c.kind) {
            Some(Kind::Relay { targets, .. }) => targets.clone(),
            _ => BTreeSet::new(),
        }
    }

    /// The tarballs that were unpacked.
    pub(crate) fn tarballs(&self) -> Vec<Vec<u8>> {
        self.inner.lock().unwrap().tarballs.clone()
    }

    /// Sources and targets of the files that a container sees.
    pub(crate) fn files(&self, name: &str) -> Vec<(String, String)> {
        self.inner.lock().unwrap().find(name).map(|c| c.files.clone()).unwrap_or_default()
    }

    async fn call<T>(
        &self,
        what: String,
        act: impl FnOnce(&mut Inner) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let (done, cut) = self.inner.lock().unwrap().call(&what, act, self.interrupt.as_ref());
        if cut {
            self.cut.notify_one();
            std::future::pending::<()>().await;
        }
        done
    }

    async fn create(&self, what: &str, name: &str, made: FakeContainer) -> Result<String, EngineError> {
        let name = name.to_owned();
        self.call(format!("{what} {name}"), move |inner| {
            inner.free_name(&name)?;
            inner.made += 1;
            let id = format!("new{}", inner.made);
            inner.add(&id, made);
            Ok(id)
        })
        .await
    }
}

impl Engine for FakeEngine {
    fn api_version(&self) -> (usize, usize) {
        (1, 41)
    }

    async fn round_trip(&self) -> Result<Duration, EngineError> {
        Ok(Duration::ZERO)
    }

    async fn rate(&self, _: Duration, _: u64) -> Option<u64> {
        None
    }

    /// Its containers, those of services by their names.
    async fn observe(&self, project: &str) -> Result<EngineState, EngineError> {
        Ok(EngineState { containers: self.inner.lock().unwrap().observed(project), ..EngineState::empty() })
    }

    async fn image_facts(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        Ok(self.host.image(reference))
    }

    async fn is_listed(&self, reference: &Reference, id: &str) -> Result<bool, EngineError> {
        Ok(self.host.lists(reference, id))
    }

    async fn load(&self, mut archive: ArchiveStream) -> Result<(), EngineError> {
        let mut tarball = Vec::new();
        while let Some(piece) = archive.next().await {
            tarball.extend(piece.map_err(|e| EngineError::Unreachable { reason: e.to_string() })?);
        }
        self.host.streamed(tarball.len());
        let loaded = self.host.load(&store::unpacked(&tarball)).map_err(|e| refuse("loading images", &e, 0));
        self.call("load".into(), |_| loaded).await
    }

    async fn create_network(&self, _: &Project, key: &str) -> Result<(), EngineError> {
        self.call(format!("create network {key}"), |_| Ok(())).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.call(format!("remove network {name}"), |_| Ok(())).await
    }

    async fn create_volume(&self, _: &Project, key: &str) -> Result<(), EngineError> {
        self.call(format!("create volume {key}"), |_| Ok(())).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        self.call(format!("remove volume {name}"), |_| Ok(())).await?;
        self.host.forget_parts();
        Ok(())
    }

    async fn create_container(&self, spec: ContainerSpec<'_>) -> Result<String, EngineError> {
        let service = spec.service.name.clone();
        let kind = match spec.purpose {
            Purpose::Service => Kind::Service { service, named: !spec.behind_relay },
            Purpose::OneOff { .. } => Kind::OneOff { service },
        };
        let mut made = FakeContainer::new(spec.name, "created", kind);
        if spec.purpose == Purpose::Service && !spec.behind_relay {
            made.ports = spec.service.ports.iter().filter_map(|p| p.published).collect();
        }
        made.hash = Some(Fingerprint::of(spec.project, spec.service, spec.behind_relay).hash);
        made.files = spec.files.iter().map(|f| (f.source.clone(), f.target.clone())).collect();
        self.create("create", spec.name, made).await
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.call(format!("start {id}"), |inner| inner.start(id)).await
    }

    async fn stop(&self, id: &str, _: Option<Duration>) -> Result<(), EngineError> {
        self.call(format!("stop {id}"), |inner| {
            let container = inner.existing(id)?;
            if container.status.state != "created" {
                container.status.state = "exited".into();
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, id: &str, _: bool) -> Result<(), EngineError> {
        self.call(format!("remove {id}"), |inner| {
            inner.existing(id)?;
            inner.containers.remove(id);
            Ok(())
        })
        .await
    }

    async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        if self.inner.lock().unwrap().containers.get(id).is_some_and(|c| c.name == name) {
            return Err(refuse("rename", "renaming a container with the same name as its current name", 400));
        }
        self.call(format!("rename {id} {name}"), |inner| {
            inner.free_name(name)?;
            inner.existing(id)?.name = name.to_owned();
            Ok(())
        })
        .await
    }

    async fn status(&self, id: &str) -> Result<ContainerStatus, EngineError> {
        self.inner.lock().unwrap().look(id)
    }

    async fn create_helper(&self, spec: &HelperSpec) -> Result<String, EngineError> {
        let config: Value =
            serde_json::from_str(spec.environment.get("RELAY_CONFIG").map_or("{}", String::as_str)).unwrap();
        let relay = spec.receives.is_none();
        let service = spec.name.split('.').nth(2).filter(|_| relay).map(str::to_owned);
        let kind = service.map_or(Kind::Keeper, |service| Kind::Relay {
            service,
            targets: serde_json::from_value(config["targets"].clone()).unwrap(),
            listen: config["listen"].clone(),
        });
        let mut made = FakeContainer::new(&spec.name, "created", kind);
        made.ports = spec.ports.iter().filter_map(|p| p.published).collect();
        let network = spec.receives.as_ref().is_some_and(|receives| receives.network);
        self.create(if network { "create helper in its network" } else { "create helper" }, &spec.name, made).await
    }

    async fn create_plain_volume(&self, name: &str, _: &BTreeMap<String, String>) -> Result<(), EngineError> {
        self.call(format!("create volume {name}"), |_| Ok(())).await
    }

    async fn mountpoint(&self, volume: &str) -> Result<String, EngineError> {
        Ok(format!("/volumes/{volume}/_data"))
    }

    /// Only what a relay is told.
    async fn exec(&self, id: &str, command: &[String], input: &[u8]) -> Result<ExecOutput, EngineError> {
        assert_eq!(command, ["/toolbox-relay", "control"]);
        let request: Value = serde_json::from_slice(input).unwrap();
        let what = format!("{} {id} {}", request["do"].as_str().unwrap(), request["targets"]).replace(" null", "");
        let stdout = self.call(what, |inner| inner.control(id, &request)).await?.to_string().into_bytes();
        Ok(ExecOutput { stdout, ..ExecOutput::default() })
    }

    async fn exec_stream(&self, id: &str, command: &[String]) -> Result<ExecStream, EngineError> {
        if command == ["/toolbox-relay", "receive"] {
            return receiver::session(&self.host, id).ok_or_else(|| refuse("exec", "the host is gone", 500));
        }
        let after = self.inner.lock().unwrap().lock_after;
        let after = after.ok_or_else(|| refuse(&format!("exec in {id}"), "this engine has no terminals", 501))?;
        let answer = async move {
            tokio::time::sleep(after).await;
            Ok((false, Bytes::from_static(b"{\"locked\":true}\n")))
        };
        let output = stream::once(answer).chain(stream::pending()).boxed();
        Ok(ExecStream { input: Box::pin(tokio::io::sink()), output, id: id.to_owned() })
    }

    async fn put_files(&self, id: &str, directory: &str, tarball: Vec<u8>) -> Result<(), EngineError> {
        self.call(format!("put files {id} {directory}"), |inner| {
            inner.find(id).ok_or_else(|| refuse(id, "no such container", 404))?;
            inner.tarballs.push(tarball);
            Ok(())
        })
        .await
    }

    async fn get_files(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(None)
    }

    async fn tag(&self, image: &str, reference: &Reference) -> Result<(), EngineError> {
        self.call(format!("tag {image} {}", reference.familiar()), |_| Ok(())).await
    }

    async fn untag(&self, reference: &str) -> Result<(), EngineError> {
        self.call(format!("untag {reference}"), |_| Ok(())).await?;
        self.host.forget(reference);
        Ok(())
    }

    async fn follow(&self, id: &str) -> Result<Output, EngineError> {
        let inner = self.inner.lock().unwrap();
        let written = inner.output_of(id).unwrap_or_else(|| vec!["the last line of the log\n"]);
        let parts = written.into_iter().map(|part| Ok((false, Bytes::from_static(part.as_bytes()))));
        let (this, id) = (Arc::clone(&self.inner), id.to_owned());
        let end = stream::once(async move { this.lock().unwrap().ends(&id) }).filter_map(async |()| None);
        Ok(stream::iter(parts).chain(end).boxed())
    }

    async fn logs(&self, _: &str, _: usize) -> Result<Vec<String>, EngineError> {
        Ok(vec!["the last line of the log".into()])
    }
}
