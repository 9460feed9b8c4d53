//! The record of a deploy of some services: they as they are now, the others as they were.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::{FileMount, FileObject, MountSource, Service};

use super::Release;

/// Old keys of the project's objects to new ones.
type Renamed = BTreeMap<String, String>;

impl Release {
    /// This release, where only `selected` services were deployed: the others are those of `previous`, with their
    /// networks, volumes, configs and secrets. What is neither selected nor was there before is not in it.
    pub fn with(mut self, previous: &Self, selected: &BTreeSet<String>) -> Self {
        self.services.retain(|name, _| selected.contains(name));
        let others = previous.services.iter().filter(|(name, _)| !selected.contains(*name));
        self.services.extend(others.map(|(name, service)| (name.clone(), service.clone())));
        let mut kept = previous.project.services.clone();
        kept.retain(|name, _| !selected.contains(name));
        let (new, old) = (&mut self.project, &previous.project);
        new.services.retain(|name, _| selected.contains(name));
        let merging = Merging { new: &new.services.clone(), kept: &kept.clone(), mark: previous.id.to_string() };
        let networks = merging.objects(&mut new.networks, &old.networks, |a, b| a.name == b.name, network_keys);
        let volumes = merging.objects(&mut new.volumes, &old.volumes, |a, b| a.name == b.name, volume_keys);
        let configs = merging.objects(&mut new.configs, &old.configs, same_content, |s| file_keys(&s.configs));
        let secrets = merging.objects(&mut new.secrets, &old.secrets, same_content, |s| file_keys(&s.secrets));
        for service in kept.values_mut() {
            service.networks = std::mem::take(&mut service.networks)
                .into_iter()
                .map(|(key, attachment)| (networks.get(&key).cloned().unwrap_or(key), attachment))
                .collect();
            rename(service.mounts.iter_mut().filter_map(|m| volume_key(&mut m.source)), &volumes);
            rename(service.configs.iter_mut().map(|m| &mut m.key), &configs);
            rename(service.secrets.iter_mut().map(|m| &mut m.key), &secrets);
        }
        new.services.extend(kept);
        self
    }
}

struct Merging<'a> {
    new: &'a BTreeMap<String, Service>,
    kept: &'a BTreeMap<String, Service>,
    /// Tells keys of the earlier release from keys of this one; no compose file can hold `@` in a key.
    mark: String,
}

impl Merging<'_> {
    /// Leaves in `new` what the selected services use, and adds what the kept ones use of `old`: under another key where
    /// the key means something else now.
    fn objects<T: Clone>(
        &self,
        new: &mut BTreeMap<String, T>,
        old: &BTreeMap<String, T>,
        same: fn(&T, &T) -> bool,
        keys: fn(&Service) -> Vec<String>,
    ) -> Renamed {
        let used = |services: &BTreeMap<String, Service>| services.values().flat_map(keys).collect::<BTreeSet<_>>();
        let used_new = used(self.new);
        new.retain(|key, _| used_new.contains(key));
        let mut renamed = Renamed::new();
        for key in used(self.kept) {
            let Some(object) = old.get(&key) else { continue };
            match new.get(&key) {
                Some(other) if same(other, object) => {}
                Some(_) => {
                    let other_key = format!("{key}@{}", self.mark);
                    new.insert(other_key.clone(), object.clone());
                    renamed.insert(key, other_key);
                }
                None => {
                    new.insert(key, object.clone());
                }
            }
        }
        renamed
    }
}

fn rename<'a>(keys: impl Iterator<Item = &'a mut String>, renamed: &Renamed) {
    for key in keys {
        if let Some(other) = renamed.get(key) {
            key.clone_from(other);
        }
    }
}

fn same_content(a: &FileObject, b: &FileObject) -> bool {
    a.digest == b.digest
}

pub(super) fn network_keys(service: &Service) -> Vec<String> {
    service.networks.keys().cloned().collect()
}

pub(super) fn volume_keys(service: &Service) -> Vec<String> {
    let mounts = service.mounts.iter();
    mounts
        .filter_map(|m| if let MountSource::Volume { key, .. } = &m.source { Some(key.clone()) } else { None })
        .collect()
}

fn volume_key(source: &mut MountSource) -> Option<&mut String> {
    if let MountSource::Volume { key, .. } = source { Some(key) } else { None }
}

pub(super) fn file_keys(mounts: &[FileMount]) -> Vec<String> {
    mounts.iter().map(|m| m.key.clone()).collect()
}
