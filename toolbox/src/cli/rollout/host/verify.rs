//! `x-toolbox.verify`: services are asked from their own host whether they answer.

use std::collections::BTreeSet;

use crate::apply::{HostSession, What, verify};
use crate::plan::{Action, Operation};
use crate::ui::Outcome;

use super::{Ended, HostRun};

impl HostRun<'_> {
    pub(super) async fn verify(&self, session: &HostSession) -> Result<(), Ended> {
        let named = self.wanted.services.as_ref();
        for service in self.wanted.project.services.values() {
            if !concerns(named, &self.plan.operations, &service.name) {
                continue;
            }
            let Some(url) = &service.toolbox.verify else {
                continue;
            };
            let mut interrupt = self.interrupt.clone();
            let label = format!("verify {url}");
            let asked = self.events.step(&label, verify(session, &service.name, url));
            let answer = tokio::select! {
                answer = asked => answer,
                _ = interrupt.wait_for(|i| *i) => return Err((Outcome::Interrupted, None)),
            };
            match answer {
                Ok(text) => self.events.send(What::Note(format!("{url} answers {text:?}"))),
                Err(e) => {
                    let hint = format!("see what the service says: toolbox logs {}", service.name);
                    return Err(self.failed(Outcome::FailedRolledBack, &e, Some(hint)));
                }
            }
        }
        Ok(())
    }
}

/// It is one of those that were asked for, or is changed.
fn concerns(named: Option<&BTreeSet<String>>, operations: &[Operation], service: &str) -> bool {
    let named = named.is_none_or(|named| named.contains(service));
    named || operations.iter().any(|operation| changed(&operation.action) == Some(service))
}

/// The service whose containers or relay an operation is about.
fn changed(action: &Action) -> Option<&str> {
    match action {
        Action::CreateContainer { service, .. }
        | Action::ReplaceContainers { service, .. }
        | Action::StartContainer { service, .. }
        | Action::CreateRelay { service, .. }
        | Action::SwitchRelay { service, .. } => Some(service),
        Action::RemoveContainer { service, .. } => service.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Cause;

    #[test]
    fn a_deploy_of_some_services_asks_those_and_what_it_changes_besides() {
        let action = Action::CreateContainer { service: "db".into(), container: "shop-db-1".into(), number: 1 };
        let operations = [Operation { action, cause: Cause::Missing }];
        let named = BTreeSet::from(["web".to_owned()]);
        let asked = |named| ["web", "db", "api"].map(|service| concerns(named, &operations, service));
        assert_eq!(asked(Some(&named)), [true, true, false]);
        assert_eq!(asked(None), [true, true, true]);
    }
}
