//! Images onto a host, without a project.

use std::collections::BTreeSet;

use crate::plan::operation::Plan;
use crate::state::EngineState;

use super::images::image_operation;
use super::{DesiredImage, HostFacts, PlanError};

/// What must happen on the host so that it holds these images under their names.
///
/// # Errors
/// Every image that is for another processor.
pub fn send<'a>(images: impl IntoIterator<Item = &'a DesiredImage>, facts: &HostFacts) -> Result<Plan, Vec<PlanError>> {
    let empty = EngineState::empty();
    let engine = facts.engine.as_ref().unwrap_or(&empty);
    let (mut plan, mut counted, mut errors) =
        (Plan { host: facts.host.clone(), ..Plan::default() }, BTreeSet::new(), vec![]);
    for image in images {
        errors.extend(architecture_problem(image, &facts.host, engine));
        match image_operation(engine, image, &mut counted) {
            Some(operation) => plan.operations.push(operation),
            None => plan.unchanged.push(image.reference.familiar()),
        }
    }
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

fn architecture_problem(image: &DesiredImage, host: &str, engine: &EngineState) -> Option<PlanError> {
    let (ours, theirs) = (&image.facts.architecture, &engine.architecture);
    let differs = !ours.is_empty() && !theirs.is_empty() && ours != theirs;
    differs.then(|| PlanError::ImageArchitecture {
        host: host.to_owned(),
        image: image.reference.familiar(),
        image_architecture: ours.clone(),
        host_architecture: theirs.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::image::{DiffId, Digest};
    use crate::plan::operation::Action;
    use crate::state::{ImageFacts, ObservedImage};

    fn image(name: &str, layers: &str) -> DesiredImage {
        let layers: Vec<DiffId> = layers.bytes().map(|layer| Digest::of(&[layer]).into()).collect();
        let layer_sizes = layers.iter().map(|layer| (*layer, 10)).collect::<BTreeMap<_, _>>();
        let facts = ImageFacts::new(format!("id of {name}"), layers, None, &()).on("linux", "amd64");
        DesiredImage { reference: name.parse().unwrap(), facts, layer_sizes }
    }

    fn host(architecture: &str, images: &[DesiredImage]) -> HostFacts {
        let observed = |image: &DesiredImage| ObservedImage {
            facts: image.facts.clone(),
            references: [image.reference.full()].into(),
        };
        let images = images.iter().map(observed).collect();
        let engine = EngineState { architecture: architecture.into(), images, ..EngineState::empty() };
        HostFacts { host: "web1".into(), engine: Ok(engine), listening: BTreeSet::new() }
    }

    #[test]
    fn only_what_the_host_lacks_is_sent_and_shared_layers_once() {
        let held = image("shop:1", "ab");
        let plan = send(&[held.clone(), image("shop:2", "abc"), image("cart:2", "abcd")], &host("amd64", &[held]));
        let plan = plan.unwrap();
        assert_eq!(plan.unchanged, ["shop:1"]);
        let sent = plan.operations.iter().map(|o| match &o.action {
            Action::PushImage { held_layers, bytes, .. } => (*held_layers, *bytes),
            other => panic!("{other:?}"),
        });
        assert_eq!(sent.collect::<Vec<_>>(), [(2, Some(10)), (2, Some(10))]);
    }

    #[test]
    fn an_image_for_another_processor_is_refused() {
        let errors = send(&[image("shop:1", "a")], &host("arm64", &[])).unwrap_err();
        assert_eq!(errors[0].to_string(), "web1: image shop:1 is for amd64, the host is arm64");
    }
}
