//! Which services a plan may change.

use std::collections::BTreeSet;

use crate::compose::{Project, Service};

use super::PlanError;

/// All services, or those asked for with what they depend on and what lives in their namespaces, in start order.
pub(super) fn select<'a>(
    project: &'a Project,
    asked: Option<&BTreeSet<String>>,
    host: &str,
) -> Result<Vec<&'a Service>, Vec<PlanError>> {
    let unknown = |unknown| PlanError::UnknownService { host: host.to_owned(), unknown };
    let asked = asked.map(|asked| project.choose(asked)).transpose();
    let asked = asked.map_err(|all| all.into_iter().map(unknown).collect::<Vec<_>>())?;
    let chosen = asked.map(|asked| project.with_dependencies(&asked));
    let names = project.start_order().into_iter().flatten();
    let services = names.filter(|name| chosen.as_ref().is_none_or(|chosen| chosen.contains(*name)));
    Ok(services.map(|name| &project.services[name]).collect())
}
