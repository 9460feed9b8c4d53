//! Images that a host must get, or only needs to be told the name of.

use std::collections::BTreeSet;

use crate::compose::Service;
use crate::image::{ChainId, DiffId, Reference, held_chains, held_prefix};
use crate::plan::cause::Cause;
use crate::plan::older::older;
use crate::plan::operation::{Action, Operation};
use crate::state::{EngineState, ImageFacts, ObservedContainer, ObservedImage, Store};

use super::{DesiredImage, Run, op};

/// Characters of an image's id that are shown, as Docker shows them.
const SHOWN_ID: usize = 12;

impl<'a> Run<'a> {
    pub(super) fn image_operations(&self) -> Vec<Operation> {
        let names: BTreeSet<&str> = self.selected.iter().map(|s| s.image.as_str()).collect();
        let mut counted = BTreeSet::new();
        let mut done = BTreeSet::new();
        let images = names.into_iter().filter_map(|name| self.desired.images.get(name));
        let new = images.filter(|image| done.insert(image.reference.full()));
        new.filter_map(|image| self.image_operation(image, &mut counted)).collect()
    }

    /// The helper image, where an operation makes a container of it.
    pub(super) fn helper_operations<'b>(&self, all: impl Iterator<Item = &'b Operation>) -> Option<Operation> {
        let mut all = all.map(|o| &o.action);
        let needed = all.any(|a| matches!(a, Action::CreateKeeper { .. } | Action::CreateRelay { .. }));
        if needed { self.image_operation(self.desired.helper, &mut BTreeSet::new()) } else { None }
    }

    fn image_operation(&self, image: &DesiredImage, counted: &mut BTreeSet<DiffId>) -> Option<Operation> {
        image_operation(self.engine, image, counted)
    }

    /// What the service's containers are made from; `None` where nobody holds the image.
    pub(super) fn image_facts(&self, service: &Service) -> Option<&'a ImageFacts> {
        let at_hand = self.desired.images.get(&service.image).map(|image| &image.facts);
        at_hand.or_else(|| self.engine.image(&self.full_name(service)).map(|image| &image.facts))
    }

    pub(super) fn full_name(&self, service: &Service) -> String {
        match self.desired.images.get(&service.image) {
            Some(image) => image.reference.full(),
            None => Reference::parse(&service.image).map_or_else(|_| service.image.clone(), |r| r.kept_as().full()),
        }
    }

    /// The ids, shortened, of the image that a container was made from and of another one that it shall be made from.
    pub(super) fn image_change(&self, service: &Service, container: &ObservedContainer) -> Option<(String, String)> {
        let wanted = self.image_facts(service)?;
        let own = self.engine.images.iter().find(|image| image.facts.id == container.image_id);
        let same = container.image_id == wanted.id || own.is_some_and(|own| own.facts.same_content(wanted));
        (!same).then(|| (shown_id(&container.image_id), shown_id(&wanted.id)))
    }
}

/// What brings an image onto an engine; `None` where it is there. `counted` are layers that are sent anyway.
pub(super) fn image_operation(
    engine: &EngineState,
    image: &DesiredImage,
    counted: &mut BTreeSet<DiffId>,
) -> Option<Operation> {
    let cause = match engine.image(&image.reference.full()) {
        Some(there) if there.facts.same_content(&image.facts) => return None,
        Some(_) => Cause::ImageDiffers,
        None => Cause::Missing,
    };
    let held = engine.images.iter().find(|i| i.facts.same_content(&image.facts));
    let action = match held {
        Some(held) => Action::TagImage { reference: image.reference.clone(), id: held.facts.id.clone() },
        None => push_action(image, engine, counted),
    };
    Some(op(action, cause))
}

/// On a containerd store a layer counts only where its blob is one that we sent.
fn held_by(engine: &EngineState) -> BTreeSet<ChainId> {
    let counts = |image: &&ObservedImage| match engine.store {
        Store::Classic => true,
        Store::Containerd => engine.ours.contains(&image.facts.id),
        Store::Unknown => false,
    };
    held_chains(engine.images.iter().filter(counts).map(|image| image.facts.layers.as_slice()))
}

fn shown_id(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(SHOWN_ID).collect()
}

/// A layer that two images share is sent, and `counted`, once.
fn push_action(image: &DesiredImage, engine: &EngineState, counted: &mut BTreeSet<DiffId>) -> Action {
    let layers = &image.facts.layers;
    let held_layers = held_prefix(layers, &held_by(engine));
    let sized = |layer: &DiffId| (*layer, image.layer_sizes.get(layer).copied().unwrap_or_default());
    let sized: Vec<(DiffId, u64)> = layers.iter().map(sized).collect();
    let changed = older(&image.reference, &sized, held_layers, &engine.images);
    let new = layers[held_layers..].iter().filter(|l| counted.insert(**l));
    let sizes: Option<Vec<u64>> = new.map(|l| image.layer_sizes.get(l).copied()).collect();
    Action::PushImage {
        reference: image.reference.clone(),
        held_layers,
        layers: layers.len(),
        bytes: sizes.map(|s| s.iter().sum()),
        changed: changed.iter().map(|older| older.place + 1).collect(),
    }
}
