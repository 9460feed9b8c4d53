//! Configs and secrets: from the project into the keeper's volume, and from there into containers.

use std::collections::BTreeMap;

use crate::compose::{FileMount, FileObject, Service};
use crate::engine::{Engine, EngineError, FileBind};
use crate::image::{Digest, StoredFile, stored_files};
use crate::plan::keeper_name;
use crate::release::file_name;

use super::{ApplyError, Containers, refused};

impl<E: Engine> Containers<'_, E> {
    /// Stores these configs and secrets. The content of some is not here but on the host already, after a rollback.
    pub(super) async fn store_files(&self, configs: &[String], secrets: &[String]) -> Result<(), ApplyError> {
        let mut wanted: BTreeMap<String, (&FileObject, &FileMount)> = BTreeMap::new();
        for service in self.project.services.values() {
            let configs = attached(&self.project.configs, &service.configs).filter(|(_, m)| configs.contains(&m.key));
            let secrets = attached(&self.project.secrets, &service.secrets).filter(|(_, m)| secrets.contains(&m.key));
            let here = configs.chain(secrets).filter(|(object, _)| is_here(object));
            wanted.extend(here.map(|(object, mount)| (file_name(object, mount), (object, mount))));
        }
        let files: Vec<StoredFile<'_>> =
            wanted.iter().map(|(name, (object, mount))| stored(name, object, mount)).collect();
        let storing = async {
            let keeper = keeper_name(&self.project.name);
            let tarball = stored_files(&files).map_err(not_packed)?;
            self.engine.put_files(&keeper, "/state", tarball).await
        };
        self.step(&format!("store {} configs and secrets", files.len()), storing).await
    }

    /// What a container of the service sees of them.
    pub(super) async fn file_binds(&mut self, service: &Service) -> Result<Vec<FileBind>, ApplyError> {
        if service.configs.is_empty() && service.secrets.is_empty() {
            return Ok(Vec::new());
        }
        let root = self.files_root().await?;
        let configs = attached(&self.project.configs, &service.configs);
        let secrets = attached(&self.project.secrets, &service.secrets);
        let bind = |(object, mount): (&FileObject, &FileMount)| FileBind {
            source: format!("{root}/files/{}", file_name(object, mount)),
            target: mount.target.clone(),
        };
        Ok(configs.chain(secrets).map(bind).collect())
    }

    /// Where the keeper's volume is on the host; asked once.
    async fn files_root(&mut self) -> Result<String, ApplyError> {
        if let Some(root) = &self.mountpoint {
            return Ok(root.clone());
        }
        let keeper = keeper_name(&self.project.name);
        let root = refused(&format!("looking for volume {keeper}"), self.engine.mountpoint(&keeper).await)?;
        self.mountpoint = Some(root.clone());
        Ok(root)
    }
}

fn stored<'a>(name: &'a str, object: &'a FileObject, mount: &FileMount) -> StoredFile<'a> {
    StoredFile { name, uid: mount.uid, gid: mount.gid, mode: mount.mode, content: &object.content.0 }
}

fn attached<'a>(
    objects: &'a BTreeMap<String, FileObject>,
    mounts: &'a [FileMount],
) -> impl Iterator<Item = (&'a FileObject, &'a FileMount)> {
    mounts.iter().filter_map(|mount| Some((objects.get(&mount.key)?, mount)))
}

fn not_packed(error: std::io::Error) -> EngineError {
    EngineError::Refused { what: "packing configs and secrets".into(), message: error.to_string(), status: 0 }
}

fn is_here(object: &FileObject) -> bool {
    Digest::of(&object.content.0).hex() == object.digest
}
