//! When a service starts, is healthy and starts again: `depends_on`, `healthcheck`, `restart`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Context;
use super::fields::Fields;
use crate::compose::keys;
use crate::compose::model::{Condition, Dependency, Healthcheck, RestartPolicy};
use crate::yaml::{self, Entry, Node, Value};

/// `depends_on`, and the services whose namespaces are shared (they must run first, too).
pub(super) fn dependencies(c: &Context<'_>, service: Fields<'_>) -> BTreeMap<String, Dependency> {
    let started = || Dependency { condition: Condition::Started, required: true, restart: false };
    let mut all = BTreeMap::new();
    if let Some(node) = service.get("depends_on") {
        match &node.value {
            Value::Map(entries) => all.extend(entries.iter().filter_map(|entry| long(c, entry))),
            _ => {
                for item in yaml::items(c.sink, node) {
                    let name = yaml::text(c.sink, item).filter(|name| is_there(c, item, name, true));
                    all.extend(name.map(|name| (name.to_owned(), started())));
                }
            }
        }
    }
    for key in ["network_mode", "pid", "ipc"] {
        let text = service.get(key).and_then(|node| yaml::text(c.sink, node));
        if let Some(name) = text.and_then(|text| text.strip_prefix("service:")) {
            all.entry(name.to_owned()).or_insert_with(|| Dependency { restart: true, ..started() });
        }
    }
    all
}

fn long(c: &Context<'_>, entry: &Entry) -> Option<(String, Dependency)> {
    let fields = Fields::new(c.sink, &entry.value, &keys::DEPENDENCY);
    let required = fields.maybe_flag("required").unwrap_or(true);
    let condition = fields.converted("condition", condition).unwrap_or(Condition::Started);
    let dependency = Dependency { condition, required, restart: fields.flag("restart") };
    is_there(c, &entry.value, &entry.key, required).then(|| (entry.key.to_string(), dependency))
}

fn condition(text: &str) -> Result<Condition, String> {
    match text {
        "service_started" => Ok(Condition::Started),
        "service_healthy" => Ok(Condition::Healthy),
        "service_completed_successfully" => Ok(Condition::CompletedSuccessfully),
        _ => Err(format!("must be service_started, service_healthy or service_completed_successfully, not {text:?}")),
    }
}

/// Whether the dependency is among the enabled services; a required one that is not is a problem.
fn is_there(c: &Context<'_>, node: &Node, name: &str, required: bool) -> bool {
    if c.enabled.contains(name) {
        return true;
    }
    if c.declared.contains(name) && required {
        let hint = "ask for its profile, or write required: false";
        c.sink.report_hint(node, format!("the service {name:?} is under a profile that is not asked for"), hint);
    } else if required {
        c.sink.report(node, format!("the service {name:?} is not defined"));
    }
    false
}

/// `healthcheck:`.
pub(super) fn healthcheck(c: &Context<'_>, service: Fields<'_>) -> Option<Healthcheck> {
    let node = service.get("healthcheck")?;
    let fields = Fields::new(c.sink, node, &keys::HEALTHCHECK);
    if fields.flag("disable") {
        return Some(Healthcheck { test: vec!["NONE".into()], ..Healthcheck::default() });
    }
    Some(Healthcheck {
        test: fields.get("test").map(|node| test(c, node)).unwrap_or_default(),
        interval: period(fields, "interval"),
        timeout: period(fields, "timeout"),
        start_period: period(fields, "start_period"),
        start_interval: period(fields, "start_interval"),
        retries: fields.integer("retries"),
    })
}

/// The engine refuses periods below a millisecond (0 is the engine's default).
fn period(fields: Fields<'_>, key: &str) -> Option<Duration> {
    let period = fields.duration(key)?;
    if !period.is_zero() && period < Duration::from_millis(1) {
        fields.sink.report(fields.get(key)?, "must be 1ms or more");
    }
    Some(period)
}

fn test(c: &Context<'_>, node: &Node) -> Vec<String> {
    let words = yaml::strings(c.sink, node);
    if matches!(node.value, Value::Scalar { .. }) {
        return ["CMD-SHELL".to_owned()].into_iter().chain(words).collect();
    }
    let valid = match words.first().map(String::as_str) {
        Some("NONE") => words.len() == 1,
        Some("CMD") => words.len() > 1,
        Some("CMD-SHELL") => words.len() == 2,
        _ => false,
    };
    if !valid {
        let hint = "[CMD, program, argument…], [CMD-SHELL, \"command\"] or [NONE]";
        c.sink.report_hint(node, "is no health check", hint);
    }
    words
}

/// `restart:`.
pub(super) fn restart(text: &str) -> Result<RestartPolicy, String> {
    let (word, count) = text.split_once(':').map_or((text, None), |(word, count)| (word, Some(count)));
    match (word, count) {
        ("no" | "false" | "", None) => Ok(RestartPolicy::No),
        ("always", None) => Ok(RestartPolicy::Always),
        ("unless-stopped", None) => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", None) => Ok(RestartPolicy::OnFailure { max: None }),
        ("on-failure", Some(count)) => {
            let max = count.parse().map_err(|_| format!("{count:?} is no number of restarts"))?;
            Ok(RestartPolicy::OnFailure { max: (max > 0).then_some(max) })
        }
        _ => Err(format!("must be no, always, on-failure[:max] or unless-stopped, not {text:?}")),
    }
}
