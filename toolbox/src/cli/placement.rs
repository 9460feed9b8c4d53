//! Which services belong on which host: `x-toolbox.hosts`.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::{Project, Service};
use crate::inventory::{Host, Inventory};

use super::failure::Failure;

/// The part of the project that belongs on each of the hosts, by the host's name.
///
/// # Errors
/// Every name that the inventory does not know, and every namespace that would be shared across hosts.
pub(super) fn place(
    project: &Project,
    inventory: &Inventory,
    hosts: &[Host],
) -> Result<BTreeMap<String, Project>, Vec<Failure>> {
    let (mut places, mut failures) = (BTreeMap::new(), Vec::new());
    for service in project.services.values() {
        match hosts_of(service, inventory) {
            Ok(names) => drop(places.insert(service.name.as_str(), names)),
            Err(failure) => failures.push(failure),
        }
    }
    let is_on = |service: &str, host: &str| {
        places.get(service).and_then(Option::as_ref).is_none_or(|names: &BTreeSet<&str>| names.contains(host))
    };
    for host in hosts {
        failures.extend(project.services.values().filter_map(|service| split_namespace(service, &host.name, &is_on)));
    }
    let parts = hosts.iter().map(|host| (host.name.clone(), project.only(|s| is_on(&s.name, &host.name))));
    let parts: BTreeMap<String, Project> = parts.collect();
    failures.extend(parts.iter().filter_map(|(host, part)| port_clash(part, host)));
    if failures.is_empty() { Ok(parts) } else { Err(failures) }
}

/// Two services that publish one port may be in one file where they run on different hosts.
fn port_clash(part: &Project, host: &str) -> Option<Failure> {
    let ports = || part.services.values().flat_map(|s| s.ports.iter().map(move |port| (&s.name, port)));
    let (one, port, other) = ports().find_map(|(one, port)| {
        let (other, _) = ports().find(|(other, p)| *other > one && p.clashes_with(port))?;
        Some((one, port, other))
    })?;
    let number = port.published.unwrap_or_default();
    let message = format!("services.{other}.ports: {one} publishes port {number} on {host} too");
    Some(Failure::text(
        message,
        Some("publish another port, or place them on different hosts (x-toolbox.hosts)".into()),
    ))
}

/// `None` is every host.
fn hosts_of<'a>(service: &Service, inventory: &'a Inventory) -> Result<Option<BTreeSet<&'a str>>, Failure> {
    if service.toolbox.hosts.is_empty() {
        return Ok(None);
    }
    let selected = inventory.select(&service.toolbox.hosts).map_err(|error| {
        let message = format!("services.{}.x-toolbox.hosts: {error}", service.name);
        Failure::text(message, Some("name hosts or groups of the inventory".into()))
    })?;
    Ok(Some(selected.into_iter().map(|host| host.name.as_str()).collect()))
}

fn split_namespace(service: &Service, host: &str, is_on: &impl Fn(&str, &str) -> bool) -> Option<Failure> {
    let (key, other) = service.namespace_of()?;
    (is_on(&service.name, host) && !is_on(other, host)).then(|| {
        let message = format!("services.{}.{key}: {other} does not run on {host}", service.name);
        Failure::text(message, Some("give both the same x-toolbox.hosts".into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::testing::project;

    fn inventory() -> Inventory {
        let text = "all:\n  hosts:\n    a: {}\n    b: {}\n  children:\n    web:\n      hosts:\n        b: {}\n";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Inventory::from_file(file.path()).unwrap()
    }

    fn placed(services: &str) -> Result<BTreeMap<String, Vec<String>>, Vec<String>> {
        let project = project(&format!("name: shop\nservices:\n{services}"));
        let inventory = inventory();
        let hosts: Vec<Host> = inventory.hosts.values().cloned().collect();
        let names = |part: &Project| part.services.keys().cloned().collect();
        match place(&project, &inventory, &hosts) {
            Ok(parts) => Ok(parts.iter().map(|(host, part)| (host.clone(), names(part))).collect()),
            Err(failures) => Err(failures.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn services_without_hosts_belong_everywhere_and_the_others_on_theirs() {
        let parts = placed(
            "  db: {image: x, x-toolbox: {hosts: [a]}}\n  app: {image: x}\n  www: {image: x, x-toolbox: {hosts: web}}\n",
        );
        let parts = parts.unwrap();
        assert_eq!(parts["a"], ["app", "db"]);
        assert_eq!(parts["b"], ["app", "www"]);
    }

    #[test]
    fn an_unknown_host_and_a_split_namespace_are_named() {
        let problems = placed("  db: {image: x, x-toolbox: {hosts: [wbe]}}\n").unwrap_err();
        assert!(problems[0].starts_with("services.db.x-toolbox.hosts: no host or group"), "{problems:?}");
        let problems =
            placed("  db: {image: x, x-toolbox: {hosts: [a]}}\n  app: {image: x, network_mode: 'service:db'}\n");
        assert_eq!(problems.unwrap_err(), ["services.app.network_mode: db does not run on b"]);
        let port = "image: x, ports: ['80:80']";
        let problems = placed(&format!(
            "  one: {{{port}, x-toolbox: {{hosts: [b]}}}}\n  two: {{{port}, x-toolbox: {{hosts: [web]}}}}\n"
        ));
        assert_eq!(problems.unwrap_err(), ["services.two.ports: one publishes port 80 on b too"]);
    }
}
