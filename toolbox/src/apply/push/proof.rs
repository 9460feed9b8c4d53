//! What an engine made of what was sent.
//!
//! Contract: the engine's answer to a load proves nothing: it is asked for the image. On a containerd store an image may
//! have a name, an id and even run without being whole; there it must be listed, too. What is not known to be whole
//! loses the name, which goes back to the image that had it.

use std::collections::BTreeSet;

use crate::engine::{Engine, EngineError};
use crate::image::{Expected, ManifestDigest, PartialArchive, Reference};

use super::super::ours::Ours;
use super::{Push, PushError, ReadAt, Unsent, image};

/// Every image is there and whole.
pub(super) async fn check_all<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    push: &Push<'_, R>,
) -> Result<(), PushError> {
    for reference in push.held.keys() {
        check(engine, &Expected::of(image(push.shipment, reference)?), reference, push.ours).await?;
    }
    Ok(())
}

async fn check<E: Engine>(
    engine: &E,
    expected: &Expected,
    reference: &Reference,
    ours: &Ours,
) -> Result<(), EngineError> {
    let not_loaded = |problem: String| EngineError::NotLoaded { reference: reference.familiar(), problem };
    let Some(facts) = engine.image_facts(&reference.familiar()).await? else {
        return Err(not_loaded("it is not there".into()));
    };
    expected.check(&facts.id, &facts.layers).map_err(|e| not_loaded(e.to_string()))?;
    if is_manifest(&facts.id, expected.manifest) {
        if !engine.is_listed(reference, &facts.id).await? {
            return Err(not_loaded("the engine does not list it, so that some of it is missing".into()));
        }
        ours.add(expected.manifest);
    }
    Ok(())
}

/// The engine keeps images in containerd's store, and this is the one that was sent.
fn is_manifest(id: &str, manifest: ManifestDigest) -> bool {
    id == manifest.to_string()
}

/// What came of sending; where it failed, no name is left for an image that is not whole, and the others keep theirs.
pub(super) async fn without_halves<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    push: &Push<'_, R>,
    sent: impl Future<Output = Result<(), PushError>>,
) -> Result<(), Unsent> {
    let Err(error) = sent.await else { return Ok(()) };
    let mut images: BTreeSet<Reference> = push.held.keys().cloned().collect();
    if error.engine_answered() {
        // An engine that does not say which image it failed for may have come no further than to their names.
        let failed = error.images(images.clone());
        for reference in push.held.keys() {
            if !failed.contains(reference) && is_whole(engine, push, reference).await {
                images.remove(reference);
            } else {
                // That a name cannot be taken away now is no better reason for the failure than the one that there is.
                let _ = take_back(engine, push, reference).await;
            }
        }
    }
    Err(Unsent { error, images })
}

async fn is_whole<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    push: &Push<'_, R>,
    reference: &Reference,
) -> bool {
    match image(push.shipment, reference) {
        Ok(image) => check(engine, &Expected::of(image), reference, push.ours).await.is_ok(),
        Err(_) => false,
    }
}

/// A containerd store names an image before it has all of it, and before it is unpacked.
async fn take_back<E: Engine, R: ReadAt + Send + Sync + 'static>(
    engine: &E,
    push: &Push<'_, R>,
    reference: &Reference,
) -> Result<(), PushError> {
    let manifest = PartialArchive::manifest_digest(image(push.shipment, reference)?);
    let named = engine.image_facts(&reference.familiar()).await?;
    if !named.is_some_and(|facts| is_manifest(&facts.id, manifest)) {
        return Ok(());
    }
    let full = reference.full();
    match push.images.iter().find(|image| image.references.contains(&full)) {
        Some(before) => Ok(engine.tag(&before.facts.id, reference).await?),
        None => Ok(engine.untag(&full).await?),
    }
}
