//! Images that were read for some hosts, and the way to the layers that were left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::plan::DesiredImage;

use super::{ImageSource, SourceError, Spool};

/// Images that were read from one part of a source.
pub struct Supply {
    spool: Arc<Spool>,
    origin: Option<(Arc<ImageSource>, usize, Vec<DesiredImage>)>,
    whole: OnceCell<Arc<Spool>>,
}

impl Supply {
    /// An archive from which nothing was left out.
    pub fn of(spool: Arc<Spool>) -> Self {
        Self { spool, origin: None, whole: OnceCell::new() }
    }

    pub(super) fn part(source: Arc<ImageSource>, part: usize, images: Vec<DesiredImage>, spool: Arc<Spool>) -> Self {
        let origin = (!spool.is_whole()).then_some((source, part, images));
        Self { spool, origin, whole: OnceCell::new() }
    }

    /// What was read.
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// The same images with every layer: a host may refuse what was left out, or have lost it. Read once for all hosts.
    ///
    /// # Errors
    /// [`SourceError`]; also where the images are not there any more.
    pub async fn whole(&self) -> Result<&Arc<Spool>, SourceError> {
        let Some((source, part, images)) = &self.origin else { return Ok(&self.spool) };
        self.whole.get_or_try_init(|| read(source, *part, images)).await
    }
}

async fn read(source: &Arc<ImageSource>, part: usize, images: &[DesiredImage]) -> Result<Arc<Spool>, SourceError> {
    let spool = source.read(part, images, &BTreeSet::new()).await?;
    let gone = || SourceError::Changed { image: images.first().map(|i| i.reference.familiar()).unwrap_or_default() };
    spool.map(Arc::new).ok_or_else(gone)
}
