//! The releases that hosts keep: read, chosen, written, and the oldest let go.

use std::collections::{BTreeMap, BTreeSet};

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
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    /// By host, the release that was brought back, and what git said of its sources.
    pub(super) rollback_of: BTreeMap<String, (ReleaseId, Option<Git>)>,
}

impl Record {
    /// Puts the deploy on record on a host, whose `shelf` it is, pins its images, and lets releases go that are not kept
    /// any more.
    ///
    /// # Errors
    /// [`StoreError`]; the release may be on record all the same.
    pub(super) async fn keep(
        &self,
        id: ReleaseId,
        engine: &Docker,
        plan: &Plan,
        wanted: &Wanted,
        ours: &Ours,
        mut shelf: Shelf,
    ) -> Result<(), StoreError> {
        let keeper = keeper_name(&wanted.project.name);
        let store = Store::new(engine, &keeper);
        ours.learn(&shelf);
        let mut release = self.release(id, engine, plan, wanted, ours).await?;
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
        id: ReleaseId,
        engine: &Docker,
        plan: &Plan,
        wanted: &Wanted,
        ours: &Ours,
    ) -> Result<(), StoreError> {
        let release = self.release(id, engine, plan, wanted, ours).await?;
        Store::new(engine, &keeper_name(&wanted.project.name)).pin(&release).await
    }

    /// The record of what was asked for: all of the project, or the selected services alone.
    async fn release(
        &self,
        id: ReleaseId,
        engine: &Docker,
        plan: &Plan,
        wanted: &Wanted,
        ours: &Ours,
    ) -> Result<Release, StoreError> {
        let project = match wanted.selected() {
            Some(selected) => wanted.project.only(|service| selected.contains(&service.name)),
            None => wanted.project.clone(),
        };
        let services = services(engine, &project, &plan.relays, ours).await?;
        let (rollback_of, git) = match self.rollback_of.get(&plan.host) {
            Some((origin, git)) => (Some(*origin), git.clone()),
            None => (None, Git::read(&project.working_dir)),
        };
        let mut release = Release::new(id, who(), git, project, services);
        release.rollback_of = rollback_of;
        Ok(release)
    }
}

/// The newest release that a host keeps, or that has left a container there.
pub(super) fn newest(facts: &HostFacts, shelf: &Shelf) -> Option<ReleaseId> {
    let containers = facts.engine.iter().flat_map(|engine| &engine.containers);
    let left = containers.filter_map(|container| container.release.as_ref()?.parse().ok());
    left.chain(shelf.newest()).max()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{EngineState, ObservedContainer};

    fn id(second: u32) -> ReleaseId {
        format!("20261122-1754{second:02}").parse().unwrap()
    }

    #[test]
    fn newest_is_what_is_on_record_readable_or_not_or_has_left_a_container() {
        for (damaged, left, second) in [(false, None, 1), (true, None, 2), (false, Some(3), 3), (true, Some(1), 2)] {
            let mut shelf = Shelf::default();
            let project = crate::compose::testing::project("{services: {web: {image: a}}}");
            shelf.releases.push(Release::new(id(1), "ann".into(), None, project, BTreeMap::new()));
            shelf.damaged.extend(damaged.then(|| format!("{}.json: cut short", id(2))));
            let release = left.map(|second| id(second).to_string());
            let containers = vec![ObservedContainer { release, ..ObservedContainer::default() }];
            let engine = Ok(EngineState { containers, ..EngineState::empty() });
            let facts = HostFacts { host: "vm".into(), engine, listening: BTreeSet::new() };
            assert_eq!(newest(&facts, &shelf), Some(id(second)), "{damaged} {left:?}");
        }
    }
}
