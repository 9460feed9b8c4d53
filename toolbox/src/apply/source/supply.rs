//! Images that were read for some hosts, and the way to the layers that were left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use tokio::sync::OnceCell;

use crate::engine::Engine;
use crate::image::{Reference, Stored};
use crate::plan::DesiredImage;

use super::super::event::{Events, What};
use super::super::push::{Push, PushError, Route, Shipment, Unsent, push};
use super::{ImageSource, SourceError, Spool};

/// Images that were read from one part of a source.
pub struct Supply {
    spool: Arc<Spool>,
    shipment: OnceLock<Arc<Shipment<Stored>>>,
    origin: Option<Origin>,
    whole: OnceCell<Arc<Spool>>,
}

/// Where it was read.
struct Origin {
    source: Arc<ImageSource>,
    part: usize,
    images: Vec<DesiredImage>,
}

impl Supply {
    /// An archive from which nothing was left out.
    pub fn of(spool: Arc<Spool>) -> Self {
        Self { spool, shipment: OnceLock::new(), origin: None, whole: OnceCell::new() }
    }

    pub(super) fn part(source: Arc<ImageSource>, part: usize, images: Vec<DesiredImage>, spool: Arc<Spool>) -> Self {
        let origin = Some(Origin { source, part, images });
        Self { spool, shipment: OnceLock::new(), origin, whole: OnceCell::new() }
    }

    /// What was read.
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// What was read, on its way to so many hosts.
    pub fn shipment(&self, hosts: usize) -> &Arc<Shipment<Stored>> {
        let source = self.origin.as_ref().map(|origin| Arc::clone(&origin.source));
        self.shipment.get_or_init(|| Arc::new(Shipment::new(Arc::clone(&self.spool), hosts).with_older(source)))
    }

    /// Sends what was read; where the host turns out to need what was left out, all of it.
    ///
    /// # Errors
    /// [`PushError`].
    pub async fn send<E: Engine>(
        &self,
        engine: &E,
        route: &impl Route,
        sending: &Push<'_, Stored>,
        events: &Events,
    ) -> Result<(), PushError> {
        match push(engine, route, sending, events).await {
            Err(Unsent { error, images }) if !self.spool.is_whole() && error.may_lack_layers() => {
                events.send(What::Note(format!("sending everything: {error}")));
                let whole = Arc::new(Shipment::new(Arc::clone(self.whole().await?), 1));
                let held: BTreeMap<Reference, usize> = images.into_iter().map(|name| (name, 0)).collect();
                let again = Push { shipment: &whole, held: &held, ..*sending };
                push(engine, route, &again, events).await.map_err(|unsent| unsent.error)
            }
            sent => sent.map_err(|unsent| unsent.error),
        }
    }

    /// The same images with every layer: a host may refuse what was left out, or have lost it. Read once for all hosts.
    ///
    /// # Errors
    /// [`SourceError`]; also where the images are not there any more.
    pub(super) async fn whole(&self) -> Result<&Arc<Spool>, SourceError> {
        match &self.origin {
            Some(origin) if !self.spool.is_whole() => self.whole.get_or_try_init(|| origin.read()).await,
            _ => Ok(&self.spool),
        }
    }
}

impl Origin {
    /// Everything.
    async fn read(&self) -> Result<Arc<Spool>, SourceError> {
        let Self { source, part, images } = self;
        let spool = source.read(*part, images, &BTreeSet::new()).await?;
        let gone =
            || SourceError::Changed { image: images.first().map(|i| i.reference.familiar()).unwrap_or_default() };
        spool.map(Arc::new).ok_or_else(gone)
    }
}
