//! The releases that hosts keep: read, chosen, written, and the oldest let go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::apply::{Ours, Shelf, Store, StoreError};
use crate::compose::Project;
use crate::engine::{Docker, Engine as _};
use crate::image::Reference;
use crate::plan::{Fingerprint, HostFacts, Plan, keeper_name, prune};
use crate::release::{Git, Release, ReleaseId, ReleasedImage, ReleasedService, who};

use super::prepare::Wanted;

/// Releases that a host keeps where the file does not say.
const KEPT: u32 = 5;

/// What a good deploy is put on record as.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Its name.
    pub(super) id: ReleaseId,
    /// By host, the release that was brought back, and what git said of its sources.
    pub(super) rollback_of: BTreeMap<String, (ReleaseId, Option<Git>)>,
}

impl Record {
    /// A deploy that happens now.
    pub(super) fn now() -> Self {
        Self { id: ReleaseId::at(SystemTime::now()), rollback_of: BTreeMap::new() }
    }

    /// Comes after every deploy that has left a container on these hosts, whatever the clocks say.
    pub(super) fn follow<'a>(&mut self, hosts: impl Iterator<Item = &'a HostFacts>) {
        let containers = hosts.filter_map(|host| host.engine.as_ref().ok()).flat_map(|engine| &engine.containers);
        let newest = containers.filter_map(|container| container.release.as_ref()?.parse().ok()).max();
        self.id = ReleaseId::after(newest, SystemTime::now());
    }

    /// Puts the deploy on record on a host, pins its images, and lets releases go that are not kept any more.
    ///
    /// # Errors
    /// [`StoreError`]; the release may be on record all the same.
    pub(super) async fn keep(
        &self,
        engine: &Docker,
        plan: &Plan,
        wanted: &Wanted,
        ours: &Ours,
    ) -> Result<(), StoreError> {
        let keeper = keeper_name(&wanted.project.name);
        let store = Store::new(engine, &keeper);
        let mut shelf = store.shelf().await?;
        ours.learn(&shelf);
        let mut release = self.release(engine, plan, wanted, ours).await?;
        if let (Some(selected), Some(previous)) = (wanted.selected(), shelf.releases.first()) {
            release = release.with(previous, &selected);
        }
        store.pin(&release).await?;
        store.write(&release).await?;
        shelf.releases.insert(0, release);
        sweep(engine, &store, &wanted.project, &shelf).await
    }

    /// Gives the images that the host holds by now the names that keep them, so that those of a deploy that fails are
    /// known as ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn pin(
        &self,
        engine: &Docker,
        plan: &Plan,
        wanted: &Wanted,
        ours: &Ours,
    ) -> Result<(), StoreError> {
        let release = self.release(engine, plan, wanted, ours).await?;
        Store::new(engine, &keeper_name(&wanted.project.name)).pin(&release).await
    }

    /// The record of what was asked for: all of the project, or the selected services alone.
    async fn release(&self, engine: &Docker, plan: &Plan, wanted: &Wanted, ours: &Ours) -> Result<Release, StoreError> {
        let project = match wanted.selected() {
            Some(selected) => wanted.project.only(|service| selected.contains(&service.name)),
            None => wanted.project.clone(),
        };
        let services = services(engine, &project, &plan.relays, ours).await?;
        let (rollback_of, git) = match self.rollback_of.get(&plan.host) {
            Some((origin, git)) => (Some(*origin), git.clone()),
            None => (None, Git::read(&project.working_dir)),
        };
        let mut release = Release::new(self.id, who(), git, project, services);
        release.rollback_of = rollback_of;
        Ok(release)
    }
}

/// What the project's services are made from on this host.
async fn services(
    engine: &Docker,
    project: &Project,
    relays: &BTreeMap<String, Vec<u16>>,
    ours: &Ours,
) -> Result<BTreeMap<String, ReleasedService>, StoreError> {
    let mut all = BTreeMap::new();
    for service in project.services.values() {
        let Ok(reference) = Reference::parse(&service.image) else { continue };
        let Some(facts) = engine.image_facts(&reference.familiar()).await? else { continue };
        let (loaded, architecture) = (ours.contains(&facts.id), facts.architecture);
        let image = ReleasedImage { reference, id: facts.id, layers: facts.layers, architecture, loaded };
        let config_hash = Fingerprint::of(project, service, relays.contains_key(&service.name)).hash;
        all.insert(service.name.clone(), ReleasedService { config_hash, image });
    }
    Ok(all)
}

async fn sweep(engine: &Docker, store: &Store<'_, Docker>, project: &Project, shelf: &Shelf) -> Result<(), StoreError> {
    let state = engine.observe(&project.name).await?;
    let unused = prune(&project.name, &state, &shelf.releases, shelf.damaged.is_empty(), kept(project));
    store.remove(&unused.releases_only()).await.map(drop)
}

/// How many releases hosts keep.
pub(super) fn kept(project: &Project) -> usize {
    project.toolbox.keep_releases.unwrap_or(KEPT) as usize
}

impl Wanted {
    /// The services that are changed, with what they depend on; nothing where all are.
    fn selected(&self) -> Option<BTreeSet<String>> {
        self.services.as_ref().map(|services| self.project.with_dependencies(services))
    }
}
