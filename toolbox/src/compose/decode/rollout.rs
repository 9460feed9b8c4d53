//! How many containers a service has, and how they start again and are replaced: `deploy`, `scale`, `restart`.

use super::fields::Fields;
use super::lifecycle;
use crate::compose::keys;
use crate::compose::model::{FailureAction, RestartPolicy, UpdateConfig, UpdateOrder};
use crate::yaml::Node;

/// `deploy:`, its keys checked.
pub(super) fn deploy<'a>(service: Fields<'a>) -> Option<Fields<'a>> {
    let deploy = Fields::new(service.sink, service.get("deploy")?, &keys::DEPLOY);
    deploy.converted("mode", |mode| match mode {
        "replicated" | "global" => Ok(()),
        _ => Err(format!("must be replicated or global, not {mode:?}")),
    });
    Some(deploy)
}

/// `deploy.replicas` or `scale`; a global service has one container on each host.
pub(super) fn replicas(service: Fields<'_>, deploy: Option<Fields<'_>>) -> u32 {
    let scale: Option<u32> = service.integer("scale");
    let replicas: Option<u32> = deploy.and_then(|deploy| deploy.integer("replicas"));
    let global = deploy.is_some_and(|deploy| deploy.text("mode").as_deref() == Some("global"));
    let replicas_at = deploy.and_then(|deploy| deploy.get("replicas"));
    if let (Some(scale), Some(replicas), Some(node)) = (scale, replicas, service.get("scale"))
        && scale != replicas
    {
        service.sink.report(node, format!("contradicts deploy.replicas, which is {replicas}"));
    }
    if let (Some(node), true) = (replicas_at.or(service.get("scale")), global) {
        service.sink.report(node, "a global service has one container on each host");
    }
    replicas.or(scale).unwrap_or(1)
}

/// `deploy.restart_policy`, else `restart`.
pub(super) fn restart(service: Fields<'_>, deploy: Option<Fields<'_>>) -> RestartPolicy {
    let own = service.converted("restart", lifecycle::restart).unwrap_or_default();
    let policy = deploy.and_then(|deploy| deploy.get("restart_policy"));
    policy.map_or(own, |node| restart_policy(Fields::new(service.sink, node, &keys::RESTART_POLICY)))
}

fn restart_policy(policy: Fields<'_>) -> RestartPolicy {
    let max: Option<u32> = policy.integer("max_attempts").filter(|max| *max > 0);
    let read = policy.converted("condition", |word| match word {
        "none" => Ok(RestartPolicy::No),
        "on-failure" => Ok(RestartPolicy::OnFailure { max }),
        "any" => Ok(RestartPolicy::Always),
        _ => Err(format!("must be none, on-failure or any, not {word:?}")),
    });
    let read = read.unwrap_or(RestartPolicy::Always);
    if let (Some(node), true, false) =
        (policy.get("max_attempts"), max.is_some(), matches!(read, RestartPolicy::OnFailure { .. }))
    {
        policy.sink.report_hint(node, "counts only failures", "write condition: on-failure beside it");
    }
    read
}

/// `deploy.update_config` or `deploy.rollback_config`.
pub(super) fn update_config(deploy: Option<Fields<'_>>, key: &str, failed: FailureAction) -> Option<UpdateConfig> {
    let (node, sink) = deploy.and_then(|deploy| Some((deploy.get(key)?, deploy.sink)))?;
    let fields = Fields::new(sink, node, &keys::UPDATE_CONFIG);
    no_ratio(fields);
    Some(UpdateConfig {
        order: fields.converted("order", order),
        parallelism: fields.integer("parallelism").unwrap_or(1),
        delay: fields.duration("delay").unwrap_or_default(),
        failure_action: fields.converted("failure_action", |word| action(word, failed)).unwrap_or(failed),
        monitor: fields.duration("monitor"),
    })
}

fn order(word: &str) -> Result<UpdateOrder, String> {
    match word {
        "start-first" => Ok(UpdateOrder::StartFirst),
        "stop-first" => Ok(UpdateOrder::StopFirst),
        _ => Err(format!("must be start-first or stop-first, not {word:?}")),
    }
}

/// Only an update can be rolled back.
fn action(word: &str, default: FailureAction) -> Result<FailureAction, String> {
    match (word, default) {
        ("continue", _) => Ok(FailureAction::Continue),
        ("pause", _) => Ok(FailureAction::Pause),
        ("rollback", FailureAction::Rollback) => Ok(FailureAction::Rollback),
        (_, FailureAction::Rollback) => Err(format!("must be rollback, pause or continue, not {word:?}")),
        _ => Err(format!("must be pause or continue, not {word:?}")),
    }
}

fn no_ratio(fields: Fields<'_>) {
    let zero =
        |node: &Node| fields.text("max_failure_ratio").is_some_and(|text| text.parse() == Ok(0.0)) || node.is_null();
    if let Some(node) = fields.get("max_failure_ratio").filter(|node| !zero(node)) {
        fields.sink.report_hint(node, "only 0 is supported: the first failure counts", "leave it out");
    }
}
