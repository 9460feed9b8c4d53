//! Which services a plan may change.

use std::collections::BTreeSet;

use crate::compose::{Project, Service};
use crate::yaml::nearest;

use super::PlanError;

/// All services, or those asked for with what they depend on and what lives in their namespaces, in start order.
pub(super) fn select<'a>(
    project: &'a Project,
    asked: Option<&BTreeSet<String>>,
    host: &str,
) -> Result<Vec<&'a Service>, Vec<PlanError>> {
    let errors: Vec<PlanError> = asked.into_iter().flatten().filter_map(|name| unknown(project, name, host)).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let chosen = asked.map(|asked| project.with_dependencies(asked));
    let names = project.start_order().into_iter().flatten();
    let services = names.filter(|name| chosen.as_ref().is_none_or(|chosen| chosen.contains(*name)));
    Ok(services.map(|name| &project.services[name]).collect())
}

fn unknown(project: &Project, name: &str, host: &str) -> Option<PlanError> {
    let known = project.services.keys().map(String::as_str);
    (!project.services.contains_key(name)).then(|| PlanError::UnknownService {
        host: host.to_owned(),
        service: name.to_owned(),
        nearest: nearest(name, known).map(str::to_owned),
        known: project.services.keys().cloned().collect(),
    })
}
