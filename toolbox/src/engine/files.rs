//! Files of containers as tarballs (Docker Engine API, `PutContainerArchive`, `ContainerArchive`).
//!
//! Contract: owner, group and mode are those of the tarball's headers. A volume of a container can be written to also
//! where its root is read-only and before it was started.

use bollard::Docker as Api;
use bollard::errors::Error as ApiError;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::TryStreamExt as _;

use super::EngineError;
use super::client::refused;

/// The largest tarball that is taken from a host.
const MOST: usize = 64 * 1024 * 1024;

/// Unpacks a tarball in a directory that is there.
pub(super) async fn put(api: &Api, id: &str, directory: &str, tarball: Vec<u8>) -> Result<(), EngineError> {
    let options = UploadToContainerOptionsBuilder::default().path(directory).build();
    let sent = api.upload_to_container(id, Some(options), bollard::body_full(tarball.into())).await;
    sent.map_err(|e| refused(format!("writing files to {directory} of container {id}"), e))
}

/// A file or a directory with all in it.
pub(super) async fn get(api: &Api, id: &str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
    let what = || format!("reading {path} of container {id}");
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let mut chunks = std::pin::pin!(api.download_from_container(id, Some(options)));
    let mut tarball = Vec::new();
    loop {
        match chunks.try_next().await {
            Ok(Some(chunk)) => tarball.extend_from_slice(&chunk),
            Ok(None) => return Ok(Some(tarball)),
            Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            Err(e) => return Err(refused(what(), e)),
        }
        if tarball.len() > MOST {
            let message = format!("it is larger than {MOST} bytes");
            return Err(EngineError::Refused { what: what(), message, status: 0 });
        }
    }
}
